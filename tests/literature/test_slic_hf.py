"""SLiC-HF needs pairs alone, and parts chosen from rejected completions until the margin is reached."""

import pytest


@pytest.mark.slow
def test_it_learns_what_is_wanted_from_pairs_and_a_wider_margin_parts_them_further(on_toy):
    arms = {"near": {"method": "slic_hf", "delta": 1}, "far": {"method": "slic_hf", "delta": 8, "epochs": 6}}
    for arm in arms.values():
        arm |= {"learning_rate": 3e-3, "regularisation": 0.01}
    records = on_toy("slic_hf.py", arms)
    assert records.gold["near"] > records.gold["sft"] + 0.1
    gap = records.chosen_logp - records.rejected_logp
    assert gap["sft"] < gap["near"] < gap["far"]
    assert records.cost_reward_model_calls.max() == 0


def test_it_is_short(lines):
    assert lines("slic_hf.py") <= 30
