"""The main table: what it says of whole runs, and of those with one seed, failures or no gold."""

import io

import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.tables.main_table import main_table, print_main_table, summarise, write_main_table
from bench.analysis.tables.main_table_notes import main_table_notes
from bench.records.loading import load_run
from tests.bench.analysis.synthetic_run import ARMS, write_run

NOT_OK = {
    ("ppo without KL", 1): ("diverged", "loss is not finite", 40),
    ("reward gradient", 2): ("failed", "RuntimeError: boom\nTraceback …", None),
    ("dpo", 0): ("skipped", "no preferences", None),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return load_run(write_run(tmp_path_factory.mktemp("runs") / "whole", seeds=3, probes=200, not_ok=NOT_OK, pending=1))


def printed(run, width=200) -> str:
    out = io.StringIO()
    print_main_table(run, Console(file=out, width=width))
    return out.getvalue()


def test_one_row_per_arm_in_the_matrix_order(whole):
    table = main_table(whole)
    assert table["arm"].tolist() == [arm[0] for arm in ARMS]
    assert all("±" in text for text in table["gold reward ↑"])


def test_failures_are_counted_apart_and_never_averaged(whole):
    table = main_table(whole).set_index("arm")
    assert table.loc["ppo without KL", ["seeds ok", "not ok"]].tolist() == ["2/3", "1 diverged"]
    assert table.loc["reward gradient", "not ok"] == "1 failed"
    assert table.loc["dpo", "not ok"] == "1 skipped"
    assert table.loc["ppo", ["seeds ok", "not ok"]].tolist() == ["3/3", ""]
    summary = summarise(whole).set_index(["arm", "measure"])
    assert summary.loc[("ppo without KL", "gold"), "n"] == 2
    text = "\n".join(main_table_notes(whole, "reviews", "tiny"))
    assert "ppo without KL, seed 1: diverged at step 40: loss is not finite" in text
    assert "reward gradient, seed 2: failed: RuntimeError: boom" in text
    assert "Traceback" not in text


def test_notes_say_what_the_numbers_rest_on(whole):
    text = "\n".join(main_table_notes(whole, "reviews", "tiny"))
    assert "N = 200 questions" in text
    assert "500 held-out pairs" in text
    assert "7 chosen equals rejected" in text
    assert "About the task: gold_accuracy 0.812, gold_texts 1,600." in text
    assert "Judge: the gold reward" in text
    assert "Unfinished: 1 of 31 cells" in printed(whole)


def test_best_of_n_shows_its_bound_as_a_bound(whole):
    assert main_table(whole).set_index("arm").loc["best of 16", "KL (nats)"] == "≤ 1.84"
    assert "upper bound" in "\n".join(main_table_notes(whole, "reviews", "tiny"))


def test_one_seed_without_gold_or_probes_says_so(tmp_path):
    run = load_run(write_run(tmp_path / "run", seeds=1, gold=False, probes=0))
    table = main_table(run)
    assert "gold reward ↑" not in table
    assert (table["judge: held-out reward model ↑"] != "").all()
    assert not any("ECE" in name for name in table)
    text = printed(run)
    assert "±" not in text
    for line in ("One seed: no intervals", "No gold reward is known", "No calibration"):
        assert line in text


def test_tasks_with_and_without_gold_have_tables_of_their_own(tmp_path):
    write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[:2])
    write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[:2], task="dataset", gold=False)
    table = main_table(load_run(tmp_path / "run")).set_index(["task", "arm"])
    assert table.loc[("dataset", "sft"), "gold reward ↑"] == ""
    assert table.loc[("reviews", "sft"), "judge: held-out reward model ↑"] == ""
    assert printed(load_run(tmp_path / "run")).count("win rate") == 2


def test_nothing_has_ended_well(tmp_path):
    failed = {(arm[0], 0): ("failed", "MemoryError", None) for arm in ARMS}
    text = printed(load_run(write_run(tmp_path / "run", seeds=1, not_ok=failed)))
    assert "No cell has ended well yet" in text
    assert "0/1" in text
    assert "… and 2 further cells" in text
    (tmp_path / "empty" / "cells" / "a").mkdir(parents=True)
    assert "1 of 1 cells have no record" in printed(load_run(tmp_path / "empty"))


def test_a_narrow_terminal_gets_blocks_with_nothing_cut_off(whole):
    text = printed(whole, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("reward gradient without KL") > 1
    for cell in main_table(whole).drop(columns=["task", "model"]).to_numpy().ravel():
        assert cell in text


def test_tables_are_written_in_four_formats(whole, tmp_path):
    paths = write_main_table(whole, tmp_path / "tables")
    assert [path.name for path in paths] == ["table.md", "table.tex", "table.html", "table.csv"]
    markdown, latex = paths[0].read_text(), paths[1].read_text()
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == len(ARMS) + 2
    assert len({row.count("|") for row in rows}) == 1
    assert r"\toprule" in latex
    assert r"$\pm$" in latex
    assert not set("±≤↑↓→−") & set(latex)
    numbers = pd.read_csv(paths[3])
    assert list(numbers) == [
        "task",
        "model",
        "arm",
        "measure",
        "mean",
        "low",
        "high",
        "iqm",
        "iqm_low",
        "iqm_high",
        "n",
    ]
    row = numbers.set_index(["arm", "measure"]).loc[("ppo", "gold")]
    values = whole.records.query("arm == 'ppo'")["gold"]
    assert row["mean"] == pytest.approx(values.mean())
    assert row["low"] < values.mean() < row["high"]
