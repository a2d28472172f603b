"""Who beat whom on which prompt: every arm's completions against every other's, and against π0's.

`comparisons.parquet` in a run's folder holds what a judge said (`bench judge`); where there is none, the scores that
the run stored judge, by gold where it is known and by the held-out reward model elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bench.contracts.errors import BenchError, nearest
from bench.measures.preference import verdicts
from bench.records.loading import RunFrames, completion_digests, plain
from bench.records.reading import described

REFERENCE = "π0"
"""The name of π0's own samples where no arm is the SFT policy."""
MOST = 12
"""Arms that meet each other unless they are named: of 60 there would be 1,770 pairs."""
_OWN = "reference_"


@dataclass(frozen=True)
class JudgedPairs:
    """Pairs of completions, and what a judge said of each.

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


def judged_pairs(run: RunFrames, arms: Collection[str] = ()) -> JudgedPairs | None:
    """What `bench judge` left, else the comparison of stored scores; None where nobody can judge.

    Only between the arms that `contestants` names.
    """
    among = contestants(run, arms)
    if run.comparisons:
        rows = pd.read_parquet(run.comparisons)
        rows = rows[_recorded(rows, run, "first") & _recorded(rows, run, "second")]
        both = _among(rows, among, "first") & _among(rows, among, "second")
        stale = not completion_digests(run).items() <= rows.attrs["completions"].items()
        return JudgedPairs(rows[both], rows.attrs["judge"], stale)
    entrants = entrants_of(run)
    entrants = entrants[_among(entrants, among, "arm")]
    if run.useless_judges:
        useless = pd.MultiIndex.from_frame(entrants[["task", "model"]]).isin(list(run.useless_judges))
        entrants = entrants[~useless]
    entrants = entrants.reset_index(drop=True)
    judges = ", ".join(sorted(set(run.records["judged_by"].dropna())))
    if not judges or "judge" not in entrants or entrants["judge"].isna().all():
        return None
    return JudgedPairs(by_score(pair_up(entrants), entrants["judge"], tie_band(run)), judges)


def contestants(run: RunFrames, arms: Collection[str] = ()) -> dict[tuple[str, str], list[str]]:
    """Who meets whom, by task and model: `arms`, else all, else (more than 12) each method's first, the first 12.

    Raises:
        BenchError: no arm is called so, with the nearest name.
    """
    known = list(dict.fromkeys(run.records["arm"]))
    for arm in arms:
        if arm not in known:
            raise BenchError(f"no arm {arm!r} in {run.directory}{nearest(arm, known)}")
    chosen = {}
    for task, model, records in run.groups():
        every = records["arm"].drop_duplicates()
        firsts = every if len(every) <= MOST else records.loc[every.index].drop_duplicates("method")["arm"][:MOST]
        chosen[task, model] = [arm for arm in every if arm in arms] if arms else firsts.tolist()
    return chosen


def _among(rows: pd.DataFrame, chosen: Mapping[tuple[str, str], Sequence[str]], column: str) -> NDArray[np.bool_]:
    """Does the arm in the column meet others? π0's own samples always do."""
    meet = [(*key, arm) for key, arms in chosen.items() for arm in (*arms, REFERENCE)]
    known = pd.MultiIndex.from_tuples(meet, names=["task", "model", column])
    return pd.MultiIndex.from_frame(rows[["task", "model", column]]).isin(known)


def _recorded(rows: pd.DataFrame, run: RunFrames, column: str) -> NDArray[np.bool_]:
    """Does the arm in the column still have a whole record for the seed? One that is damaged counts no more."""
    key = ["task", "model", "seed"]
    known = pd.MultiIndex.from_frame(run.records[[*key, "arm"]])
    return pd.MultiIndex.from_frame(rows[[*key, column]]).isin(known) | (rows[column] == REFERENCE).to_numpy()


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
                reference = [name for name in one if str(name).startswith(_OWN) and name != f"{_OWN}logp"]
                own = one[["task", "model", "seed", "prompt_id", "sample", "prompt", *reference]]
                parts.append(own.rename(columns=lambda name: str(name).removeprefix(_OWN)).assign(arm=REFERENCE))
    return pd.concat(parts, ignore_index=True)


def pair_up(entrants: pd.DataFrame) -> pd.DataFrame:
    """Every two arms' completions of the same prompt and sample, within task, model and seed.

    Beside the identity of each pair: `first_row` and `second_row`, those of `entrants` that stand behind it.

    Raises:
        BenchError: two cells were asked different prompts.
    """
    groups = entrants.groupby(["task", "model", "seed"], sort=False).indices.values()
    pairs_of_groups = [_pairs(entrants.iloc[rows], np.asarray(rows)) for rows in groups]
    first, second = np.concatenate([np.empty((2, 0), dtype=int), *pairs_of_groups], axis=1)
    prompt = pd.factorize(entrants["prompt"].map(_key, na_action="ignore"))[0]  # −1: the text is packed away
    differs = (prompt[first] != prompt[second]) & (prompt[first] >= 0) & (prompt[second] >= 0)
    if differs.any():
        one, other = (entrants["arm"].iloc[side[differs.argmax()]] for side in (first, second))
        raise BenchError(f"the arms {one!r} and {other!r} answered different prompts: run the matrix again")
    pairs = entrants[["task", "model", "seed", "prompt_id", "sample"]].take(first).reset_index(drop=True)
    sides = {"first": ("arm", first), "second": ("arm", second)}
    sides |= {"first_length": ("length", first), "second_length": ("length", second)}
    columns = {name: entrants[column].take(side).array for name, (column, side) in sides.items()}
    return pairs.assign(first_row=first, second_row=second, **columns)


def by_score(pairs: pd.DataFrame, scores: ArrayLike, band: float) -> pd.DataFrame:
    """`pairs` judged by one score per entrant."""
    values = np.asarray(scores, dtype=float)
    first, second = pairs["first_row"].to_numpy(int), pairs["second_row"].to_numpy(int)
    verdict = verdicts(values[first], values[second], band)
    return pairs.drop(columns=["first_row", "second_row"]).assign(verdict=verdict)


def tie_band(run: RunFrames) -> float:
    """The band that the matrix fixed before the run, in the judge's unit."""
    return float(described(run.directory).get("evaluation", {}).get("tie_band", 0.0))


def _pairs(group: pd.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(2, pairs): the `rows` of all pairs in the completions of one task, model and seed, arms in order."""
    arm, arms = pd.factorize(group["arm"])
    question, questions = pd.factorize(pd.MultiIndex.from_frame(group[["prompt_id", "sample"]]))
    row_of = np.full((len(arms), len(questions)), -1)
    row_of[arm, question] = rows
    first_arm, second_arm = np.triu_indices(len(arms), 1)
    first, second = row_of[first_arm], row_of[second_arm]
    both = (first >= 0) & (second >= 0)
    return np.stack([first[both], second[both]])


def _key(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else json.dumps(plain(prompt))
