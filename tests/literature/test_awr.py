"""Advantage-weighted regression: the temperature sets how greedily the policy imitates its own best samples."""

import pytest


@pytest.mark.slow
def test_a_low_temperature_prefers_what_scores_well_and_a_high_one_imitates_every_sample_alike(on_toy):
    arms = {name: {"method": "awr", "beta": beta} for name, beta in {"greedy": 0.3, "mild": 1.5, "none": 1e3}.items()}
    for arm in arms.values():
        arm |= {"epochs": 40, "learning_rate": 3e-3}
    records = on_toy("awr.py", arms)
    assert records.proxy["greedy"] > records.proxy["mild"] > records.proxy["none"] + 0.1
    assert records.gold["greedy"] > records.gold["sft"] + 0.2
    assert abs(records.gold["none"] - records.gold["sft"]) < 0.1


def test_it_is_short(lines):
    assert lines("awr.py") <= 30
