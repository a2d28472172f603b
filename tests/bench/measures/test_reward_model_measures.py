"""Rank correlation by hand."""

import math

import pytest

from bench.measures.reward_accuracy import rank_correlation


def test_rank_correlation_is_spearmans_with_tied_ranks_shared():
    assert rank_correlation([1, 20, 300], [-1, 0, 5]) == pytest.approx(1)
    assert rank_correlation([3, 2, 1], [-1, 0, 5]) == pytest.approx(-1)
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5
    assert rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_what_is_the_same_for_all_ranks_nothing_and_what_is_no_number_is_an_error():
    assert math.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))
    with pytest.raises(ValueError, match="not finite"):
        rank_correlation([1, math.nan], [1, 2])
