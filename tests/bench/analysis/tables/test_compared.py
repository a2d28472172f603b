"""The measures that tables choose are names of the registry: one that is not would be left out without a word."""

import pytest

from bench.analysis.tables import ablation, diff, main_table, paired
from bench.measures.registry import MEASURES


@pytest.mark.parametrize("chosen", [main_table.SHOWN, paired.COMPARED, ablation.COMPARED, diff.COMPARED])
def test_every_chosen_measure_is_known(chosen):
    assert set(chosen) <= set(MEASURES)
