"""`unlikelihood`, `rank` and `ordinal`: losses by hand, and what they do to a policy."""

import math

import pytest
import torch
from datasets import Dataset
from scipy.stats import spearmanr

from methods.completion_groups.trainer import collate
from methods.ordinal import Ordinal
from methods.ordinal.coral import CORAL, LEVELS, ordinal_loss, starting_thresholds
from methods.rank import Rank, rank_loss
from methods.unlikelihood import Unlikelihood, unlikelihood_loss
from tests.methods.string_workbench import (
    TASK,
    TOKENIZER,
    model,
    pad_is_eos,
    ratings,
    same,
    sequence_logps,
    string_workbench,
)

QUICK = {"epochs": 3, "learning_rate": 1e-2}
TRAINED = [
    Unlikelihood(**QUICK),
    Rank(**QUICK),
    Ordinal(use="condition", samples=128, head_learning_rate=1e-2, **QUICK),
]


def logs(*rows):
    return torch.tensor(rows, dtype=torch.float32).log()


def test_the_unlikelihood_of_a_negative_is_that_of_each_of_its_tokens():
    logprobs = logs([0.5, 0.25, 0.9], [0.5, 0.2, 0.9])
    mask = torch.tensor([[True, True, False], [True, True, False]])
    likelihood = -(math.log(0.5) + math.log(0.25)) / 2
    unlikelihood = -(math.log(0.5) + math.log(0.8)) / 2
    loss = unlikelihood_loss(logprobs, mask, torch.tensor([True, False]), 0.4)
    assert float(loss) == pytest.approx(likelihood + 0.4 * unlikelihood)
    assert float(unlikelihood_loss(logprobs[:1], mask[:1], torch.tensor([True]), 0.4)) == pytest.approx(likelihood)


def test_a_certain_negative_gives_a_finite_loss_and_gradient():
    logprobs = torch.zeros(1, 2, requires_grad=True)
    unlikelihood_loss(logprobs, torch.ones(1, 2, dtype=torch.bool), torch.tensor([False]), 1.0).backward()
    assert logprobs.grad.isfinite().all()


def test_random_negatives_are_as_long_as_the_rejected_and_have_no_special_token(tmp_path):
    own, random, none = (
        Unlikelihood(negatives=kind).groups(string_workbench(tmp_path)) for kind in ("rejected", "random", "none")
    )
    assert [len(group.completions) for group in none] == [1] * 64
    for mine, theirs, alone in zip(own, random, none, strict=True):
        assert mine.completions[0] == theirs.completions[0] == alone.completions[0]
        assert len(mine.completions[1][1]) == len(theirs.completions[1][1])
        *words, end = theirs.completions[1][1]
        assert end == TOKENIZER.eos_token_id
        assert not set(words) & set(TOKENIZER.all_special_ids)
    assert [group.completions[1] for group in own] != [group.completions[1] for group in random]


def test_a_negative_is_not_blamed_for_the_tokens_of_its_positive(tmp_path):
    groups = Unlikelihood().groups(string_workbench(tmp_path))
    batch = collate(groups, TOKENIZER.pad_token_id)
    for row, group in enumerate(groups):
        (head, positive), (_, negative) = group.completions
        looked_at = batch["completion_mask"][2 * row : 2 * row + 2].bool()
        kept = [batch["input_ids"][2 * row + side][looked_at[side]].tolist() for side in (0, 1)]
        assert kept[0] == positive
        assert kept[1] == [token for token in negative if token not in positive]
        assert not looked_at[:, : len(head)].any()


@pytest.mark.parametrize(("negatives", "share"), [("rejected", 1 / 3), ("random", 1 / 2), ("none", 1 / 2)])
def test_own_negatives_move_the_optimum_and_gibberish_does_not(tmp_path, negatives, share):
    # c and d are chosen equally often, and d is rejected for c: α = 1/2 on one token where two are made likely gives
    # log p(c) + log p(d) + log(1 − p(d)), whose maximum is at p(d) = 1/3
    rows = {"prompt": ["a b"] * 64, "chosen": [" c", " d"] * 32, "rejected": [" d", " e"] * 32}
    place = string_workbench(tmp_path, load_preferences=lambda: Dataset.from_dict(rows))
    method = Unlikelihood(negatives=negatives, alpha=0.5, epochs=60, batch_size=64, learning_rate=3e-2)
    policy = method.train(place).model
    with torch.no_grad():
        ids = TOKENIZER(["a b c", "a b d"], return_tensors="pt")["input_ids"]
        probabilities = policy(ids).logits[0, 1].softmax(-1)[ids[:, 2]]
    assert float(probabilities.sum()) > 0.95
    assert float(probabilities[1]) == pytest.approx(share, abs=0.03)


def test_the_ranking_loss_by_hand():
    # two groups: ratings 1 and 3, then 5, 2, 2; mean log-probabilities −1, −2, then −3, −1, −2
    logprobs = torch.tensor([[-1.0, -1.0], [-2.0, 0.0], [-3.0, -3.0], [-1.0, -1.0], [-2.0, -2.0]])
    mask = torch.tensor([[True, True], [True, False], [True, True], [True, True], [True, True]])
    scores, groups = torch.tensor([1.0, 3.0, 5.0, 2.0, 2.0]), torch.tensor([0, 0, 1, 1, 1])
    hinges = (-1 + 2) + (-1 + 3) + (-2 + 3)
    best = (2 + 3) / 2
    assert float(rank_loss(logprobs, mask, scores, groups, 0.5)) == pytest.approx(0.5 * hinges / 2 + best)


def test_completions_are_not_ranked_across_prompts_nor_among_equal_ratings():
    logprobs = torch.tensor([[-1.0], [-2.0], [-3.0]], requires_grad=True)
    mask = torch.ones(3, 1, dtype=torch.bool)
    rank_loss(logprobs, mask, torch.tensor([1.0, 1.0, 4.0]), torch.tensor([0, 0, 1]), 10.0).backward()
    # what is left is the cross-entropy of the first of each group
    assert logprobs.grad.tolist() == [[-0.5], [0.0], [-0.5]]


def test_the_ratings_of_a_prompt_make_one_group(tmp_path):
    groups = Rank().groups(string_workbench(tmp_path))
    assert [len(group.completions) for group in groups] == [4] * 64
    assert [score for group in groups for score in group.values] == list(ratings()["score"])
    assert all(len({tuple(head) for head, _ in group.completions}) == 1 for group in groups)


def test_rank_puts_the_better_rated_completions_first(tmp_path):
    def agreement(policy):
        rows = ratings()
        sums, lengths = sequence_logps(policy, rows["prompt"], rows["completion"])
        return spearmanr(sums / lengths, rows["score"]).statistic

    policy = Rank(rank_weight=3.0, epochs=6, learning_rate=1e-2).train(string_workbench(tmp_path)).model
    assert agreement(policy) > agreement(model()) + 0.2


def test_the_ordinal_loss_is_the_sum_over_the_steps_of_the_scale():
    logits = torch.tensor([[2.0, 1.0, -1.0, -2.0]])
    expected = -sum(math.log(p if k < 3 else 1 - p) for k, p in enumerate(logits.sigmoid()[0].tolist(), start=1))
    assert float(ordinal_loss(logits, torch.tensor([3]))) == pytest.approx(expected)


def test_thresholds_start_at_the_shares_of_the_ratings_and_fall_along_the_scale():
    scores = torch.tensor([1, 2, 2, 3, 4, 5, 5, 5] * 1000)
    shares = starting_thresholds(scores).sigmoid()
    assert shares.tolist() == pytest.approx([7 / 8, 5 / 8, 4 / 8, 3 / 8], abs=1e-3)
    assert len(shares) == LEVELS - 1
    assert starting_thresholds(torch.tensor([3, 3])).isfinite().all()


def test_the_regression_learns_the_order_of_the_ratings_and_best_of_n_follows_it(tmp_path):
    place = string_workbench(tmp_path, needs={"ratings"})
    method = Ordinal(n=8, head_epochs=8, head_learning_rate=1e-2)
    policy = method.train(place)
    rows = ratings()
    assert spearmanr(policy.reward(rows["prompt"], rows["completion"]), rows["score"]).statistic > 0.5
    prompts = list(TASK.prompts("test")["prompt"])
    drawn = place.policy(place.reference).sample([prompt for prompt in prompts for _ in range(8)], 1)
    scores = policy.reward(drawn.prompts, drawn.completions)
    best = policy.sample(prompts, 1)
    assert policy.reward(best.prompts, best.completions) == pytest.approx(
        [max(scores[i : i + 8]) for i in range(0, len(scores), 8)], abs=1e-4
    )
    assert policy.model is None
    assert policy.kl_bound == pytest.approx(math.log(8) - 7 / 8)
    (tmp_path / "policy").mkdir()
    policy.save(tmp_path / "policy")
    assert method.load(place, tmp_path / "policy").sample(prompts[:8], 2) == policy.sample(prompts[:8], 2)


def test_a_regression_needs_no_reward_model_and_no_pairs(tmp_path):
    place = string_workbench(tmp_path, needs={"ratings"})
    place.load_preferences = place.load_reward_model = lambda: pytest.fail("only ratings are declared")
    for method in (Rank(**QUICK), *TRAINED[2:]):
        method.train(place)
    assert Rank.needs == Ordinal.needs == {"ratings"}


@pytest.mark.parametrize("method", TRAINED, ids=lambda method: method.name)
def test_same_seed_same_weights_and_pad_may_be_eos(method, tmp_path):
    first, second = (method.train(string_workbench(tmp_path)) for _ in range(2))
    assert same(first.model, second.model)
    assert not same(first.model, method.train(string_workbench(tmp_path, seed=1)).model)
    padded = method.train(string_workbench(tmp_path, tokenizer=pad_is_eos())).model
    if method.name == "ordinal":  # its score is read one token earlier there, see bench.models.learned_reward
        assert all(p.isfinite().all() for p in padded.parameters())
    else:
        states = first.model.state_dict(), padded.state_dict()
        assert all(torch.allclose(tensor, states[1][name], atol=1e-4) for name, tensor in states[0].items())


def test_the_thresholds_are_trained_with_the_score():
    classifier = CORAL(torch.nn.Identity(), torch.zeros(4))
    assert [name for name, _ in classifier.named_parameters()] == ["thresholds"]
