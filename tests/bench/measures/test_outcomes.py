"""Win, tie and loss; diversity; standardised rewards: cases by hand."""

import numpy as np
import pytest

from bench.measures.diversity import distinct_n, token_entropy, unique_share
from bench.measures.means import standardise
from bench.measures.preference import outcomes, win_rate, win_tie_loss


def test_win_tie_loss_with_a_band():
    mine, theirs = [1.0, 0.0, 0.5, 0.5], [0.0, 1.0, 0.5, 0.45]
    assert win_tie_loss(mine, theirs, tie_band=0.1) == (1, 2, 1)
    assert win_tie_loss(mine, theirs, tie_band=0.0) == (2, 1, 1)
    assert outcomes([0.1 + 0.2], [0.3], 0.0).tolist() == ["tie"]  # equal but for the last digit
    assert outcomes(mine, theirs, 0.1).tolist() == ["win", "loss", "tie", "tie"]
    assert win_rate(1, 2, 1) == 0.5
    assert win_rate(0.6, 0.2, 0.2) == pytest.approx(0.7)


def test_a_score_that_is_not_a_number_is_no_loss():
    with pytest.raises(ValueError, match="not finite"):
        win_tie_loss([float("nan")], [0.0], 0.0)


def test_distinct_and_unique_are_taken_within_each_prompt():
    texts = ["a b", "a b", "c d", "c e"]
    prompts = [0, 0, 1, 1]
    assert distinct_n(texts, prompts, 1) == pytest.approx((2 / 4 + 3 / 4) / 2)
    assert distinct_n(texts, prompts, 2) == pytest.approx((1 / 2 + 2 / 2) / 2)
    assert unique_share(texts, prompts) == pytest.approx((1 / 2 + 1) / 2)
    assert np.isnan(distinct_n(["", "a"], [0, 1], 2))


def test_entropy_is_weighted_by_tokens():
    assert token_entropy(np.array([1.0, 6.0]), np.array([1.0, 3.0])) == pytest.approx(7 / 4)


def test_standardised_on_the_reference():
    np.testing.assert_allclose(standardise([1.0, 4.0], [0.0, 2.0]), [0.0, 3 / np.sqrt(2)])
    assert np.isnan(standardise([1.0], [2.0, 2.0])).all()
