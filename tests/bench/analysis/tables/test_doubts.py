"""Runs that have nothing to say: empty, all alike, never ended; a judge, and a reward model, no better than a coin."""

import json

import pytest

from bench.analysis.tables.doubts import doubted, doubts
from bench.analysis.tables.main_table import main_sections, main_table
from bench.analysis.winrates.pairs import judged_pairs
from bench.records.chance import accuracy_of
from bench.records.loading import load_run
from tests.bench.analysis.synthetic_run import ARMS, seal, write_run


def changed(directory, change, only=""):
    for file in directory.glob(f"cells/*{only}*/record.json"):
        record = json.loads(file.read_text())
        change(record)
        file.write_text(json.dumps(record))
    return load_run(seal(directory))


def notes(run):
    (section,) = main_sections(run)
    return "\n".join(section.notes)


@pytest.mark.parametrize(
    "measures, doubt",
    [
        ({"empty": 1.0, "commonest": 1.0, "finished": 1.0}, "empty"),
        ({"length": 1.0, "finished": 1.0}, "empty"),  # recorded before emptiness was a measure
        ({"empty": 0.0, "commonest": 0.97, "finished": 1.0}, "alike"),
        ({"empty": 0.0, "commonest": 0.1, "finished": 0.0}, "endless"),
    ],
)
def test_an_arm_that_says_nothing_is_marked_and_told(tmp_path, measures, doubt):
    directory = write_run(tmp_path / "run", seeds=2, probes=0, arms=ARMS[:3])
    run = changed(directory, lambda record: record["measures"].update(measures), only=f"-{ARMS[2][1]}-2-seed1")
    assert doubts(run.records) == {doubt: {ARMS[2][0]: 1}}
    table = main_table(run).set_index("arm")["seeds ok"]
    assert table[ARMS[2][0]] == "2/2 †"
    assert table[ARMS[0][0]] == "2/2"
    assert f"{ARMS[2][0]} (1 of 2 cells)" in notes(run)


def test_an_arm_that_speaks_is_not_doubted(tmp_path):
    directory = write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[:2])
    sound = {"empty": 0.5, "commonest": 0.5, "finished": 0.5, "length": 5.0}
    run = changed(directory, lambda record: record["measures"].update(sound))
    assert doubted(run.records) == set()
    assert "†" not in notes(run)


def judge(accuracy, pairs):
    return lambda record: record["reward_models"].update(judge={"accuracy_heldout": accuracy, "pairs_heldout": pairs})


def test_a_judge_no_better_than_a_coin_gives_no_win_rate(tmp_path):
    directory = write_run(tmp_path / "run", seeds=2, probes=0, gold=False, arms=ARMS[:3])
    run = changed(directory, judge(0.55, 40))
    assert run.records[["win", "tie", "loss", "win_rate"]].isna().all(axis=None)
    assert "win rate vs SFT ↑" not in main_table(run)
    assert judged_pairs(run) is None
    assert "No win rates: the judging reward model's accuracy, 0.55 [0.38, 0.71] on 40 held-out pairs" in notes(run)


def test_a_judge_that_can_judge_does(tmp_path):
    directory = write_run(tmp_path / "run", seeds=2, probes=0, gold=False, arms=ARMS[:3])
    run = changed(directory, judge(0.70, 500))
    assert run.records["win_rate"].notna().all()
    assert judged_pairs(run) is not None
    assert "No win rates" not in notes(run)


def test_a_reward_model_no_better_than_a_coin_is_told(tmp_path):
    directory = write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[:2])
    coin = {"accuracy_heldout": 0.52, "pairs_heldout": 100}
    run = changed(directory, lambda record: record["reward_models"].update(reward_model=coin))
    assert "† Reward model: its accuracy, 0.52 [0.42, 0.62] on 100 held-out pairs, is no better than a coin's" in notes(
        run
    )


def test_the_interval_of_an_accuracy_is_clopper_and_pearsons():
    found = accuracy_of([{"accuracy_heldout": 0.9, "pairs_heldout": 10}])
    assert (found.share, found.pairs) == (0.9, 10)
    assert (found.low, found.high) == pytest.approx((0.5550, 0.9975), abs=1e-4)
    assert not found.at_chance
    # two judges together; the same one in two cells counts once
    both = accuracy_of([{"accuracy_heldout": a, "pairs_heldout": 20} for a in (0.6, 0.5, 0.6)])
    assert (both.share, both.pairs, both.at_chance) == (0.55, 40, True)
    assert accuracy_of([{"accuracy_heldout": float("nan"), "pairs_heldout": 0}]) is None


def test_an_arm_with_a_measure_in_fewer_cells_is_told(tmp_path):
    directory = write_run(tmp_path / "run", seeds=3, probes=0, arms=ARMS[:2])
    run = changed(directory, lambda record: record["measures"].update(perplexity_samples=None), only="-1-seed2")
    assert f"perplexity_samples of {ARMS[1][0]} 2 of 3" in notes(run)


def test_prompts_that_were_left_out_are_told(tmp_path):
    directory = write_run(tmp_path / "run", seeds=2, probes=0, arms=ARMS[:2])
    run = changed(directory, lambda record: record["data"].update(prompts_measured=29, prompts_asked=32))
    assert "† Measured on 29 of 32 held-out prompts" in notes(run)
