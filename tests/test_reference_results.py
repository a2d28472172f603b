"""The results that the project stands behind follow from their records: every table, every verdict."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
RUNS = sorted(path.parent.name for path in REFERENCE.glob("*/run.json"))


def bench(*arguments, cwd):
    command = [sys.executable, "-m", "bench.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=os.environ | {"COLUMNS": "200"}, capture_output=True, text=True)


def test_the_quickstart_is_among_them():
    assert "quickstart" in RUNS


@pytest.mark.parametrize("name", RUNS)
def test_every_table_and_verdict_follows_from_the_records(name, tmp_path):
    committed = REFERENCE / name
    copy = tmp_path / name
    shutil.copytree(committed, copy, ignore=shutil.ignore_patterns("tables", "plots"))
    commands = ["table"] + ["claims"] * (committed / "claims.json").exists()
    for command in commands:
        made = bench(command, name, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
    ours = {file.name: file.read_bytes() for file in (committed / "tables").iterdir()}
    again = {file.name: file.read_bytes() for file in (copy / "tables").iterdir()}
    assert ours.keys() == again.keys()
    assert [file for file in ours if ours[file] != again[file]] == []


@pytest.mark.parametrize("name", RUNS)
def test_all_plots_are_there(name):
    plots = {path.stem.partition("-")[0] for path in (REFERENCE / name / "plots").glob("*.png")}
    assert {"overview", "reward_kl", "overoptimisation", "reliability", "win_rates", "win_tie_loss"} <= plots


def test_what_was_found_stands_on_rows_of_the_table_with_the_verdicts_named():
    with (REFERENCE / "documents" / "tables" / "claims.csv").open(encoding="utf-8") as file:
        known = {row["id"]: row["verdict"] + "*" * bool(row["awaits"]) for row in csv.DictReader(file)}
    found = (
        (REFERENCE / "README.md").read_text(encoding="utf-8").partition("## What we found")[2].partition("\n### ")[0]
    )
    advice = [" ".join(each.split()) for each in found.split("\n\n") if each.startswith("**")]
    cited = [re.findall(r"\((\d+), ([a-z ]+\*?)\)", each) for each in advice]
    assert all(cited), "a paragraph without a row behind it"
    named = {number: verdict for rows in cited for number, verdict in rows}
    assert named == known
