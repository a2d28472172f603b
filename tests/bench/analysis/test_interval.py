"""An interval as people read it, and as columns of a frame."""

import math

import pytest

from bench.analysis.interval import Interval


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(0.9372, 0.8872, 0.9872, 3), "0.94 ± 0.05"),
        (Interval(1.864e-7, 1.734e-7, 1.994e-7, 3), "(1.86 ± 0.13)e-7"),
        (Interval(-1e-9, -4e-9, 2e-9, 3), "(-1 ± 3)e-9"),
        (Interval(0.9372, 0.9242, 0.9502, 3), "0.937 ± 0.013"),
        (Interval(1234.5, 1181.5, 1287.5, 3), "1230 ± 50"),
        (Interval(38.9, 36.4, 41.4, 2), "39 ± 2 (n=2)"),
        (Interval(0.93724, math.nan, math.nan, 1), "0.937 (n=1)"),
        (Interval(0.0, 0.0, 0.0, 3), "0"),
    ],
)
def test_numbers_are_rounded_by_their_uncertainty(interval, text):
    assert interval.text(seeds=3) == text


def test_columns_become_the_interval_again():
    interval = Interval(0.5, 0.25, 0.75, 3)
    assert Interval.from_columns(interval.columns()) == interval
    assert Interval.from_columns(interval.columns("gold"), mean="gold") == interval
    assert interval.columns("iqm", "iqm_") == {"iqm": 0.5, "iqm_low": 0.25, "iqm_high": 0.75, "n": 3}


def test_a_difference_has_a_sign_unless_it_rounds_to_zero():
    assert Interval(0.5, 0.25, 0.75, 3).difference_text() == f"+{Interval(0.5, 0.25, 0.75, 3).text()}"
    assert Interval(-0.5, -0.75, -0.25, 3).difference_text().startswith("-0.5")
    assert Interval(0.1, -4.9, 5.1, 3).difference_text() == "0 ± 5"
