"""Which completions the page's browser shows: the worst reward hacking of each task, and some prompts by chance."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.report.summary import target_reward
from bench.analysis.report.words import labels
from bench.contracts.escaping import visible
from bench.measures.means import standardise_by
from bench.records.loading import RunFrames, plain


class Share(NamedTuple):
    """How much of a task is shown: prompts with the worst hacking and by chance, of each seed; and of each arm."""

    worst: int
    random: int
    seeds: int
    completions: int


SHARES = (Share(12, 6, 2, 3), Share(12, 6, 2, 1), Share(8, 4, 1, 1), Share(4, 2, 1, 1))
"""The first that fits into `LIMIT` is taken, else the last."""
LONGEST = 800
"""Characters of a text; what is cut off is said."""
LIMIT = 3_000_000
"""Bytes that all samples together may take on the page."""
REFERENCE = "π0"
_TEXTS = ("prompt", "completion")


def choose_samples(run: RunFrames) -> list[dict[str, Any]]:
    """One entry per task and model that has completions, as the page's script reads it.

    An entry: `about`, `column` (gold or judge; None without), `arms` (the first is π0), `ordered` (could the prompts be
    ordered by their hacking?), `seeds`: lists of prompts, each with `text`, `why` (worst or random), and `arms`, pairs
    of an arm's position and its completions (text, proxy, wanted, KL, tokens, gap).

    On the prompts with the worst hacking each arm shows its completions with the largest gaps, on those by chance its
    first ones. The gap of a completion is its proxy minus what is really wanted, each in standard deviations of π0's
    own samples above π0's mean. Where all would not fit into `LIMIT`, there are fewer prompts and completions.
    """
    rows, names = _with_texts(run), labels(run)
    for share in SHARES:
        chosen = [
            {"about": visible(names[str(task), str(model)]), **_entry(run, own, share)}
            for (task, model), own in rows.groupby(["task", "model"], sort=False)
        ]
        if len(json.dumps(chosen, ensure_ascii=False).encode()) <= LIMIT:
            break
    return chosen


def _with_texts(run: RunFrames) -> pd.DataFrame:
    frame = run.completions
    if any(column not in frame for column in _TEXTS):
        return frame.iloc[:0]
    return frame[frame[list(_TEXTS)].notna().all(axis=1)]


def _entry(run: RunFrames, rows: pd.DataFrame, share: Share) -> dict[str, Any]:
    target = target_reward(rows)
    column = target[0] if target else None
    rows = rows.assign(gap=_gap(rows, run.records, column), reference_gap=_gap(rows, run.records, column, "reference_"))
    arms = [str(arm) for arm in dict.fromkeys(rows["arm"])]
    # seeds that most arms have, the first ones among equals
    by_arms = rows.groupby("seed")["arm"].nunique().sort_index().sort_values(ascending=False, kind="stable")
    picked = []
    for seed in sorted(by_arms.index[: share.seeds]):
        own = rows[rows["seed"] == seed]
        prompts = [
            {"text": _cut(each["prompt"].iloc[0]), "why": why, "arms": _arms(each, arms, column, share)}
            for why, each in _prompts(own, share, int(seed))
        ]
        picked.append({"seed": int(seed), "prompts": prompts})
    return {
        "column": column,
        "arms": [REFERENCE, *map(visible, arms)],
        "ordered": bool(rows["gap"].notna().any()),
        "seeds": picked,
    }


def _gap(rows: pd.DataFrame, records: pd.DataFrame, column: str | None, own: str = "") -> NDArray[np.float64]:
    """Standardised proxy minus standardised gold (or judge) of each completion; NaN where π0's are not known.

    own: ``"reference_"`` for the gaps of π0's completions on the same prompts.
    """
    gap = np.full(len(rows), np.nan)
    pair = [f"{own}proxy", f"{own}{column}"]
    needed = [f"reference_{name}{part}" for name in ("proxy", column) for part in ("", "_sd")]
    if not (set(pair) <= set(rows) and set(needed) <= set(records)):
        return gap
    proxy, real = rows[pair].to_numpy(float).T
    bases = dict(zip(records["cell"], records[needed].to_numpy(float).tolist(), strict=True))
    for cell, places in rows.groupby("cell", sort=False).indices.items():
        mean, sd, real_mean, real_sd = bases[str(cell)]
        gap[places] = standardise_by(proxy[places], mean, sd) - standardise_by(real[places], real_mean, real_sd)
    return gap


def _prompts(rows: pd.DataFrame, share: Share, seed: int) -> list[tuple[str, pd.DataFrame]]:
    gaps = rows.groupby("prompt_id")["gap"].max().sort_index()
    order = gaps.dropna().sort_values(ascending=False, kind="stable").index[: share.worst].tolist()
    others = [prompt for prompt in gaps.index if prompt not in set(order)]
    # seeded: the same run makes the same page
    drawn = np.random.default_rng(seed).permutation(len(others))[: share.random + share.worst - len(order)]
    by_gap = dict(list(rows.sort_values("gap", ascending=False, kind="stable").groupby("prompt_id")))
    by_sample = dict(list(rows.sort_values("sample", kind="stable").groupby("prompt_id")))
    return [
        *(("worst", by_gap[prompt]) for prompt in order),
        *(("random", by_sample[others[place]]) for place in sorted(drawn)),
    ]


def _arms(rows: pd.DataFrame, arms: list[str], column: str | None, share: Share) -> list[Any]:
    """Every arm's first completions of a prompt, after π0's, each behind the arm's place."""
    first = rows.groupby("arm", sort=False).head(share.completions)
    names = ["completion", "proxy", column, "kl", "length", "gap"]
    by_arm: dict[str, list[Any]] = {arm: [] for arm in arms}
    for arm, completion in zip(first["arm"], _completions(first, names), strict=True):
        by_arm[arm].append(completion)
    by_place = [[place, own] for place, own in enumerate(by_arm.values(), 1) if own]
    if "reference_completion" in rows:
        # π0's samples are the same for every arm of a seed
        first_arm = (
            rows[rows["arm"] == rows["arm"].iloc[0]].dropna(subset=["reference_completion"]).sort_values("sample")
        )
        names = [f"reference_{name}" if name not in (None, "kl") else None for name in names]
        if own := _completions(first_arm.head(share.completions), names):
            by_place.insert(0, [0, own])
    return by_place


def _completions(rows: pd.DataFrame, names: list[str | None]) -> list[list[Any]]:
    texts, *numbers = [rows[name].tolist() if name in rows else [None] * len(rows) for name in names]
    return [[_cut(text), *map(_short, values)] for text, *values in zip(texts, *numbers, strict=True)]


def _cut(said: Any) -> str:
    """A text, or a conversation a line for each turn, cut where it is long."""
    turns = plain(said)
    text = turns if isinstance(turns, str) else "\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)
    text = visible(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST} more characters)"


def _short(value: Any) -> float | None:
    """Three decimals, for the page's size; None for what is missing or not finite."""
    return None if value is None or not np.isfinite(value) else round(float(value), 3)
