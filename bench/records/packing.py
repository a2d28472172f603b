"""`bench pack`: a run's folder of cells as a few small files, which analysis reads as it reads the cells themselves.

The same run makes the same bytes. What goes: the probes, of which the bins of a reliability diagram stay; the texts of
completions, but for some (prompts stay); what the rest was made of (log-probabilities, the parts of gold); digits
beyond single precision, except in the scores that decide who wins; and of a long training log all but some values.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from bench.contracts.errors import BenchError
from bench.records.claims import seal_claims
from bench.records.files import CELLS, PACKED, RECORDS, RUN_FILE, remove_cell
from bench.records.loading import (
    IDENTITY,
    TEXTS,
    RunFrames,
    load_run,
    plain,
)
from bench.records.lock import writing_into
from bench.records.manifest import beside, replace_files
from bench.records.reading import described
from bench.records.record import SCHEMA
from bench.records.sealing import sealed, write_sealed
from bench.stages.artifact import COMPLETIONS, CURVE, PROBES, TRAINING

SEEDS_WITH_TEXTS = 1
PROMPTS_WITH_TEXTS = 16
LOGGED = 32
"""Of each number in a cell's training log at most so many values stay, the first and the last among them."""
NUMBERS = ("kl", "entropy", "proxy", "reference_proxy")
SCORES = ("gold", "judge", "reference_gold", "reference_judge")
"""Kept to the last digit: who wins, and whether it is a tie, hangs on it."""
COUNTS = ("prompt_id", "sample", "length", "reference_length")
REST = ("finished", "outcome")


def pack(directory: str | Path, texts: int = SEEDS_WITH_TEXTS, keep: bool = False) -> list[Path]:
    """Pack the run in `directory`, and what was packed before with it; returns the files.

    Args:
        texts: of how many seeds, the lowest ones, the texts of the first 16 prompts' completions stay.
        keep: leave the folder `cells` where it is.

    Raises:
        BenchError: no run, no record in it, a damaged cell, or another command is writing into it.
    """
    run = load_run(directory)
    with writing_into(run.directory):
        return _pack(run, texts, keep)


def _pack(run: RunFrames, texts: int, keep: bool) -> list[Path]:
    if run.records.empty:
        raise BenchError(f"nothing to pack in {run.directory}: no cell has a record yet")
    if run.damaged:
        raise BenchError(f"{next(iter(run.damaged.values()))}: the same `bench run` makes it again, then pack")
    frames = {
        CURVE: _single(run.curves),
        TRAINING: _single(_thinned(run.training)),
        COMPLETIONS: _slim(run, texts),
        PROBES: _single(run.reliability),
    }
    lines = "".join(json.dumps(_sealed(run, cell), separators=(",", ":")) + "\n" for cell in run.records["cell"])
    # all is written before anything takes an old file's place; mtime=0: no time of packing in it
    beside(run.directory / RECORDS).write_bytes(gzip.compress(lines.encode(), mtime=0))
    for name, frame in frames.items():
        if not frame.empty:
            own = [each for each in IDENTITY if each != "cell"]
            _write(frame.drop(columns=own), beside(run.directory / PACKED[name]))
    written = {RECORDS: True, **{PACKED[name]: not frame.empty for name, frame in frames.items()}}
    replace_files(run.directory, written)
    if description := described(run.directory):
        write_sealed(run.directory / RUN_FILE, description)
    seal_claims(run.directory)
    if not keep:
        for cell in run.cells.own:
            remove_cell(run.directory / CELLS / cell)
        with contextlib.suppress(OSError):  # what is not this run's stays
            (run.directory / CELLS).rmdir()
    return [run.directory / name for name, is_new in written.items() if is_new]


def _sealed(run: RunFrames, cell: str) -> dict[str, Any]:
    """A cell's record; one that an earlier release wrote gets its checksums here."""
    record = run.cells.records[cell]
    return {**record} if record["schema"] == SCHEMA else sealed({**record, "schema": SCHEMA})


def _slim(run: RunFrames, seeds: int) -> pd.DataFrame:
    """Completions without what is left out, their texts as JSON."""
    rows = run.completions
    kept = rows[[name for name in (*IDENTITY, *COUNTS, *NUMBERS, *SCORES, *REST) if name in rows]]
    if rows.empty:
        return kept
    with_texts = rows["seed"].isin(sorted(run.records["seed"].unique())[:seeds])
    with_texts &= rows["prompt_id"] < PROMPTS_WITH_TEXTS
    # prompts are few, and say of every completion what it answers
    texts = {
        name: (rows[name] if name == "prompt" else rows[name].where(with_texts)).map(_as_json, na_action="ignore")
        for name in TEXTS
        if name in rows
    }
    return _single(kept, SCORES).astype({name: "int32" for name in COUNTS if name in kept}).assign(**texts)


def _as_json(text: Any) -> str:
    return json.dumps(plain(text), ensure_ascii=False)


def _thinned(log: pd.DataFrame) -> pd.DataFrame:
    """At most `LOGGED` values of each name and cell, about evenly spaced."""
    if log.empty:
        return log
    groups = log.groupby(["cell", "name"], sort=False)
    last = groups["step"].transform("size") - 1
    part = groups.cumcount() * (LOGGED - 1) // last.clip(lower=1)
    before = part.groupby([log["cell"], log["name"]], sort=False).shift()
    return log[part != before]


def _single(frame: pd.DataFrame, exactly: Collection[str] = ()) -> pd.DataFrame:
    return frame.astype({name: "float32" for name in frame.select_dtypes("float64") if name not in exactly})


def _write(frame: pd.DataFrame, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata({})
    # the bytes of numbers with noise in them compress better when like bytes lie together
    noisy = [str(name) for name in frame if frame[name].dtype.kind == "f" and frame[name].nunique() > len(frame) / 10]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in table.column_names if name not in noisy],
        use_byte_stream_split=noisy,
        row_group_size=len(frame),
    )
