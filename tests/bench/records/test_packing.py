"""A packed run says what the run said, in a few small files that come out the same every time."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from bench.analysis.tables.main_table import main_table
from bench.analysis.tables.main_table_notes import main_table_notes
from bench.analysis.winrates.pairs import judged_pairs
from bench.contracts.errors import BenchError
from bench.judging.asking import judge_run, write_comparisons
from bench.judging.judges.chat import Chat
from bench.measures.binned_calibration import reliability
from bench.records.files import RECORDS
from bench.records.loading import load_run
from bench.records.packing import LOGGED, pack
from bench.records.reading import read_cells
from bench.records.sealing import write_sealed
from bench.store.store import Store
from tests.bench.analysis.synthetic_run import ARMS, seal, write_run

FOUR = ARMS[1:5]  # sft, lima, dpo, ppo
NOT_OK = {("dpo", 1): ("diverged", "loss is not finite", 3)}


def made(folder, seeds=2):
    """A synthetic run with training logs and with completions of which every text is another."""
    write_run(folder, seeds=seeds, probes=200, arms=FOUR, not_ok=NOT_OK)
    for file in folder.glob("cells/*/completions.parquet"):
        frame = pd.read_parquet(file)
        name = file.parent.name
        frame["prompt"] = [f'"{i}"\n' for i in frame["prompt_id"]]
        frame["completion"] = [f"{name} {i}" for i in range(len(frame))]
        frame["reference_completion"], frame["reference_length"] = " π0's words", 12
        frame.to_parquet(file)
        steps = np.arange(0, 300, 3)
        log = pd.DataFrame({"step": steps, "name": "loss", "value": steps / 7})
        once = pd.DataFrame({"step": [299], "name": "gap", "value": 0.5})
        pd.concat([log, once]).to_parquet(file.parent / "training.parquet")
    return seal(folder)


def digests(files):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same run as it was, and packed."""
    folder = made(tmp_path_factory.mktemp("runs") / "run")
    copy = folder.with_name("packed")
    shutil.copytree(folder, copy)
    pack(copy)
    return load_run(folder), load_run(copy)


def test_a_packed_run_is_a_few_files_and_no_folder_of_cells(both):
    names = {path.name for path in both[1].directory.iterdir()}
    frames = {"curves.parquet", "training.parquet", "completions.parquet", "reliability.parquet"}
    assert names == {"run.json", "manifest.json", RECORDS, *frames}


def test_records_and_tables_are_the_same(both):
    whole, packed = both
    pd.testing.assert_frame_equal(whole.records, packed.records)
    assert whole.cells.records == packed.cells.records
    assert packed.pending == []
    pd.testing.assert_frame_equal(main_table(whole), main_table(packed))
    assert main_table_notes(whole, "reviews", "tiny") == main_table_notes(packed, "reviews", "tiny")


def test_numbers_of_frames_are_the_same_to_single_precision(both):
    whole, packed = both
    for name in ("curves", "completions", "reliability"):
        mine, theirs = getattr(packed, name), getattr(whole, name)
        assert len(mine) == len(theirs) > 0
        shared = [column for column in mine if column not in ("prompt", "completion", "reference_completion")]
        pd.testing.assert_frame_equal(mine[shared], theirs[shared], check_dtype=False, rtol=1e-6)


def test_who_wins_is_the_same_to_the_last_digit(tmp_path):
    folder = made(tmp_path / "run")
    for file in folder.glob("cells/*/completions.parquet"):  # scores closer than single precision can tell
        frame = pd.read_parquet(file)
        frame.assign(judge=frame["judge"] + 1e-12 * len(file.parent.name)).to_parquet(file)
    seal(folder)
    before = judged_pairs(load_run(folder)).rows
    pack(folder)
    pd.testing.assert_frame_equal(judged_pairs(load_run(folder)).rows, before, check_dtype=False)


def test_reliability_is_the_diagram_of_each_cells_probes(both):
    run = both[0]
    cell = run.records.query("arm == 'ppo' and seed == 1")["cell"].item()
    probes, bins = (frame[frame["cell"] == cell] for frame in (run.probes, run.reliability))
    expected = reliability(probes["probability"], probes["correct"])
    assert bins["bin"].tolist() == expected["bin"].tolist()
    assert bins["count"].sum() == len(probes)
    np.testing.assert_allclose(bins[["probability", "correct"]], expected[["confidence", "accuracy"]])


def test_texts_of_the_first_prompts_of_one_seed_stay_as_they_were(both):
    whole, packed = (run.completions.set_index(["cell", "prompt_id", "sample"]) for run in both)
    kept = packed[packed["completion"].notna()]
    assert set(kept["seed"]) == {0}
    assert set(kept.index.get_level_values("prompt_id")) == set(range(16))
    for name in ("prompt", "completion", "reference_completion"):
        assert kept[name].tolist() == whole.loc[kept.index, name].tolist()
    assert packed["prompt"].tolist() == whole.loc[packed.index, "prompt"].tolist()


def test_a_long_training_log_keeps_its_ends_and_what_was_logged_once(both):
    log = both[1].training.query("arm == 'ppo' and seed == 0")
    loss = log[log["name"] == "loss"]
    assert len(loss) == LOGGED
    assert loss["step"].iloc[[0, -1]].tolist() == [0, 297]
    assert np.diff(loss["step"]).max() <= 12
    assert log.loc[log["name"] == "gap", "value"].tolist() == [0.5]


def test_packing_twice_gives_the_same_bytes(tmp_path):
    folder = made(tmp_path / "run")
    first = digests(pack(folder, keep=True))
    assert digests(pack(folder)) == first
    assert digests(pack(folder)) == first  # from the packed files themselves


def test_a_packed_run_can_be_continued_and_packed_again(tmp_path):
    whole, folder = made(tmp_path / "whole"), made(tmp_path / "run")
    expected = digests(pack(whole))
    later = [path for path in folder.glob("cells/*seed1")]
    for path in later:
        path.rename(tmp_path / path.name)
    pack(folder)
    run = load_run(folder)
    assert sorted(run.pending) == sorted(path.name for path in later)
    for path in later:
        path.parent.mkdir(exist_ok=True)
        (tmp_path / path.name).rename(path)
    assert load_run(folder).pending == []
    pd.testing.assert_frame_equal(main_table(load_run(folder)), main_table(load_run(whole)))
    assert digests(pack(folder)) == expected


def test_a_cells_own_folder_wins_over_what_is_packed(tmp_path):
    folder = made(tmp_path / "run")
    pack(folder, keep=True)
    name = "reviews-tiny-ppo-3-seed0"
    own = folder / "cells" / name
    record = json.loads((own / "record.json").read_text())
    record["measures"]["gold"] = 0.123
    (own / "record.json").write_text(json.dumps(record))
    (own / "curve.parquet").unlink()
    seal(folder)
    run = load_run(folder)
    assert run.records.set_index("cell").loc[name, "gold"] == 0.123
    assert name not in set(run.curves["cell"])
    assert len(run.records) == 8


def test_what_the_matrix_no_longer_has_is_not_read(tmp_path):
    folder = made(tmp_path / "run")
    pack(folder)
    cells = [name for name in read_cells(folder).records if "-dpo-" not in name]
    write_sealed(folder / "run.json", {"cells": cells})
    run = load_run(folder)
    assert "dpo" not in {*run.records["arm"], *run.completions["arm"], *run.reliability["arm"]}
    assert sorted(read_cells(folder).records) == sorted(cells)


def test_what_a_judge_said_holds_after_packing(tmp_path):
    folder = made(tmp_path / "run")
    run = load_run(folder)
    rows = judged_pairs(run).rows
    write_comparisons(run, rows, "someone")
    pack(folder)
    assert not judged_pairs(load_run(folder)).stale
    with pytest.raises(BenchError, match="the run is packed"):
        judge_run(folder, Chat(url="http://localhost:1/v1", model="m"), Store(tmp_path / "store"))


def test_conversations_come_back(tmp_path):
    folder = made(tmp_path / "run", seeds=1)
    said = [{"role": "user", "content": "why?"}]
    for file in folder.glob("cells/*/completions.parquet"):
        frame = pd.read_parquet(file)
        frame["prompt"] = [said] * len(frame)
        frame.to_parquet(file)
    seal(folder)
    pack(folder)
    assert load_run(folder).completions["prompt"].iloc[0] == said
    assert not judged_pairs(load_run(folder)).rows.empty


def test_without_a_record_there_is_nothing_to_pack(tmp_path):
    (tmp_path / "run" / "cells").mkdir(parents=True)
    with pytest.raises(BenchError, match="nothing to pack"):
        pack(tmp_path / "run")
