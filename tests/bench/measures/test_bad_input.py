"""Bad input is an error or a stated result, never a silent number."""

import math

import numpy as np
import pytest

from bench.contracts.errors import BenchError
from bench.measures.binned_calibration import expected_calibration_error
from bench.measures.calibration import (
    accuracy,
    brier_score,
    ece_debiased,
    ece_every_choice,
    ece_scaled,
    ece_top_choice,
    probe_temperature,
)
from bench.measures.computing import compute
from bench.measures.divergence import best_of_n_bound, kl_k3_high, kl_k3_low, mean_kl, mean_kl_k3
from bench.measures.diversity import distinct_1, self_bleu, unique_share
from bench.measures.means import standard_deviation
from bench.measures.perplexity import perplexity
from bench.measures.preference import win_rate, win_rate_of_scores
from bench.measures.registry import MEASURES
from bench.measures.reward_accuracy import pair_accuracy, pair_ece, pair_nll

ONE_COLUMN = [
    info for info in MEASURES.values() if len(info.columns) == 1 and info.columns[0] not in ("answers", "texts")
]


@pytest.mark.parametrize("info", ONE_COLUMN, ids=lambda info: info.name)
@pytest.mark.parametrize("values", [[], [1.0, math.nan]], ids=["empty", "NaN"])
def test_no_values_and_nan_are_errors(info, values):
    with pytest.raises(ValueError, match=r"no |not finite|not numbers"):
        info.compute(values)


@pytest.mark.parametrize("name", ["proxy", "gold", "judge", "length", "chosen_logp"])
def test_an_infinite_score_is_an_error_that_names_the_measure(name):
    with pytest.raises(BenchError, match=f"measure {name}: 1 of 3 .* not finite"):
        compute({MEASURES[name].columns[0]: [0.0, math.inf, 1.0]})


def test_infinite_kl_is_infinite():
    assert mean_kl([1.0, math.inf]) == math.inf
    assert mean_kl_k3([-1000.0], [0.0]) == math.inf
    assert kl_k3_low([-1000.0, 0.0], [0.0, 0.0], [0, 1]) < -500 < kl_k3_high([-1000.0, 0.0], [0.0, 0.0], [0, 1])
    assert math.isnan(kl_k3_low([-1.0, -2.0], [0.0, 0.0], [0, 0]))  # one prompt


def test_one_completion_has_no_spread():
    assert math.isnan(standard_deviation([1.0]))


def test_empty_texts():
    assert math.isnan(distinct_1(["", ""], [0, 0]))
    assert unique_share(["", ""], [0, 0]) == 0.5
    assert self_bleu(["", ""], [0, 0]) == 1
    assert self_bleu(["", "a b"], [0, 0]) == 0
    assert math.isnan(self_bleu(["a"], [0]))
    for measure in (distinct_1, unique_share, self_bleu):
        with pytest.raises(ValueError, match="no texts"):
            measure([], [])
    with pytest.raises(ValueError, match="no tokens"):
        perplexity([0.0], [0])


def test_all_ties_are_an_even_score_and_no_comparison_is_an_error():
    assert win_rate_of_scores([1.0, 2.0], [1.0, 2.0]) == 0.5
    with pytest.raises(ValueError, match="no comparisons"):
        win_rate(0, 0, 0)
    assert pair_accuracy([1.0, 1.0], [1.0, 1.0]) == 0.5
    assert pair_nll([1.0], [1.0]) == pytest.approx(math.log(2))
    assert pair_ece(np.ones(2000), np.ones(2000)) == pytest.approx(0, abs=0.01)


def test_separated_pairs_have_a_finite_likelihood_and_infinite_scores_are_errors():
    assert pair_nll([2000.0, 1000.0], [0.0, 0.0]) == 0
    assert pair_nll([0.0], [2000.0]) == pytest.approx(2000)
    assert pair_accuracy([2000.0], [0.0]) == 1
    with pytest.raises(ValueError, match="not finite"):
        pair_nll([math.inf], [0.0])


def test_a_single_class_and_perfect_separation():
    sure = [np.array([0.9, 0.1])] * 50
    answers = [0] * 50
    assert accuracy(sure, answers) == 1
    assert ece_every_choice(sure, answers) == pytest.approx(0.1)
    assert ece_top_choice(sure, answers) == pytest.approx(0.1)
    assert brier_score(sure, answers) == pytest.approx(0.01)
    assert probe_temperature(sure, answers) < 0.1  # any fit runs away, and stops at its bound of 0.05
    assert probe_temperature(sure, [1] * 50) > 19
    assert ece_scaled(sure, answers) == pytest.approx(0, abs=1e-6)


def test_one_question_can_be_scored_but_not_scaled():
    assert ece_debiased([np.array([0.5, 0.5])], [0]) == pytest.approx(0, abs=0.6)
    assert math.isnan(ece_scaled([np.array([0.5, 0.5])], [0]))


@pytest.mark.parametrize("rows", [[], [np.array([0.5, math.nan])]])
def test_no_questions_and_nan_probabilities_are_errors(rows):
    for measure in (ece_every_choice, ece_debiased, brier_score, accuracy):
        with pytest.raises(ValueError, match=r"no questions|not finite"):
            measure(rows, [0] * len(rows))


def test_a_confidence_beyond_one_is_an_error():
    with pytest.raises(ValueError, match="outside"):
        expected_calibration_error([1.5], [1.0])


def test_best_of_none_is_an_error():
    with pytest.raises(ValueError, match="fewer than one"):
        best_of_n_bound([0])
