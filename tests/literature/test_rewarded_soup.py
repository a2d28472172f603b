"""Rewarded soups: averaging the weights of two specialists trades one reward for the other."""

import pytest


@pytest.mark.slow
def test_the_average_lies_between_its_specialists_in_both_rewards(on_toy):
    arms = {f"λ {x}": {"method": "rewarded_soup", "share": x, "epochs": 60} for x in (0, 0.5, 1)}
    records = on_toy("rewarded_soup.py", arms)
    assert records.proxy["λ 0"] < records.proxy["λ 0.5"] < records.proxy["λ 1"]
    assert records.length["λ 0"] < records.length["λ 0.5"] < records.length["λ 1"]
    assert records.gold["λ 1"] > records.gold["sft"] + 0.1


def test_it_is_short(lines):
    assert lines("rewarded_soup.py") <= 30
