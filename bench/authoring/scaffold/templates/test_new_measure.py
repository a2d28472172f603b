"""`new_measure` keeps what the bench asks of every measure, and gives the number that it should."""

import pytest
from new_measure import NewMeasure

from bench import measure_checks


@pytest.mark.parametrize("check", measure_checks(NewMeasure))
def test_the_contract_is_kept(check):
    check()


def test_repeated_words_count():
    assert NewMeasure().compute(texts=["a b c d", "a a a a", ""]) == 0.75 / 3
