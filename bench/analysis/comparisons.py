"""Who beat whom on which prompt: every arm's completions against every other's, and against π0's.

`comparisons.parquet` in a run's folder holds what a judge said (`bench judge`); where there is none, the scores that
the run stored judge, by gold where it is known and by the held-out reward model elsewhere.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bench.analysis.loading import RunFrames, completion_digests, plain
from bench.errors import BenchError
from bench.judges import verdicts

FILE = "comparisons.parquet"
REFERENCE = "π0"
"""The name of π0's own samples where no arm is the SFT policy."""
_OWN = "reference_"


@dataclass(frozen=True)
class Comparisons:
    """What a judge said.

    Attributes:
        rows: one row per pair of completions. Columns: `task`, `model`, `seed`, `prompt_id`, `sample`, `first`,
            `second` (arms), `verdict` (1, ½, 0 for the first; NaN: unparsable), `first_length`, `second_length`
            (tokens); of a judge asked in both orders also `forward` and `backward`, its answers for the arm `first`.
        judge: who, as people read it.
        stale: were the completions made anew since?
    """

    rows: pd.DataFrame
    judge: str
    stale: bool = False


def comparisons(run: RunFrames) -> Comparisons | None:
    """What `bench judge` left, else the comparison of stored scores; None where nobody can judge."""
    file = run.directory / FILE
    if file.exists():
        rows = pd.read_parquet(file)
        return Comparisons(rows, rows.attrs["judge"], rows.attrs["completions"] != fingerprint(run))
    entrants = entrants_of(run)
    judges = ", ".join(sorted(set(run.records["judged_by"].dropna())))
    if not judges or "judge" not in entrants or entrants["judge"].isna().all():
        return None
    return Comparisons(by_score(pair_up(entrants), entrants["judge"], tie_band(run)), judges)


def entrants_of(run: RunFrames) -> pd.DataFrame:
    """The completions of every cell that ended well, and of π0 where no arm of its task and model is the SFT policy."""
    records, rows = run.records, run.completions
    ok = records[records["status"] == "ok"]
    rows = rows[rows["cell"].isin(ok["cell"])]
    parts = [rows.loc[:, [not str(name).startswith(_OWN) for name in rows]]]
    for (task, model), cells in ok.groupby(["task", "model"], sort=False):
        if (cells["method"] == "sft").any():
            continue
        here = rows[(rows["task"] == task) & (rows["model"] == model)]
        # every cell of a seed carries the same samples of π0
        for _, seed in here.groupby("seed", sort=True):
            one = seed[seed["cell"] == seed["cell"].iloc[0]]
            if f"{_OWN}length" in one and one[f"{_OWN}length"].notna().all():
                theirs = [name for name in one if str(name).startswith(_OWN) and name != f"{_OWN}logp"]
                own = one[["task", "model", "seed", "prompt_id", "sample", "prompt", *theirs]]
                parts.append(own.rename(columns=lambda name: str(name).removeprefix(_OWN)).assign(arm=REFERENCE))
    return pd.concat(parts, ignore_index=True)


def pair_up(entrants: pd.DataFrame) -> pd.DataFrame:
    """Every two arms' completions of the same prompt and sample, within task, model and seed.

    Beside the identity of each pair: `mine` and `theirs`, the rows of `entrants` that stand behind it.

    Raises:
        BenchError: two cells were asked different prompts.
    """
    pairs = [pair for _, group in entrants.groupby(["task", "model", "seed"], sort=False) for pair in _pairs(group)]
    columns = ["task", "model", "seed", "prompt_id", "sample", "first", "second"]
    columns += ["mine", "theirs", "first_length", "second_length"]
    return pd.concat(pairs, ignore_index=True) if pairs else pd.DataFrame(columns=columns)


def by_score(pairs: pd.DataFrame, scores: ArrayLike, band: float) -> pd.DataFrame:
    """`pairs` judged by one score per entrant."""
    values = np.asarray(scores, dtype=float)
    judged = verdicts(values[pairs["mine"].to_numpy(int)], values[pairs["theirs"].to_numpy(int)], band)
    return pairs.drop(columns=["mine", "theirs"]).assign(verdict=judged)


def tie_band(run: RunFrames) -> float:
    """The band that the matrix fixed before the run, in the judge's unit."""
    file = run.directory / "run.json"
    settings = json.loads(file.read_text()) if file.exists() else {}
    return float(settings.get("evaluation", {}).get("tie_band", 0.0))


def fingerprint(run: RunFrames) -> str:
    """Identifies the completions that a run holds; packing leaves it as it is."""
    digest = hashlib.sha256()
    for name, of_cell in completion_digests(run).items():
        digest.update(f"{name}\n{of_cell}\n".encode())
    return digest.hexdigest()


def _pairs(group: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """All pairs of arms in the completions of one task, model and seed."""
    placed = group.assign(row=group.index)
    arms = {arm: rows.set_index(["prompt_id", "sample"]) for arm, rows in placed.groupby("arm", sort=False)}
    for (first, mine), (second, theirs) in itertools.combinations(arms.items(), 2):
        both = mine.join(theirs, how="inner", lsuffix="_mine", rsuffix="_theirs")
        asked = both[["prompt_mine", "prompt_theirs"]].dropna().map(plain)  # None where the texts are packed away
        if (asked["prompt_mine"] != asked["prompt_theirs"]).any():
            raise BenchError(f"the arms {first!r} and {second!r} answered different prompts: run the matrix again")
        task, model, seed = group[["task", "model", "seed"]].iloc[0]
        pair = both.index.to_frame(index=False).assign(
            mine=both["row_mine"].to_numpy(),
            theirs=both["row_theirs"].to_numpy(),
            first_length=both["length_mine"].to_numpy(),
            second_length=both["length_theirs"].to_numpy(),
        )
        identity = {"task": task, "model": model, "seed": seed, "first": first, "second": second}
        yield pair.assign(**identity)
