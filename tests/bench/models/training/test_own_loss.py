"""Log-probabilities and training on a loss of one's own, as methods get them from the workbench."""

import pytest
import torch
from datasets import Dataset

from bench.contracts.errors import Diverged
from bench.models.logprobs import completion_logprobs
from tests.methods.string_workbench import TOKENIZER, model, pad_is_eos, pairs, same, sequence_logps, string_workbench

SCHEDULE = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2}


@pytest.fixture(params=[TOKENIZER, pad_is_eos()], ids=["pad≠eos", "pad=eos"])
def place(request, tmp_path):
    return string_workbench(tmp_path, request.param)


def test_logprobs_of_texts_are_those_of_each_text_by_itself(place):
    prompts, completions = ["a b", "c", "d e f"], [" g h i", " j", " k l"]
    policy = place.sft_model().eval()
    logprobs, mask = place.logprobs(policy, prompts, completions)
    expected, lengths = sequence_logps(policy, prompts, completions, place.tokenizer)
    torch.testing.assert_close(logprobs.sum(1), expected)
    assert mask.sum(1).tolist() == lengths.tolist() == [4, 2, 3]  # with EOS
    assert not logprobs[~mask].any()


def test_logprobs_of_samples_are_of_the_very_tokens_and_no_eos_is_put_where_none_was_drawn(place):
    policy = place.policy(place.sft_model().eval())
    drawn = place.sample(policy, ["a b", "c", "d e f"] * 30, seed=3)
    assert not all(drawn.finished)
    logprobs, mask = place.sample_logprobs(policy.model, drawn)
    assert mask.sum(1).tolist() == [len(ids) for ids in drawn.completion_ids]
    row = drawn.finished.index(False)
    whole = torch.tensor([[*drawn.prompt_ids[row], *drawn.completion_ids[row]]])
    start = len(drawn.prompt_ids[row])
    steps = policy.model(whole).logits[0, start - 1 : -1].log_softmax(-1)
    torch.testing.assert_close(logprobs[row][mask[row]], steps.gather(1, whole[0, start:, None])[:, 0])


def test_sampling_is_charged_and_log_probabilities_only_where_something_can_be_trained(place):
    drawn = place.sample(place.policy(place.reference), ["a b"] * 5, seed=0)
    tokens = sum(map(len, drawn.completion_ids))
    assert place.cost.tokens_sampled == tokens
    place.sample_logprobs(place.reference, drawn)
    assert place.cost.tokens_trained == 0
    place.sample_logprobs(place.sft_model(), drawn)
    assert place.cost.tokens_trained == tokens + sum(map(len, drawn.prompt_ids))


def likelihood(place, policy, seen=None):
    def loss(batch, step):
        if seen is not None:
            seen.append((step, batch["prompt"]))
        return -place.logprobs(policy, batch["prompt"], batch["chosen"])[0].sum(1).mean()

    return loss


def test_fit_lowers_the_loss_shows_every_row_in_each_pass_and_is_the_same_for_the_same_seed(tmp_path):
    trained, seen = [], []
    for seed in (1, 1, 2):
        place, policy = string_workbench(tmp_path, seed=seed), model()
        before = likelihood(place, policy)(pairs()[:], 0)
        place.fit(policy, pairs(), likelihood(place, policy, seen), **SCHEDULE)
        assert likelihood(place, policy)(pairs()[:], 0) < before - 1
        trained.append(policy)
    assert [step for step, _ in seen[:8]] == list(range(8))  # 64 rows, 16 a step, twice
    first, second = ([prompt for _, prompts in seen[i : i + 4] for prompt in prompts] for i in (0, 4))
    assert sorted(first) == sorted(second) == sorted(pairs()["prompt"])
    assert first != second
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])


def test_fit_measures_a_curve_and_tells_progress_unless_told_not_to(tmp_path):
    points, told = [], []
    place = string_workbench(tmp_path, curve_points=2)
    place.on_measure, place.on_progress = lambda policy, step: points.append(step), lambda *step: told.append(step)
    for curve in (False, True):
        policy = model()
        place.fit(policy, pairs(), likelihood(place, policy), **SCHEDULE, curve=curve)
        assert (points, len(told)) == (([0, 4, 8], 8) if curve else ([], 0))


@pytest.mark.parametrize("curve", [True, False])
def test_a_loss_that_is_not_finite_ends_the_training(tmp_path, curve):
    place, policy = string_workbench(tmp_path), model()
    loss = likelihood(place, policy)
    with pytest.raises(Diverged):
        place.fit(policy, pairs(), lambda batch, step: loss(batch, step) * torch.nan, **SCHEDULE, curve=curve)


def test_rows_may_be_conversations(tmp_path):
    place, policy = string_workbench(tmp_path), model()
    rows = Dataset.from_dict({"prompt": [[{"role": "user", "content": "a"}]] * 2, "chosen": ["b", "c"]})
    kinds = []
    place.fit(policy, rows, lambda batch, step: kinds.append(batch) or next(policy.parameters()).sum(), **SCHEDULE)
    assert kinds[0]["prompt"] == [[{"role": "user", "content": "a"}]] * 2


def test_an_empty_prompt_is_refused():
    with pytest.raises(ValueError, match="empty prompt"):
        completion_logprobs(model(), [[]], [[1]])
