"""Measures by hand: the exact optimum, the frontier, reward-model quality, self-BLEU, temperature, next tokens."""

import math

import numpy as np
import pytest
import torch

from bench.contracts.stage_settings import TinyModel
from bench.measures.calibration import ece_debiased, ece_scaled, probe_temperature, token_ece
from bench.measures.diversity import commonest_share, empty_share, self_bleu
from bench.measures.hypervolume import dominated_area, held_out_hypervolume, hypervolume
from bench.measures.optimality import exact_kl, exact_reward, kl_to_optimal, optimality_gap, reward_slope
from bench.measures.perplexity import surprising_share
from bench.measures.preference import mean_logp
from bench.measures.reward_accuracy import pair_accuracy, pair_ece, pair_nll
from bench.models.text_likelihood import next_tokens, token_nll
from bench.models.tiny import tiny_model
from bench.models.tokenizers import word_tokenizer


def enumerated(seed: int = 0, prompts: int = 2, outcomes: int = 6):
    rng = np.random.default_rng(seed)
    reference = np.log(rng.dirichlet(np.ones(outcomes), prompts))
    gold = rng.normal(size=(prompts, outcomes))
    return reference, gold, np.repeat(np.arange(prompts), outcomes)


def test_the_optimal_policy_has_no_gap_and_any_other_of_its_kl_has_one():
    reference, gold, prompt = enumerated()
    beta = 0.7
    optimal = reference + gold / beta
    optimal -= np.log(np.exp(optimal).sum(1, keepdims=True))
    columns = optimal.ravel(), reference.ravel(), gold.ravel(), prompt
    assert optimality_gap(*columns) == pytest.approx(0, abs=1e-8)
    assert kl_to_optimal(*columns) == pytest.approx(0, abs=1e-8)
    # tilted by another reward, brought to the same KL by hand: gap = β KL(π ‖ π*)
    other = reference - gold / beta
    other -= np.log(np.exp(other).sum(1, keepdims=True))
    columns = other.ravel(), reference.ravel(), gold.ravel(), prompt
    gap, distance = optimality_gap(*columns), kl_to_optimal(*columns)
    assert gap > 0.5
    best = exact_reward(other.ravel(), gold.ravel(), prompt) + gap
    implied = gap / distance
    tilt = reference + gold / implied
    tilt -= np.log(np.exp(tilt).sum(1, keepdims=True))
    assert exact_reward(tilt.ravel(), gold.ravel(), prompt) == pytest.approx(best, abs=1e-6)
    assert exact_kl(tilt.ravel(), reference.ravel(), prompt) == pytest.approx(
        exact_kl(other.ravel(), reference.ravel(), prompt), abs=1e-6
    )


def test_the_slope_of_the_log_ratio_on_reward_is_one_over_beta_for_the_optimum_and_zero_for_the_reference():
    reference, gold, prompt = enumerated()
    for beta in (0.1, 0.7, 5.0):
        optimal = reference + gold / beta
        optimal -= np.log(np.exp(optimal).sum(1, keepdims=True))
        assert reward_slope(optimal.ravel(), reference.ravel(), gold.ravel(), prompt) == pytest.approx(1 / beta)
    assert reward_slope(reference.ravel(), reference.ravel(), gold.ravel(), prompt) == pytest.approx(0)
    with np.errstate(divide="ignore"):
        never = np.log(np.eye(6)[reference.argmax(1)])
    assert math.isnan(reward_slope(never.ravel(), reference.ravel(), gold.ravel(), prompt))


def test_the_reference_has_no_gap_and_a_policy_beyond_the_argmax_has_no_optimum_at_its_kl():
    reference, gold, prompt = enumerated()
    same = reference.ravel(), reference.ravel(), gold.ravel(), prompt
    assert (optimality_gap(*same), kl_to_optimal(*same)) == pytest.approx((0, 0), abs=1e-12)
    with np.errstate(divide="ignore"):
        unlikely = np.log(np.eye(6)[reference.argmin(1)])
    columns = unlikely.ravel(), reference.ravel(), gold.ravel(), prompt
    own = gold[[0, 1], reference.argmin(1)].mean()
    if kl_to_optimal(*columns) == math.inf:
        assert optimality_gap(*columns) == pytest.approx(gold.max(1).mean() - own)
    assert exact_kl(reference.ravel(), unlikely.ravel(), prompt) == math.inf
    flat = reference.ravel(), reference.ravel(), np.zeros(12), prompt
    assert optimality_gap(*flat) == 0


def test_the_best_chosen_by_one_estimate_is_read_from_another():
    # within 2 to 5 nats the first is chosen (read 0.5), from 5 on the second (read −0.2), π0 before
    assert held_out_hypervolume([5, 2], [3, 1], [-0.2, 0.5]) == pytest.approx((3 * 0.5 - 5 * 0.2) / 10)
    assert held_out_hypervolume([2, 5], [-1, -2], [9, 9]) == 0  # π0 is the better choice
    assert held_out_hypervolume([2, 20], [1, 9], [0.5, 9]) == pytest.approx(0.8 * 0.5)
    noise = np.random.default_rng(0).normal(0, 1, (2, 200, 20))  # twenty points of no gain, two independent estimates
    cursed = [hypervolume(np.arange(20) / 2, one) for one in noise[0]]
    held_out = [held_out_hypervolume(np.arange(20) / 2, one, other) for one, other in zip(*noise, strict=True)]
    assert np.mean(cursed) > 1
    assert np.mean(held_out) == pytest.approx(0, abs=0.1)


def test_the_area_that_points_dominate_by_hand():
    assert dominated_area([[3, 1], [1, 2], [0.5, 0.5]]) == pytest.approx(3 * 1 + 1 * 1)
    assert dominated_area([[-1, 5], [2, 0]]) == 0
    assert dominated_area([[2, 1], [2, 3]]) == 6


def test_hypervolume_by_hand():
    # best is 0 up to 2 nats, 1 up to 5, 3 up to 10: (0·2 + 1·3 + 3·5) / 10
    assert hypervolume([2, 5, 7, 20], [1, 3, 2, 9]) == pytest.approx(1.8)
    assert hypervolume([2, 5], [1, 3], start=1.0) == pytest.approx(1.0)
    assert hypervolume([1], [-5]) == 0
    assert hypervolume([-0.1], [2.0]) == 2
    assert hypervolume([math.inf], [2.0]) == 0


def test_reward_model_quality_by_hand():
    chosen, rejected = [1.0, 0.0, 2.0, 1.0], [0.0, 1.0, 2.0, -1.0]
    assert pair_accuracy(chosen, rejected) == 2.5 / 4
    terms = [math.log(1 + math.exp(-d)) for d in (1, -1, 0, 2)]
    assert pair_nll(chosen, rejected) == pytest.approx(np.mean(terms))


def test_a_calibrated_reward_model_has_no_ece_and_an_over_confident_one_has():
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 1.5, 20_000)
    first_wins = rng.random(20_000) < 1 / (1 + np.exp(-margin))
    margin = np.where(first_wins, margin, -margin)
    assert pair_ece(margin, np.zeros(20_000)) == pytest.approx(0, abs=0.005)
    assert pair_ece(3 * margin, np.zeros(20_000)) > 0.08


@pytest.mark.parametrize("choices", [2, 4])
def test_scaling_undoes_over_confidence(choices):
    rng = np.random.default_rng(1)
    posteriors = rng.dirichlet(np.ones(choices), 10_000)
    answers = (posteriors.cumsum(1) < rng.random((10_000, 1))).sum(1).tolist()
    sharp = posteriors**2.5
    sharp /= sharp.sum(1, keepdims=True)
    assert probe_temperature(list(sharp), answers) == pytest.approx(2.5, rel=0.05)
    assert ece_debiased(list(sharp), answers) > 0.03
    assert ece_scaled(list(sharp), answers) == pytest.approx(0, abs=0.008)


def test_shares_of_empty_and_of_equal_completions_by_hand():
    assert empty_share(["", " \n", "a", "b"]) == 0.5
    assert commonest_share(["a", "a", "b", ""]) == 0.5
    for measure in (empty_share, commonest_share):
        with pytest.raises(ValueError, match="no texts"):
            measure([])


def test_self_bleu_by_hand():
    assert self_bleu(["a b c d", "a b c d"], [0, 0]) == pytest.approx(1)
    assert self_bleu(["a b", "c d"], [0, 0]) == 0
    # "a b c" against "a b d": words 2/3, pairs (1+1)/(2+1), triples (0+1)/(1+1); no brevity penalty
    value = (2 / 3 * 2 / 3 * 1 / 2) ** (1 / 3)
    assert self_bleu(["a b c", "a b d"], [0, 0]) == pytest.approx(value)
    # "a" against "a b c": brevity exp(1 − 3); "a b c" against "a": words 1/3, pairs 1/3, triples 1/2
    both = [math.exp(-2), (1 / 3 * 1 / 3 * 1 / 2) ** (1 / 3)]
    assert self_bleu(["a", "a b c"], [0, 0]) == pytest.approx(np.mean(both))
    assert self_bleu(["a b c d", "a b c d", "x"], [0, 0, 1]) == pytest.approx(1)


def test_surprising_is_beyond_the_references_99th_percentile_per_token():
    own = -np.arange(1.0, 102.0)  # NLL per token 1 … 101, the 99th percentile is 100
    assert surprising_share([-99.0, -101.0, -2 * 99.0, -2 * 101.0], [1, 1, 2, 2], own, np.ones(101)) == 0.5


def test_mean_logp():
    assert mean_logp([-1.0, -3.0]) == -2


def test_next_tokens_by_a_forward_pass_for_each_text():
    tokenizer = word_tokenizer(["good", "bad", "film", "a", "is"])
    model = tiny_model(TinyModel(layers=1, width=16, heads=2, context=32, steps=1), tokenizer, seed=0).eval()
    with torch.no_grad():
        model.transformer.wte.weight.mul_(20)
    prompts, completions = ["a film is", "a", "film"], [" good", " bad film is bad", ""]
    said = next_tokens(model, tokenizer, prompts, completions, batch_size=2)
    nll, tokens = token_nll(model, tokenizer, prompts, completions, batch_size=3)
    np.testing.assert_allclose(said.nll, nll, atol=1e-5)
    np.testing.assert_array_equal(said.tokens, tokens)
    confidence, correct, entries, came = [], [], 0, 0
    for prompt, completion in zip(prompts, completions, strict=True):
        head = tokenizer(prompt)["input_ids"]
        ids = [*tokenizer(prompt + completion)["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            p = model(torch.tensor([ids])).logits[0].double().softmax(-1)
        for place in range(len(head), len(ids)):
            confidence.append(float(p[place - 1].max()))
            correct.append(float(p[place - 1].argmax()) == ids[place])
            entries += int((p[place - 1] >= 0.01).sum())
            came += bool(p[place - 1, ids[place]] >= 0.01)
    order = np.argsort(confidence)
    again = np.argsort(said.token_confidence)
    np.testing.assert_allclose(said.token_confidence[again], np.array(confidence)[order], atol=1e-5)
    assert said.token_correct.sum() == sum(correct)
    assert len(said.entry_confidence) == entries
    assert said.entry_correct.sum() == came
    assert -1 <= token_ece(said.token_confidence, said.token_correct) <= 1
