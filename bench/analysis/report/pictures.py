"""A run's plots inside the page."""

from __future__ import annotations

import base64
import contextlib
import io
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from bench.analysis.plots import OVERVIEW, PLOTS, draw_all, file_ending
from bench.analysis.report.words import labels
from bench.records.files import CELLS, RECORD, RECORDS
from bench.records.loading import RunFrames

LIMIT = 6_000_000
"""Bytes that all pictures together may take on the page."""
COLOURS = 128
FIRST = ("overview", "reward_kl", "overoptimisation", "win_tie_loss", "win_rates", "reliability", "training")
"""The plots that the page begins with; the others follow as they are drawn, the last left out where space is short."""


class Picture(NamedTuple):
    """A plot: its bytes (a data URI), what is to be seen, the task and model it is about, its size in pixels."""

    source: str
    description: str
    about: str
    width: int
    height: int


def embed_plots(run: RunFrames) -> tuple[list[Picture], list[str]]:
    """The run's plots, and why others are not there, one line each.

    Those in its folder `plots` are taken if they are newer than every record. Else they are drawn anew, and an old
    one is taken only where the records no longer hold what it was drawn from, which its description then says.
    """
    beside = sorted((run.directory / "plots").glob("*.png"))
    # of a run as it was made, and of one packed into few files
    files = [*run.directory.glob(f"{CELLS}/*/{RECORD}"), *run.directory.glob(RECORDS)]
    records = [file.stat().st_mtime for file in files]
    if beside and min(file.stat().st_mtime for file in beside) >= max(records, default=0):
        return _embed(run, {file: "" for file in beside}, [])
    with tempfile.TemporaryDirectory() as folder:
        drawn, reasons = _draw(run, Path(folder))
        names = {file.name for file in drawn}
        old = {file: "Drawn before the last record was written. " for file in beside if file.name not in names}
        reasons = [line for line in reasons if not any(file.name in line for file in old)]
        return _embed(run, {file: "" for file in drawn} | old, reasons)


def _draw(run: RunFrames, folder: Path) -> tuple[list[Path], list[str]]:
    with contextlib.redirect_stderr(io.StringIO()) as reasons:
        files = draw_all(run, folder)
    lines = [line.strip() for line in reasons.getvalue().splitlines()]
    return [file for file in files if file.suffix == ".png"], [line for line in lines if line]


def _embed(run: RunFrames, files: dict[Path, str], reasons: list[str]) -> tuple[list[Picture], list[str]]:
    """`files`: what is to be said before each one's description."""
    names = labels(run)
    endings = {file_ending(task, model): name for (task, model), name in names.items()}
    plots = {"overview": OVERVIEW, **PLOTS}
    order = list(dict.fromkeys([*FIRST, *plots]))
    placed = []
    for file in files:
        ending = next((each for each in endings if file.stem.endswith(each)), "")
        # a plot without an ending is the only one of its kind: of the run's only task, or an overview
        about = endings.get(ending) or (next(iter(names.values())) if len(names) == 1 else "")
        placed.append((_rank(kind := file.stem.removesuffix(ending), order), kind, about, file))
    found, used, reasons = [], 0, list(reasons)
    for _, kind, about, file in sorted(placed, key=lambda each: each[0]):
        source, width, height = _small(file)
        if used + len(source) > LIMIT:
            reasons.append(f"left out {file.name}: the page would grow too large (`bench plot` writes it as a file)")
            continue
        used += len(source)
        text = plots[kind].description if kind in plots else kind.replace("_", " ").capitalize()
        found.append(Picture(source, f"{files[file]}{text}{f' ({about})' * bool(about)}.", about, width, height))
    return sorted(found, key=lambda picture: _rank(picture.about, ["", *names.values()])), reasons


def _rank(name: str, order: Iterable[str]) -> int:
    """Where `name` stands in `order`; behind all where it does not."""
    places = list(order)
    return places.index(name) if name in places else len(places)


def _small(file: Path) -> tuple[str, int, int]:
    """A plot as data URI: the PNG in few colours, which lines and bars have anyway, or the SVG beside it if smaller."""
    with Image.open(file) as image:
        few = image.convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE)
    packed = io.BytesIO()
    few.save(packed, "PNG")
    drawing = file.with_suffix(".svg")
    contents = [("png", packed.getvalue()), *([("svg+xml", drawing.read_bytes())] if drawing.exists() else [])]
    kind, content = min(contents, key=lambda each: len(each[1]))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}", few.width, few.height
