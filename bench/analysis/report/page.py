"""Puts the page together from its template, and lets in no script or style but its own."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.analysis.report.pictures import embed_plots
from bench.analysis.report.samples import choose_samples
from bench.analysis.report.sheets import claim_sheet, cost_sheet, main_sheet, win_rate_sheets
from bench.analysis.report.summary import summarise_in_words
from bench.analysis.report.words import counted, labels, listed
from bench.contracts.escaping import visible
from bench.records.loading import RunFrames

HERE = Path(__file__).parent


def write_report(run: RunFrames, path: str | Path, verdicts: pd.DataFrame | None = None) -> Path:
    """Write the page to `path` and return it.

    verdicts: one row per claim, see `bench.analysis.claims.table.as_frame`; None or empty where the run tests none.
    Whatever the run lacks (gold reward, completions, cells that ended well) is said on the page.
    """
    drawn, not_drawn = embed_plots(run)
    page = _environment().get_template("report.html").render(
        title=run.directory.absolute().name,
        about=_about(run),
        summary=summarise_in_words(run, verdicts),
        claims=claim_sheet(verdicts),
        results=main_sheet(run),
        win_rates=win_rate_sheets(run),
        cost=cost_sheet(run),
        pictures=drawn,
        not_drawn=not_drawn,
        samples=choose_samples(run),
        style=_inline("report.css"),
        script=_inline("report.js"),
    )  # fmt: skip
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _about(run: RunFrames) -> str:
    parts = [counted(len(run.records) + len(run.pending), "cell")]
    if names := list(labels(run).values()):
        parts += [counted(run.records["seed"].nunique(), "seed"), f"on {listed(names, 8)}"]
    commits = sorted(set(run.records["commit"].dropna())) if "commit" in run.records else []
    if commits:
        parts.append(f"at commit {listed([each[:10] + '-dirty' * each.endswith('-dirty') for each in commits], 3)}")
    return ", ".join(parts)


def _environment() -> Environment:
    """Jinja, which escapes every text it is given: what models write is not to be trusted."""
    environment = Environment(
        loader=PackageLoader("bench.analysis.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_function"] = _compact
    return environment


def _visible(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _compact(value: Any, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _inline(name: str) -> dict[str, str]:
    """A file of the page with the hash by which the page's security policy lets it in, and nothing else."""
    text = (HERE / name).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"text": Markup(text), "hash": f"sha256-{digest}"}
