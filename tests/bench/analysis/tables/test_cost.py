"""What arms cost: each stage's seconds, and counts, as the records have them."""

import pandas as pd
import pytest

from bench.analysis.tables.cost import cost_table, costs, write_costs
from bench.records.loading import load_run
from tests.bench.analysis.synthetic_run import ARMS, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    failed = {("dpo", 0): ("failed", "a reason", None)}
    return load_run(write_run(tmp_path_factory.mktemp("runs") / "run", seeds=3, probes=0, not_ok=failed))


def test_items_are_means_over_cells_that_ended_well(run):
    rows = costs(run).set_index(["arm", "item"])
    assert rows.loc[("ppo", "cost_stage_policy"), ["mean", "low", "high", "n"]].tolist() == [12, 12, 12, 3]
    assert rows.loc[("ppo", "cost_tokens_sampled"), "mean"] == 72_000
    assert rows.loc[("dpo", "cost_seconds"), "n"] == 2
    mine = run.records.query("arm == 'ppo'")["cost_seconds"]
    assert rows.loc[("ppo", "cost_seconds"), "mean"] == pytest.approx(mine.mean())


def test_the_table_has_a_row_per_arm_and_a_column_per_stage(run, tmp_path):
    table = cost_table(costs(run)).set_index("arm")
    assert list(table.index) == [arm[0] for arm in ARMS]
    assert list(table)[:3] == ["seconds", "sft (s)", "policy (s)"]
    assert table.loc["ppo", ["policy (s)", "peak memory (MB)", "reward-model calls"]].tolist() == ["12", "560", "4000"]
    files = write_costs(run, tmp_path)
    assert [file.name for file in files] == ["cost.md", "cost.tex", "cost.html", "cost.csv"]
    assert len(pd.read_csv(files[3])) == len(costs(run))


def test_a_run_in_which_nothing_ended_well_has_no_costs(tmp_path):
    (tmp_path / "run" / "cells").mkdir(parents=True)
    assert costs(load_run(tmp_path / "run")).empty
    write_costs(load_run(tmp_path / "run"), tmp_path / "tables")
