"""Damaged records: every one is noticed, named and left out, and what is whole goes on."""

import itertools
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from bench.analysis.tables.main_table import main_table
from bench.analysis.tables.main_table_notes import state_notes
from bench.analysis.winrates.pairs import judged_pairs
from bench.contracts.errors import BenchError
from bench.judging.asking import write_comparisons
from bench.records.claims import FROZEN, freeze, frozen
from bench.records.loading import load_run
from bench.records.lock import writing_into
from bench.records.manifest import beside, replace_files
from bench.records.packing import pack
from bench.records.reading import read_cells
from bench.records.sealing import Damaged, write_sealed
from bench.records.verifying import verify
from tests.bench.analysis.synthetic_run import ARMS, write_run

CELL = "reviews-tiny-dpo-2-seed0"
CLAIM = """
- {id: 7, says: A is better., source: D0, task: reviews,
   tests: [{test: difference, measure: gold, arms: [dpo, sft]}]}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("runs") / "run", seeds=2, probes=30, arms=ARMS[1:4])
    (folder.parent / "claims.yaml").write_text(CLAIM)
    freeze(folder.parent / "claims.yaml", folder)
    run = load_run(folder)
    write_comparisons(run, judged_pairs(run).rows, "someone")
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def flip(file, place, bit=0):
    data = bytearray(file.read_bytes())
    data[place % len(data)] ^= 1 << bit
    file.write_bytes(data)


def figures(folder):
    """All that tables are made of, by cell, of the cells that are read."""
    run = load_run(folder)
    rows = {}
    for name in ("records", "completions", "curves", "reliability"):
        for cell, own in getattr(run, name).groupby("cell"):
            rows[name, cell] = own.drop(columns="index").to_json(orient="records")
    pairs = judged_pairs(run)
    for key, own in pairs.rows.groupby(["first", "second", "seed"]):
        rows[pairs.judge, key] = own.to_json(orient="records")
    return rows, run


def check(folder, before):
    """What is read is what was recorded, and what is missing is told."""
    try:
        rows, run = figures(folder)
        frozen(folder)
    except Damaged as error:
        assert "\n" not in str(error)
        assert str(folder) in str(error)
        return "refused"
    changed = {key for key, row in rows.items() if before.get(key, row) != row}
    assert not changed
    lost = before.keys() - rows.keys()
    if lost:
        assert state_notes(run), lost
        assert verify(folder)[1] or run.pending
    return "left out" if lost else "unharmed"


def files_of(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("packed", [False, True], ids=["cells", "packed"])
def test_no_flip_nor_cut_changes_a_figure(whole, tmp_path, packed):
    intact = shutil.copytree(whole, tmp_path / "intact")
    if packed:
        pack(intact)
    before, _ = figures(intact)
    rng = np.random.default_rng(0)
    outcomes = []
    for name, harm in zip(files_of(intact), itertools.cycle(["cut", "emptied", "removed"]), strict=False):
        size = (intact / name).stat().st_size
        for place in (int(rng.integers(size)), harm):
            folder = shutil.copytree(intact, tmp_path / "harmed")
            file = folder / name
            if place == "cut":
                file.write_bytes(file.read_bytes()[: size // 2])
            elif place == "emptied":
                file.write_bytes(b"")
            elif place == "removed":
                file.unlink()
            else:
                flip(file, place, int(rng.integers(8)))
            outcomes.append(check(folder, before))
            shutil.rmtree(folder)
    assert outcomes.count("unharmed") <= len(outcomes) / 10  # white space, claims that are removed


def test_a_damaged_cell_is_named_under_the_table_and_the_others_are_shown(run):
    flip(run / "cells" / CELL / "completions.parquet", 700)
    loaded = load_run(run)
    assert CELL not in set(loaded.records["cell"])
    assert len(main_table(loaded)) == 3
    (note,) = state_notes(loaded)
    damaged = f"cells/{CELL}/completions.parquet: does not match its checksum"
    assert note == f"Damaged and left out: {damaged}; `bench run` makes it again."
    judged = judged_pairs(loaded)
    assert (judged.judge, judged.stale) == ("someone", False)
    assert not ((judged.rows["first"] == "dpo") & (judged.rows["seed"] == 0)).any()
    with pytest.raises(BenchError, match=r"completions\.parquet: does not match"):
        pack(run)


def test_a_figure_changed_by_hand_is_no_figure(run):
    file = run / "cells" / CELL / "record.json"
    record = json.loads(file.read_text())
    record["measures"]["gold"] = 9.0
    file.write_text(json.dumps(record))
    assert load_run(run).damaged == {CELL: f"{file}: does not match its checksum"}


def test_the_record_of_another_cell_is_not_taken_for_this_one(run):
    other = run / "cells" / CELL.replace("seed0", "seed1")
    shutil.rmtree(run / "cells" / CELL)
    shutil.copytree(other, run / "cells" / CELL)
    assert "is the record of cell" in load_run(run).damaged[CELL]


def test_a_record_that_is_no_file_is_damaged(run):
    file = run / "cells" / CELL / "record.json"
    file.unlink()
    file.mkdir()
    assert "Is a directory" in load_run(run).damaged[CELL]
    file.rmdir()
    file.symlink_to("nowhere")
    assert "No such file" in load_run(run).damaged[CELL]


def test_a_run_without_its_description_is_refused_in_one_line(run):
    for text, told in (('{"cells": ', "not JSON"), ("[]", "not a JSON object"), ('{"cells": 5}', "cells")):
        (run / "run.json").write_text(text)
        with pytest.raises(Damaged, match=rf"run\.json.*{told}.*the same `bench run` writes it again"):
            _ = load_run(run).records
    (run / "run.json").unlink()
    with pytest.raises(Damaged, match=r"run\.json: is missing"):
        _ = load_run(run).records


def test_what_a_judge_said_is_left_out_where_it_is_damaged(run):
    flip(run / "comparisons.parquet", 900)
    loaded = load_run(run)
    assert judged_pairs(loaded).judge == "gold"
    (note,) = state_notes(loaded)
    assert note.startswith("Damaged and left out: comparisons.parquet: does not match")
    assert note.endswith("`bench judge` makes it again.")


def test_what_stands_in_the_place_of_a_judges_answers_is_not_read_as_such(whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    (run / "manifest.json").unlink()
    (run / "comparisons.parquet").write_text("xx")
    assert state_notes(load_run(run))[0].startswith("Damaged and left out: comparisons.parquet: has no checksum")


def test_judging_again_heals_a_damaged_manifest(run):
    (run / "manifest.json").write_text("{")
    loaded = load_run(run)
    assert "manifest.json: not JSON" in loaded.damaged["comparisons.parquet"]
    write_comparisons(loaded, judged_pairs(loaded).rows, "someone")
    assert load_run(run).damaged == {}


def test_a_sealed_file_in_the_place_of_the_manifest_is_none(run):
    shutil.copyfile(run / "run.json", run / "manifest.json")
    assert "manifest.json: names no files" in load_run(run).damaged["comparisons.parquet"]


def test_damaged_claims_are_not_frozen_anew(run):
    text = (run / FROZEN).read_text()
    (run / FROZEN).write_text(text.replace("gold", "kl"))
    with pytest.raises(Damaged, match=r"claims\.json: does not match its checksum; bring it back"):
        freeze(run.parent / "claims.yaml", run)
    (run / FROZEN).write_text(json.dumps(json.loads(text)["claims"]))  # as an earlier release wrote them
    assert [entry["claim"]["id"] for entry in frozen(run)] == [7]


def test_claims_that_are_gone_are_not_taken_for_none(run):
    described = json.loads((run / "run.json").read_text())
    write_sealed(run / "run.json", described | {"claims": "claims"})
    assert len(frozen(run)) == 1
    (run / FROZEN).unlink()
    with pytest.raises(Damaged, match=r"claims\.json: is missing; bring it back, or `bench run` keeps"):
        frozen(run)
    assert any("claims.json: is missing" in fault for fault in verify(run)[1])
    (run.parent / "claims.yaml").write_text(CLAIM)
    freeze(run.parent / "claims.yaml", run)
    assert [entry["claim"]["id"] for entry in frozen(run)] == [7]


def test_records_of_an_earlier_release_are_read_and_said_to_be_unverified(run):
    for file in run.glob("cells/*/record.json"):
        record = json.loads(file.read_text())
        del record["files"], record["checksum"]
        file.write_text(json.dumps(record | {"schema": 1}))
    (run / "run.json").write_text(json.dumps({"cells": read_cells(run).strangers or list(read_cells(run).records)}))
    (run / "manifest.json").unlink()
    assert state_notes(load_run(run)) == [
        "Not verified: 6 cells were recorded by an earlier release, without checksums."
    ]
    pack(run)
    assert state_notes(load_run(run)) == []
    assert judged_pairs(load_run(run)).judge == "someone"


def test_packing_that_is_killed_before_files_are_renamed_loses_nothing(run, tmp_path):
    pack(run)
    before, _ = figures(run)
    for name in ("curves.parquet", "records.jsonl.gz"):
        (run / name).rename(beside(run / name))
    assert figures(run)[0] == before
    (run / "new.parquet").write_bytes(b"old")
    beside(run / "new.parquet").write_bytes(b"new")
    replace_files(run, {"new.parquet": True})
    assert (run / "new.parquet").read_bytes() == b"new"


def test_packing_leaves_what_is_not_the_runs(run):
    (run / "cells" / CELL / "notes.txt").write_text("mine")
    (run / "cells" / "mouse-042").mkdir()
    (run / "cells" / "mouse-042" / "measurements.csv").write_text("10 years of work")
    pack(run)
    assert files_of(run / "cells") == ["mouse-042/measurements.csv", f"{CELL}/notes.txt"]
    assert len(load_run(run).records) == 6


def test_records_that_the_matrix_does_not_name_are_not_read_and_said(run):
    shutil.copytree(run / "cells" / CELL, run / "cells" / "stranger")
    loaded = load_run(run)
    assert len(loaded.records) == 6
    assert state_notes(loaded) == ["Not read: 1 records that are not of this run's matrix, e.g. stranger."]


def test_a_bomb_among_packed_records_is_refused(run, monkeypatch):
    pack(run)
    monkeypatch.setattr("bench.records.reading._MOST_UNZIPPED", 1000)
    with pytest.raises(Damaged, match=r"records\.jsonl\.gz: more than 0 MB of records"):
        _ = load_run(run).records


def test_two_may_not_write_into_one_run(run):
    with writing_into(run):
        with pytest.raises(BenchError, match="another command is writing into it"):
            pack(run)
        assert pd.api.types.is_list_like(files_of(run))
    pack(run)
    assert not (run / ".lock").exists()
