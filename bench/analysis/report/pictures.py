"""A run's plots inside the page."""

from __future__ import annotations

import base64
import contextlib
import io
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from bench.analysis.loading import RunFrames
from bench.analysis.report.words import labels

LIMIT = 5_000_000
"""Bytes that all pictures together may take on the page."""
COLOURS = 128
DESCRIPTIONS = {
    "reward_kl": "What reward costs in KL: for every arm where it ends, what is really wanted over the KL to π0, with "
    "intervals over seeds and the path of each seed while training",
    "overoptimisation": "Over-optimisation: for every arm proxy reward and what is really wanted over the square root "
    "of KL while training, one line per seed",
    "reliability": "Reliability on multiple choice: for every arm the share of right answers over the probability "
    "given, against the diagonal of perfect calibration",
    "win_tie_loss": "Shares of wins, ties and losses against the SFT policy, and the win rate of every arm with its "
    "interval",
    "win_rates": "Heat map of win rates, every arm against every other, with ratings; the numbers are in the table of "
    "win rates",
}


class Picture(NamedTuple):
    """A plot: where its bytes are (a data URI), what is to be seen, and the task and model it is about."""

    source: str
    description: str
    about: str
    width: int
    height: int


def pictures(run: RunFrames) -> tuple[list[Picture], list[str]]:
    """The run's plots, and why others are not there, one line each.

    Those in its folder `plots` are taken if they are newer than every record. Else they are drawn anew, and an old
    one is taken only where the records no longer hold what it was drawn from, which its description then says.
    """
    beside = sorted((run.directory / "plots").glob("*.png"), key=lambda file: file.stat().st_mtime)
    records = [file.stat().st_mtime for file in run.directory.glob("cells/*/record.json")]
    if beside and beside[0].stat().st_mtime >= max(records, default=0):
        return _embed(run, [(file, "") for file in beside], [])
    with tempfile.TemporaryDirectory() as folder:
        drawn, reasons = _draw(run, Path(folder))
        names = {file.name for file in drawn}
        old = [(file, "Drawn before the last record was written. ") for file in beside if file.name not in names]
        reasons = [line for line in reasons if not any(file.name in line for file, _ in old)]
        return _embed(run, [*((file, "") for file in drawn), *old], reasons)


def _draw(run: RunFrames, folder: Path) -> tuple[list[Path], list[str]]:
    from bench.analysis.plots import draw_all

    with contextlib.redirect_stderr(io.StringIO()) as said:
        files = draw_all(run, folder)
    return files, [line for line in said.getvalue().splitlines() if line.strip()]


def _embed(run: RunFrames, files: list[tuple[Path, str]], reasons: list[str]) -> tuple[list[Picture], list[str]]:
    abouts = {f"-{task}-{model}": name for (task, model), name in labels(run).items()}
    found, used, reasons = [], 0, list(reasons)
    for file, remark in files:
        ending = next((each for each in abouts if file.stem.endswith(each)), "")
        about = abouts.get(ending) or next(iter(abouts.values()), "")
        kind = file.stem.removesuffix(ending)
        source, width, height = _small(file)
        if used + len(source) > LIMIT:
            reasons.append(
                f"left out {file.name}: the page would grow too large; `bench plot` draws it beside the records"
            )
            continue
        used += len(source)
        text = DESCRIPTIONS.get(kind, kind.replace("_", " ").capitalize())
        found.append(Picture(source, f"{remark}{text} ({about}).", about, width, height))
    order = list(abouts.values())
    return sorted(found, key=lambda picture: order.index(picture.about)), reasons


def _small(file: Path) -> tuple[str, int, int]:
    """A picture as data URI, in few colours, which lines and bars have anyway: about a third of the bytes."""
    with Image.open(file) as image:
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        packed = io.BytesIO()
        few.save(packed, "PNG", optimize=True)
    content = min(packed.getvalue(), file.read_bytes(), key=len)
    return f"data:image/png;base64,{base64.b64encode(content).decode()}", few.width, few.height
