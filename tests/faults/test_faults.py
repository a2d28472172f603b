"""Whatever is done to a run or handed to a command: nothing silent, no traceback, nothing lost, nothing left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.trial import FIGURES, Found, Row, markdown, read, total, write

ROOT = Path(__file__).parents[2]


def try_faults(*options):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-m", "tests.faults", *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_script_says_what_it_tries():
    assert "silent changes" in try_faults("--help")


def test_a_fault_of_every_kind_breaks_no_promise(tmp_path):
    try_faults("--short", "--out", str(tmp_path))
    ((_, rows),) = read(tmp_path / "faults.csv").items()
    assert len(rows) >= 28  # as many kinds
    found = total(rows)
    assert found.healed == found.to_heal >= 10
    assert found.noticed >= 15
    assert (found.silent, found.tracebacks, found.lost, found.left) == (0, 0, 0, 0)


@pytest.mark.slow
def test_no_fault_breaks_a_promise():
    assert " 0 broke a promise" in try_faults("--each", "2", "--seed", "1")


def test_a_kind_that_a_commit_has_not_tried_is_in_no_sum():
    commits = {"aaa": [Row("cut")], "bbb": [Row("cut"), Row("flipped")]}
    for row in (*commits["aaa"], *commits["bbb"]):
        row.add(Found(noticed=True))
    table = markdown(commits)
    assert "| flipped | — → 1 | — → 1 |" in table
    assert "| **all** | 1 | 1 |" in table


def test_figures_of_two_commits_stand_side_by_side(tmp_path):
    before, after = Row("cut"), Row("cut")
    before.add(Found(silent=True, healed=False, lost=2000))
    after.add(Found(noticed=True, healed=True))
    commits = {"aaa": [before], "bbb": [after]}
    write(tmp_path, commits)
    assert read(tmp_path / "faults.csv") == commits
    assert "| cut | 1 | 0 → 1 | 0 of 1 → 1 of 1 | 1 → 0 | 0 | 2,000 → 0 | 0 |" in markdown(commits)
    assert {name: getattr(total([before, after]), name) for name in FIGURES}["tried"] == 2
