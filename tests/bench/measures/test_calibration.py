"""Calibration: cases by hand, simulated models whose calibration is known, and how choices are scored."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from bench.contracts.stage_settings import TinyModel
from bench.contracts.task import Probe
from bench.measures.binned_calibration import (
    brier,
    brier_decomposition,
    debiased_ece,
    expected_calibration_error,
    l1_debiased_ece,
    reliability,
    wilson_interval,
)
from bench.measures.calibration import exact_calibration_error, nll
from bench.measures.probe_answers import at_temperature, every_choice, top_choice
from bench.models.multiple_choice import choice_probabilities, encode_questions
from bench.models.tiny import tiny_model
from bench.models.tokenizers import bpe_tokenizer, word_tokenizer


def simulated(seed: int, questions: int, choices: int, over_confidence: float = 1.0):
    """Questions with Dirichlet posteriors, answers drawn from them; a model whose logits are scaled."""
    rng = np.random.default_rng(seed)
    posteriors = rng.dirichlet(np.ones(choices), questions)
    answers = (posteriors.cumsum(1) < rng.uniform(size=(questions, 1))).sum(1)
    model = posteriors**over_confidence
    return model / model.sum(1, keepdims=True), posteriors, answers.tolist()


def test_ece_by_hand():
    # bins [0.1, 0.2) and [0.9, 1]: ¾·|0.95 − ⅔| + ¼·|0.1 − 0|
    confidences, outcomes = [0.95, 0.95, 0.95, 0.1], [1, 1, 0, 0]
    assert expected_calibration_error(confidences, outcomes) == pytest.approx(0.75 * (0.95 - 2 / 3) + 0.25 * 0.1)
    assert expected_calibration_error([1.0, 0.0], [1, 0]) == 0
    assert expected_calibration_error([1.0, 0.0], [0, 1]) == 1


def test_the_two_events_by_hand():
    probabilities, answers = [np.array([0.7, 0.3]), np.array([0.4, 0.6])], [0, 0]
    confidences, outcomes = every_choice(probabilities, answers)
    np.testing.assert_allclose(confidences, [0.7, 0.3, 0.4, 0.6])
    np.testing.assert_array_equal(outcomes, [1, 0, 1, 0])
    confidences, outcomes = top_choice(probabilities, answers)
    np.testing.assert_allclose(confidences, [0.7, 0.6])
    np.testing.assert_array_equal(outcomes, [1, 0])


@pytest.mark.parametrize(
    ("event", "within", "spread"),
    # every choice: 40,000 entries. The top choice alone is 10,000 events of p(1 − p) ≈ 0.2, whose mean itself has a
    # standard error of 0.0045: no estimate is much surer
    [(every_choice, 0.98, 0.002), (top_choice, 0.75, 0.0045)],
)
def test_debiased_ece_of_a_calibrated_model_is_within_0_005_of_0_at_10000_questions(event, within, spread):
    draws = (simulated(seed, 10_000, 4) for seed in range(200))
    entries = [event(probabilities, answers) for probabilities, _, answers in draws]
    values = [debiased_ece(*each) for each in entries]
    assert np.mean(np.abs(values) <= 0.005) >= within
    assert abs(np.mean(values)) <= 0.001
    assert np.std(values) <= spread
    plain = [expected_calibration_error(*each) for each in entries[:20]]
    assert np.mean(plain) > 0.002 > 4 * abs(np.mean(values))  # keeps its bias


def test_l1_debiased_ece_by_hand():
    # one bin of 100 outcomes, half of them right: a gap of 0.05, which is one standard error
    folded = 0.05 * (2 * norm.pdf(1) + 2 * norm.cdf(1) - 1)
    assert l1_debiased_ece(np.full(100, 0.45), np.tile([1.0, 0.0], 50)) == pytest.approx(2 * 0.05 - folded)
    assert l1_debiased_ece(np.full(10_000, 0.9), np.tile([1.0, 0.0], 5000)) == pytest.approx(0.4, abs=1e-6)


def errors_of(estimators, true_gap, entries, repetitions=60):
    """Root mean square error of each estimator where every confidence is too low by `true_gap`."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(repetitions):
        confidences = rng.uniform(0.2, 0.85, entries)
        outcomes = (rng.random(entries) < confidences + true_gap).astype(float)
        found.append([estimator(confidences, outcomes) - true_gap for estimator in estimators])
    return np.array(found)


@pytest.mark.parametrize("entries", [2000, 10_000])
def test_the_primary_ece_errs_least_over_true_errors(entries):
    estimators = (l1_debiased_ece, debiased_ece, expected_calibration_error)
    errors = np.concatenate([errors_of(estimators, gap, entries) for gap in (0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)])
    primary, cross_fitted, plain = np.sqrt((errors**2).mean(0))
    assert primary < 0.95 * cross_fitted
    assert primary < plain


def test_the_primary_ece_shows_a_calibrated_model_what_its_page_says():
    shown = errors_of([l1_debiased_ece], 0.0, 10_000, repetitions=100).mean()
    assert 0.0055 < shown < 0.74 / math.sqrt(10_000)


def test_debiased_ece_finds_real_miscalibration():
    probabilities, posteriors, answers = simulated(0, 10_000, 2, over_confidence=2.0)
    truth = exact_calibration_error(probabilities, posteriors)
    assert truth > 0.09
    # here the confidence determines the posterior, so the upper bound is the calibration error itself
    assert debiased_ece(*every_choice(probabilities, answers)) == pytest.approx(truth, abs=0.01)


def test_debiased_ece_of_few_distinct_confidences_keeps_equals_together():
    # shuffled entries of one confidence must not be sorted into bins by anything else
    outcomes = np.repeat([0.0, 1.0], 5000)
    assert abs(debiased_ece(np.full(10_000, 0.5), outcomes)) < 0.005
    assert debiased_ece(np.full(10_000, 0.9), outcomes) == pytest.approx(0.4, abs=1e-6)


def test_a_question_with_fewer_choices_adds_only_those():
    probabilities, answers = [[0.7, 0.3], [0.2, 0.3, 0.5], [1.0, 0.0]], [0, 2, 0]
    confidences, outcomes = every_choice(probabilities, answers)
    np.testing.assert_allclose(confidences, np.concatenate(probabilities))
    np.testing.assert_array_equal(outcomes, [1, 0, 0, 0, 1, 1, 0])
    np.testing.assert_allclose(top_choice(probabilities, answers)[0], [0.7, 0.5, 1.0])
    assert nll(probabilities, answers) == pytest.approx(-(math.log(0.7) + math.log(0.5)) / 3)
    scaled = at_temperature(probabilities, 2.0)
    assert [len(row) for row in scaled] == [2, 3, 2]
    np.testing.assert_allclose(scaled[1], np.sqrt(probabilities[1]) / np.sqrt(probabilities[1]).sum())
    with pytest.raises(ValueError, match="answer"):
        every_choice(probabilities, [0, 3, 0])
    with pytest.raises(ValueError, match="number of choices"):
        exact_calibration_error(probabilities, [[0.7, 0.3], [0.5, 0.5], [1.0, 0.0]])


def test_brier_decomposition_is_an_identity():
    probabilities, _, answers = simulated(3, 500, 3, over_confidence=1.7)
    entries = every_choice(probabilities, answers)
    parts = brier_decomposition(*entries)
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within_bin"]
    assert total == pytest.approx(brier(*entries), abs=1e-12)


def test_brier_decomposition_by_hand():
    # forecasts 0.2 (1 of 4 happens) and 0.8 (3 of 4): reliability 0.05², resolution 0.25², uncertainty 0.25
    confidences, outcomes = [0.2] * 4 + [0.8] * 4, [1, 0, 0, 0, 1, 1, 1, 0]
    parts = brier_decomposition(confidences, outcomes)
    assert parts["reliability"] == pytest.approx(0.0025)
    assert parts["resolution"] == pytest.approx(0.0625)
    assert parts["uncertainty"] == pytest.approx(0.25)
    assert parts["within_bin"] == pytest.approx(0)


def test_nll_and_exact_error_by_hand():
    probabilities = [np.array([0.25, 0.75]), np.array([1.0, 0.0])]
    assert nll(probabilities, [0, 0]) == pytest.approx(math.log(4) / 2)
    assert math.isfinite(nll(probabilities, [0, 1]))
    assert exact_calibration_error(probabilities, [(0.5, 0.5), (0.9, 0.1)]) == pytest.approx(0.175)


def test_reliability_has_counts_and_intervals_that_hold_the_accuracy():
    probabilities, _, answers = simulated(0, 1000, 2)
    frame = reliability(*every_choice(probabilities, answers))
    assert frame["count"].sum() == 2000
    assert ((frame["low"] <= frame["accuracy"]) & (frame["accuracy"] <= frame["high"])).all()
    assert frame["confidence"].between(frame["bin"] / 10, (frame["bin"] + 1) / 10).all()
    # Wilson's own interval for 0 of 10: [0, z²/(n + z²)]
    low, high = wilson_interval(np.array([0.0]), np.array([10.0]))
    assert low[0] == pytest.approx(0, abs=1e-12)
    assert high[0] == pytest.approx(1.959964**2 / (10 + 1.959964**2))


@pytest.fixture(scope="module")
def world():
    tokenizer = word_tokenizer(["good", "bad", "film", "a", "is"])
    model = tiny_model(TinyModel(layers=1, width=16, heads=2, context=32, steps=1), tokenizer, seed=0).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    return model, tokenizer


def asked(model, tokenizer, probes, batch_size):
    questions = encode_questions(tokenizer, probes)
    return questions.by_question(choice_probabilities(model, questions, batch_size))


def next_token(model, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)


def test_choices_of_one_token_are_scored_by_the_next_token(world):
    model, tokenizer = world
    probes = [Probe(query, (" good", " bad", " film"), 0) for query in ("a film is", "is", "a film is")]
    rows = asked(model, tokenizer, probes, batch_size=2)
    ids = tokenizer("a film is")["input_ids"]
    wanted = [tokenizer(f"a film is {word}")["input_ids"][-1] for word in ("good", "bad", "film")]
    np.testing.assert_allclose(rows[0], next_token(model, ids)[wanted].softmax(0), atol=1e-5)
    np.testing.assert_array_equal(rows[0], rows[2])
    assert not np.allclose(rows[0], rows[1])


def test_distinct_queries_run_once_where_choices_are_one_token(world):
    model, tokenizer = world
    seen = []
    handle = model.register_forward_hook(lambda *args: seen.append(args[2].logits.shape[0]))
    asked(model, tokenizer, [Probe("a film is", (" good", " bad"), 0)] * 50, batch_size=16)
    handle.remove()
    assert seen == [1]


def test_choices_of_several_tokens_are_scored_by_their_sum(world):
    model, tokenizer = world
    probes = [Probe("a film is", (" good", " bad bad film"), 0), Probe("a", (" film", " film is"), 1)]
    rows = asked(model, tokenizer, probes, batch_size=3)
    logp = []
    for choice in probes[0].choices:
        ids = tokenizer("a film is")["input_ids"]
        total = 0.0
        for token in tokenizer("a film is" + choice)["input_ids"][len(ids) :]:
            total += float(next_token(model, ids)[token])
            ids = [*ids, token]
        logp.append(total)
    np.testing.assert_allclose(rows[0], torch.tensor(logp).softmax(0), atol=1e-5)
    assert rows[1].sum() == pytest.approx(1)


def test_choices_survive_tokens_that_merge_across_the_boundary():
    tokenizer = bpe_tokenizer(["the answer is yes", "the answer is no"] * 50, size=300)
    model = tiny_model(TinyModel(layers=1, width=16, heads=2, context=64, steps=1), tokenizer, seed=0)
    probes = [Probe("the answer is", (" yes", " no"), 0), Probe("the answer is ", ("yes", "no"), 0)]
    rows = asked(model, tokenizer, probes, batch_size=4)
    # the whole texts are the same, and so are the probabilities of their tokens
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)
