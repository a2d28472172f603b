"""Arms against one of them, paired by seed, and the frontier that each method reaches."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.curves.paths import by_cell, by_method, points
from bench.analysis.statistics import holm
from bench.analysis.tables.paired import paired_differences, paired_table, write_paired
from bench.contracts.errors import BenchError
from bench.measures.hypervolume import hypervolume
from bench.records.loading import load_run
from tests.bench.analysis.synthetic_run import ARMS, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    failed = {("dpo", 1): ("diverged", "loss is not finite", 3)}
    return load_run(write_run(tmp_path_factory.mktemp("runs") / "run", seeds=3, probes=200, not_ok=failed))


def test_differences_are_those_of_the_common_seeds(run):
    rows = paired_differences(run, "sft").set_index(["arm", "measure"])
    gold = run.records.set_index(["arm", "seed"])["gold"]
    assert rows.loc[("ppo", "gold"), "difference"] == pytest.approx((gold["ppo"] - gold["sft"]).mean())
    assert rows.loc[("ppo", "gold"), "improved"] == 1
    assert rows.loc[("dpo", "gold"), "n"] == 2
    assert ("sft", "gold") not in rows.index
    assert ("best of 16", "kl") not in rows.index  # it has none
    assert "judge" not in rows.index.get_level_values("measure")  # gold is known


def test_p_values_are_adjusted_for_all_tests_of_a_table(run):
    rows = paired_differences(run, "sft")
    assert len(rows) > 30
    np.testing.assert_allclose(rows["p_holm"], holm(rows["p"]))
    known = rows["p"].notna()
    assert (rows["p_holm"][known] >= rows["p"][known]).all()


def test_the_arm_to_compare_with_can_be_chosen_and_a_wrong_name_is_refused(run):
    assert "sft" in set(paired_differences(run, "ppo")["arm"])
    with pytest.raises(BenchError, match="'sft'"):
        paired_differences(run, "stf")


def test_the_section_is_printed_and_written(run, tmp_path):
    out = io.StringIO()
    files = write_paired(run, "sft", tmp_path / "tables", Console(file=out, width=200))
    assert [file.name for file in files] == ["paired.md", "paired.tex", "paired.html", "paired.csv", "frontier.csv"]
    assert "difference to sft, paired by seed" in out.getvalue()
    tests = paired_differences(run, "sft")["p"].notna().sum()
    assert f"adjusted for the {tests} tests" in out.getvalue().replace("\n", " ")
    assert "±" in files[0].read_text()
    assert len(pd.read_csv(files[3])) == len(paired_differences(run, "sft"))


def test_one_seed_gives_differences_and_says_that_there_is_no_test(tmp_path):
    run = load_run(write_run(tmp_path / "run", seeds=1, gold=False, probes=0))
    rows = paired_differences(run, "sft")
    assert rows["p"].isna().all()
    assert "judge" in set(rows["measure"])
    table = paired_table(rows)
    assert not table.map(lambda text: "±" in text).any().any()
    out = io.StringIO()
    write_paired(run, "sft", tmp_path / "tables", Console(file=out, width=200))
    assert "No test was possible" in out.getvalue()


def test_a_cells_hypervolume_is_that_of_its_curve_and_its_end(run):
    cell = run.records.query("arm == 'ppo' and seed == 0").iloc[0]
    curve = run.curves[run.curves["cell"] == cell["cell"]]
    kl, reward = [cell["kl"], *curve["kl"]], [cell["judge"], *curve["judge"]]
    assert by_cell(run)[cell["cell"]] == pytest.approx(hypervolume(kl, reward, start=-0.05))
    best_of_n = run.records.query("arm == 'best of 16'")["cell"]
    assert not set(best_of_n) & set(by_cell(run).index)  # its KL is only bounded


def test_a_methods_frontier_takes_all_its_arms_together(run):
    frame = by_method(run).set_index("method")
    assert frame.loc["ppo", "arms"] == sum(method == "ppo" for _, method, *_ in ARMS)
    own = by_cell(run)
    for name in ("ppo", "ppo, β = 0.3", "ppo without KL"):
        assert frame.loc["ppo", "mean"] >= own[run.records.loc[run.records["arm"] == name, "cell"]].mean() - 1e-12


def test_no_judge_no_frontier(tmp_path):
    (tmp_path / "run" / "cells").mkdir(parents=True)
    empty = load_run(tmp_path / "run")
    assert points(empty).empty
    assert by_cell(empty).empty
    assert by_method(empty).empty
