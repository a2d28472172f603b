"""Passes are as large as their bytes allow, and say the same in blocks of any size."""

import pytest
import torch

from bench.models import memory
from bench.models.learned_reward import text_scores
from bench.models.logprobs import completion_logits, completion_logprobs, token_logprobs
from bench.models.memory import blocks
from bench.models.padding import pad_left
from bench.models.sampling import generate
from tests.small_models import classifier_for, gpt2, llama, tokenizer

PROMPTS = [[3, 4, 5], [6], [3, 9], [7, 8, 9, 3, 4], [5, 5]]
COMPLETIONS = [[4, 1], [5, 6, 7, 1], [8], [3, 3, 3], [9, 1]]


@pytest.fixture
def small(monkeypatch):
    def set_budget(numbers):
        monkeypatch.setattr(memory, "BUDGET", numbers)

    return set_budget


def test_blocks_hold_what_the_budget_allows_every_row_once_in_order(small):
    small(100)
    costs = [(10, 1), (10, 1), (40, 5), (5, 5), (500, 0), (1, 1), (1, 1), (1, 1)]
    parts = list(blocks(costs, 2))
    assert [row for part in parts for row in range(8)[part]] == list(range(8))
    for part in parts:
        rows = costs[part]
        together = len(rows) * (max(a for a, _ in rows) + max(b for _, b in rows))
        assert len(rows) == 1 or (len(rows) <= 2 and together <= 100)
    assert parts == [slice(0, 2), slice(2, 4), slice(4, 5), slice(5, 7), slice(7, 8)]
    assert list(blocks([], 3)) == []


def test_blocks_are_as_many_rows_as_asked_for_where_there_is_room():
    assert list(blocks([(1,)] * 5, 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]


@pytest.mark.parametrize("make", [gpt2, llama])
def test_the_head_runs_where_a_completion_token_is_predicted_and_nowhere_else(make):
    model, seen = make(), []
    head = model.get_output_embeddings()
    hook = head.register_forward_hook(lambda module, args, logits: seen.append(logits.shape[1]))
    (batch,) = completion_logits(model, PROMPTS, COMPLETIONS, 8)
    hook.remove()
    assert seen == [4]  # the longest completion; rows have up to eight tokens
    for place, row in enumerate(batch.rows):
        whole = [*PROMPTS[row], *COMPLETIONS[row]]
        with torch.no_grad():
            alone = model(input_ids=torch.tensor([whole])).logits[0, len(PROMPTS[row]) - 1 : -1]
        torch.testing.assert_close(batch.logits[place, : len(COMPLETIONS[row])], alone)
    assert model(input_ids=torch.tensor([[3, 4, 5]])).logits.shape[1] == 3  # afterwards as it was


def test_scores_are_the_same_in_blocks_of_one_row(small):
    model, scorer, words = llama(), classifier_for(llama()).eval(), tokenizer()

    def everything():
        sums = torch.zeros(len(PROMPTS))
        for batch in completion_logits(model, PROMPTS, COMPLETIONS, 8):
            sums[batch.rows] = token_logprobs(batch.logits, batch.tokens).masked_fill(~batch.mask, 0).sum(1)
        scores = text_scores(scorer, words, ["good film", "a"], ["bad", "the plot not"])
        return torch.cat([sums, torch.tensor(scores)])

    at_once = everything()
    small(1)
    assert len(list(completion_logits(model, PROMPTS, COMPLETIONS, 8))) == len(PROMPTS)
    torch.testing.assert_close(everything(), at_once)


def test_log_probabilities_and_their_gradient_are_the_same_in_blocks(small):
    found = []
    for budget in (memory.BUDGET, 1):
        small(budget)
        model = llama()
        logprobs, mask = completion_logprobs(model, PROMPTS, COMPLETIONS)
        (logprobs.sum(1) ** 2).mean().backward()
        found.append([logprobs, mask, *(p.grad for p in model.parameters())])
    torch.testing.assert_close(found[1], found[0])


def test_two_models_make_the_same_blocks(small):
    narrow, wide = gpt2(), llama()
    small(20_000)
    pairs = zip(
        completion_logits(narrow, PROMPTS, COMPLETIONS, 8, beside=wide),
        completion_logits(wide, PROMPTS, COMPLETIONS, 8, beside=narrow),
        strict=True,
    )
    assert len([(a, b) for a, b in pairs if a.rows == b.rows]) > 1


def test_sampling_in_blocks_gives_a_row_per_prompt_and_the_models_own_log_probabilities(small):
    model = llama()
    small(1)
    torch.manual_seed(0)
    tokens, mask, logprobs = generate(model, *pad_left(PROMPTS, 0), 6)
    assert tokens.shape == mask.shape == logprobs.shape == (5, int(mask.sum(1).max()))
    lengths = mask.sum(1).tolist()
    completions = [row[:length] for row, length in zip(tokens.tolist(), lengths, strict=True)]
    for batch in completion_logits(model, PROMPTS, completions, 1):
        (row,) = batch.rows
        torch.testing.assert_close(token_logprobs(batch.logits, batch.tokens)[0], logprobs[row, : lengths[row]])


def test_a_step_is_split_into_equal_parts_that_fit(small):
    model = llama()
    a_row = memory.pass_cost(model, 10, 4)
    for room, parts in ((20, 12), (12, 12), (11, 6), (5, 4), (1, 1), (0, 1)):
        small(room * a_row)
        assert memory.micro_batch(model, 12, 6, 4) == parts
