"""`bench pack`: a run's folder of cells as a few small files, which analysis reads as it reads the cells themselves.

The same run makes the same bytes. What goes: the probes, of which the bins of a reliability diagram stay; the texts of
completions, but for some; what the rest was made of (log-probabilities, the parts of gold); digits beyond single
precision, except in the scores that decide who wins; and of a long training log all but some values.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from bench.contracts.errors import BenchError
from bench.records.files import CELLS, PACKED, RECORDS
from bench.records.loading import (
    DIGESTS,
    IDENTITY,
    TEXTS,
    RunFrames,
    completion_digests,
    load_run,
    plain,
    recorded,
)
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
        BenchError: no run, no record in it, or a record that cannot be read.
    """
    run = load_run(directory)
    if run.records.empty:
        raise BenchError(f"nothing to pack in {directory}: no cell has a record yet")
    frames = {
        CURVE: _single(run.curves),
        TRAINING: _single(_thinned(run.training)),
        COMPLETIONS: _slim(run, texts),
        PROBES: _single(run.reliability),
    }
    notes = {COMPLETIONS: {DIGESTS: json.dumps(completion_digests(run)).encode()}}
    raw = recorded(run.directory)
    lines = "".join(json.dumps(raw[cell], separators=(",", ":")) + "\n" for cell in run.records["cell"])
    # all is written before anything takes an old file's place
    temporary = {run.directory / RECORDS: _beside(run.directory / RECORDS)}
    # mtime=0: no time of packing in it
    temporary[run.directory / RECORDS].write_bytes(gzip.compress(lines.encode(), mtime=0))
    for name, frame in frames.items():
        file = run.directory / PACKED[name]
        if frame.empty:
            file.unlink(missing_ok=True)
            continue
        temporary[file] = _beside(file)
        _write(frame.drop(columns=[each for each in IDENTITY if each != "cell"]), temporary[file], notes.get(name, {}))
    for file, path in temporary.items():
        path.replace(file)
    if not keep:
        shutil.rmtree(run.directory / CELLS, ignore_errors=True)
    return list(temporary)


def _slim(run: RunFrames, seeds: int) -> pd.DataFrame:
    """Completions without what is left out, their texts as JSON."""
    rows = run.completions
    kept = rows[[name for name in (*IDENTITY, *COUNTS, *NUMBERS, *SCORES, *REST) if name in rows]]
    if rows.empty:
        return kept
    with_texts = rows["seed"].isin(sorted(run.records["seed"].unique())[:seeds])
    with_texts &= rows["prompt_id"] < PROMPTS_WITH_TEXTS
    texts = {name: rows[name].where(with_texts).map(_as_json, na_action="ignore") for name in TEXTS if name in rows}
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


def _write(frame: pd.DataFrame, path: Path, notes: dict[bytes, bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(notes)
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


def _beside(file: Path) -> Path:
    return file.with_name(f".{file.name}")
