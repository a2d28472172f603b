"""Runs as frames, whatever state they are in."""

import json

import pytest

from bench.contracts.errors import BenchError
from bench.records.loading import load_run
from tests.bench.analysis.synthetic_run import ARMS, write_run


def test_records_are_flat_and_in_the_matrix_order(tmp_path):
    run = load_run(write_run(tmp_path / "run", seeds=2, probes=20))
    assert len(run.records) == 2 * len(ARMS)
    assert list(dict.fromkeys(run.records["arm"])) == [arm[0] for arm in ARMS]
    row = run.records.set_index(["arm", "seed"]).loc[("dpo", 1)]
    assert row["status"] == "ok"
    assert row["judged_by"] == "gold"
    assert row["gold"] == pytest.approx(0.35, abs=0.3)
    assert row["cost_tokens_sampled"] == 72_000
    assert row["cost_stage_policy"] == 12
    assert row["set_aside"] == {"chosen equals rejected": 7}


def test_frames_carry_the_identity_of_their_cell(tmp_path):
    run = load_run(write_run(tmp_path / "run", seeds=1, probes=20))
    for frame in (run.curves, run.completions, run.probes):
        assert {"cell", "task", "model", "arm", "method", "seed"} <= set(frame.columns)
    assert len(run.probes) == 20 * 3 * (len(ARMS) - 1)  # best-of-n is not asked
    assert set(run.curves["arm"]).isdisjoint({"base", "sft", "best of 16"})


def test_cells_without_a_record_are_pending(tmp_path):
    directory = write_run(tmp_path / "run", seeds=1, probes=0, pending=2)
    (directory / "cells" / "pending-1").mkdir()
    run = load_run(directory)
    assert run.pending == ["pending-0", "pending-1"]
    assert len(run.probes) == 0


def test_a_run_in_which_nothing_ended_yet_loads(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"cells": ["a", "b"]}))
    run = load_run(tmp_path / "run")
    assert len(run.records) == 0
    assert run.pending == ["a", "b"]


def test_a_missing_run_names_the_nearest(tmp_path):
    write_run(tmp_path / "quickstart", seeds=1, probes=0, arms=ARMS[:1])
    with pytest.raises(BenchError, match="did you mean 'quickstart'"):
        load_run(tmp_path / "quikstart")
    with pytest.raises(BenchError, match=r"not a run.*quickstart"):
        load_run(tmp_path)


@pytest.mark.parametrize("content", ["{", '{"schema": 2}', '{"schema": 1}', "[]"])
def test_a_damaged_record_is_named(tmp_path, content):
    directory = write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[:1])
    (record,) = directory.glob("cells/*/record.json")
    record.write_text(content)
    with pytest.raises(BenchError, match=r"record\.json"):
        _ = load_run(directory).records


def test_a_reason_that_is_not_utf8_is_told(tmp_path):
    not_ok = {("dpo", 0): ("failed", "no such file: \udcff", None)}
    run = load_run(write_run(tmp_path / "run", seeds=1, probes=0, not_ok=not_ok))
    assert run.records.set_index("arm").loc["dpo", "reason"] == r"no such file: \udcff"
