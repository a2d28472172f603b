"""Win rates of all arms against all others as people read them: on the terminal, in Markdown, CSV and LaTeX."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from bench.analysis.interval import Interval
from bench.analysis.layout import Section, print_sections, write_sections
from bench.analysis.winrates.pairs import MOST, REFERENCE, JudgedPairs, contestants, judged_pairs
from bench.analysis.winrates.rates import intransitive, ratings, win_rates
from bench.records.loading import RunFrames


@dataclass(frozen=True)
class Tournament:
    """All comparisons of one task and model.

    Attributes:
        judged: the pairs, of this task and model alone.
        rates: see `win_rates`.
        ratings: see `winrates.ratings`; the anchor is the SFT policy, π0, or the first arm.
        absent: how many arms of the task and model were left out, see `pairs.contestants`.
    """

    task: str
    model: str
    judged: JudgedPairs
    rates: pd.DataFrame
    ratings: pd.DataFrame
    anchor: str
    absent: int = 0


def tournaments(run: RunFrames, arms: Sequence[str] = ()) -> list[Tournament]:
    """One for each task and model that has comparisons, between `arms`, or those that `contestants` names."""
    return _played(run, tuple(arms))


@functools.lru_cache(maxsize=1)  # printed, written and drawn one after the other
def _played(run: RunFrames, arms: tuple[str, ...]) -> list[Tournament]:
    judged = judged_pairs(run, arms)
    if judged is None:
        return []
    chosen = contestants(run, arms)
    every = {(task, model): records["arm"].nunique() for task, model, records in run.groups()}
    is_sft = run.records["method"] == "sft"
    found = []
    for (task, model), rows in judged.rows.groupby(["task", "model"], sort=False):
        met = pd.concat([rows["first"], rows["second"]]).unique().tolist()
        sft = {*run.records.loc[is_sft, "arm"], REFERENCE}
        anchor = next((arm for arm in met if arm in sft), met[0])
        own = JudgedPairs(rows, judged.judge, judged.stale)
        key = str(task), str(model)
        absent = every[key] - len(chosen[key])
        found.append(Tournament(*key, own, win_rates(rows), ratings(rows, anchor), anchor, absent))
    return found


OWN_COLUMNS = ("row against column", "rating (logits)", "tokens")
"""Of the table, before a column for each arm; an arm of such a name has another there."""


def table_of(tournament: Tournament) -> pd.DataFrame:
    """Texts: one row per arm, best first; its rating, its length, and a column for each opponent."""
    rates = tournament.rates.set_index(["first", "second"])
    order = tournament.ratings["arm"].tolist()
    length = tournament.rates.groupby("first")["first_length"].mean()
    rows = []
    for arm, rating, low, high in tournament.ratings[["arm", "rating", "low", "high"]].to_numpy().tolist():
        bounds = f"\n[{low:.2f}, {high:.2f}]" if math.isfinite(low) and math.isfinite(high) else ""
        bounds = "\nunbeaten" if high == math.inf else "\nwinless" if low == -math.inf else bounds
        row = dict(zip(OWN_COLUMNS, (arm, f"{rating:.2f}{bounds}", f"{length[arm]:.1f}"), strict=True))
        for other in order:
            name = f"arm {other}" if other in OWN_COLUMNS else other
            row[name] = _cell(rates.loc[(arm, other)]) if (arm, other) in rates.index else "·"
        rows.append(row)
    return pd.DataFrame(rows)


def notes_on(tournament: Tournament) -> Iterator[str]:
    """What the reader of the table has to know, one line each."""
    rows, rates = tournament.judged.rows, tournament.rates
    if tournament.judged.stale:
        yield "The completions were made anew since these were judged: run `bench judge` again."
    if tournament.absent:
        yield f"{tournament.absent} further arms are not here: by default each method's first arm, at most {MOST}."
    yield f"Judge: {tournament.judged.judge}. Completions of the same prompt, task, model and seed are compared."
    several = (
        "± half of the 95 % interval over seeds and prompts" if rates["seeds"].max() > 1 else "one seed: no intervals"
    )
    yield f"Win rate: (wins + ½ ties) / N, {several}; beneath it win / tie / loss in %."
    yield "≈: the win rate on pairs of about the same length (at most 2 tokens or 10 % apart)."
    yield f"Rating: Bradley–Terry, {tournament.anchor} = 0; who is ahead by 1 wins 73 %. [95 % interval]"
    if np.isinf(tournament.ratings[["low", "high"]].to_numpy()).any():
        yield "Unbeaten, winless: the data says only that these are ahead, or behind; how far is the prior's word."
    yield f"{len(rates) // 2} pairs of arms: the intervals are not widened for their number."
    unparsable, total = int(rows["verdict"].isna().sum()), len(rows)
    if unparsable:
        yield f"Unparsable: {unparsable:,} of {total:,} comparisons ({unparsable / total:.1%}); they are in no rate."
    if "forward" in rows:
        both = rows.dropna(subset=["forward", "backward"])
        changed = float((both["forward"] != both["backward"]).mean()) if len(both) else math.nan
        yield f"Asked in both orders; {changed:.1%} of the answers changed with the order, which makes a tie."
    triples = intransitive(rates)
    for triple in triples:
        circle = " > ".join([*triple.arms, triple.arms[0]])
        doubt = "every interval excludes ½" if triple.certain else "not every interval excludes ½"
        yield f"Intransitive: {circle} ({', '.join(f'{rate:.2f}' for rate in triple.rates)}; {doubt})."
    if not triples:
        yield "No intransitive triple: no three arms beat each other in a circle."


def render_win_rates(run: RunFrames, console: Console | None = None, arms: Sequence[str] = ()) -> None:
    """Print one table per task and model with its notes; nothing where nobody could judge."""
    print_sections([_section(each) for each in tournaments(run, arms)], console)


def write_win_rates(run: RunFrames, directory: str | Path, arms: Sequence[str] = ()) -> list[Path]:
    """Write ``winrates.md``, ``.tex``, ``.html`` and ``.csv``, and ``ratings.csv`` (plain numbers)."""
    played = tournaments(run, arms)
    if not played:
        return []
    rates = pd.concat([each.rates for each in played])
    ratings = pd.concat([each.ratings.assign(task=each.task, model=each.model) for each in played])
    plain = {"winrates": rates, "ratings": ratings}
    return write_sections(directory, "winrates", list(map(_section, played)), plain)


def _section(tournament: Tournament) -> Section:
    title = f"{tournament.task} · {tournament.model}: win rates"
    return Section(title, table_of(tournament), list(notes_on(tournament)))


def _cell(pair: pd.Series) -> str:
    judged = pair["win"] + pair["tie"] + pair["loss"]
    if not judged:
        return "unparsable"
    rate = Interval.from_columns(pair, "rate", n="seeds").text()
    shares = " / ".join(f"{100 * pair[name] / judged:.0f}" for name in ("win", "tie", "loss"))
    matched = f"≈ {pair['matched']:.2f}" if math.isfinite(pair["matched"]) else "≈ none"
    return f"{rate}\n{shares}\n{matched}"
