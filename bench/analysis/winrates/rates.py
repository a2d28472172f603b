"""Win rates of every arm against every other, Bradley–Terry ratings, and triples that no rating can order.

Seeds are the unit: intervals resample seeds and, within them, prompts. An unparsable verdict counts as no comparison in
a rate, and is reported beside it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats
from scipy.sparse.csgraph import breadth_first_order, connected_components

from bench.analysis.interval import Interval
from bench.analysis.statistics import share_interval

Array = NDArray[np.float64]

RIDGE = 0.1
"""Precision of the Gaussian prior on each rating, 1/logits²: weak (sd 3.2 logits), but enough for separated data."""
MATCHED_SHARE, MATCHED_TOKENS = 0.10, 2


@dataclass(frozen=True)
class Triple:
    """Three arms of which each wins against the next, and the last against the first.

    Attributes:
        arms: in that order.
        rates: the three win rates, each above ½.
        certain: do all three intervals exclude ½?
    """

    arms: tuple[str, str, str]
    rates: tuple[float, float, float]
    certain: bool


def length_matched(first: ArrayLike, second: ArrayLike) -> NDArray[np.bool_]:
    """Do the two completions of each pair have about the same length: (pairs,).

    Lengths in tokens; matched where they differ by at most 2 tokens or by at most 10 % of the longer one.
    """
    one, two = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return np.abs(one - two) <= np.maximum(MATCHED_TOKENS, MATCHED_SHARE * np.maximum(one, two))


def win_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per task, model and ordered pair of arms, from the rows of `JudgedPairs`.

    Columns: `task`, `model`, `first`, `second`, `seeds`; `win`, `tie`, `loss`, `unparsable` (counts of pairs of
    completions, for `first`); `rate` = (wins + ½ ties) / (wins + ties + losses), the mean over seeds, with `low` and
    `high` (95 %); the same on pairs of about the same length, `matched`, `matched_low`, `matched_high`, and how many
    those are, `matched_pairs`; `first_length`, `second_length` (mean tokens). NaN where nothing was judged.

    Trap: a judge's own taste, for length above all, can win: read the rate beside the one on pairs of the same length.
    """
    found = []
    for (task, model, first, second), pairs in rows.groupby(["task", "model", "first", "second"], sort=False):
        verdict = pairs["verdict"]
        matched = length_matched(pairs["first_length"], pairs["second_length"])
        rate, even = _interval(pairs), _interval(pairs[matched])
        one, two = pairs["first_length"].mean(), pairs["second_length"].mean()
        shared = {
            "task": task,
            "model": model,
            "seeds": pairs["seed"].nunique(),
            "tie": int((verdict == 0.5).sum()),
            "unparsable": int(verdict.isna().sum()),
            "matched_pairs": int((matched & verdict.notna()).sum()),
        }
        won, lost = int((verdict == 1).sum()), int((verdict == 0).sum())
        own = _row(str(first), str(second), won, lost, one, two, rate, even)
        back = _row(str(second), str(first), lost, won, two, one, _mirrored(rate), _mirrored(even))
        found += [shared | own, shared | back]
    columns = ["task", "model", "first", "second", "seeds", "win", "tie", "loss", "unparsable", "rate", "low", "high"]
    columns += ["matched", "matched_low", "matched_high", "matched_pairs", "first_length", "second_length"]
    return pd.DataFrame(found, columns=columns)


def bradley_terry(wins: ArrayLike, anchor: int = 0, start: ArrayLike | None = None, ridge: float = RIDGE) -> Array:
    """Ratings θ (players,) in logits such that P(i beats j) = σ(θi − θj) (Bradley & Terry 1952); θ of `anchor` is 0.

    Maximises Σij wins[i, j] · log σ(θi − θj) − ½ ridge Σi θi². The prior keeps ratings finite where a player wins
    always; it draws them together the more, the fewer comparisons there are.

    Args:
        wins: (players, players), how often the row beat the column, ties as half a win for both.
        start: ratings to start from.

    Returns:
        NaN for players whom no chain of comparisons connects with the anchor: the data says nothing about them.

    Raises:
        ValueError: a count is negative or not finite.
    """
    table = np.array(wins, dtype=float)
    if not (np.isfinite(table).all() and (table >= 0).all()):
        raise ValueError("wins must be finite counts, none below 0")
    np.fill_diagonal(table, 0)
    _, component = connected_components(table + table.T, directed=False)
    known = component == component[anchor]
    table = table[np.ix_(known, known)]
    games = table + table.T

    def loss(theta: Array) -> float:
        gaps = theta[:, None] - theta[None, :]
        return float(-(table * special.log_expit(gaps)).sum() + ridge / 2 * theta @ theta)

    def gradient(theta: Array) -> Array:
        expected = games * special.expit(theta[:, None] - theta[None, :])
        return ridge * theta - (table - expected).sum(1)

    def hessian(theta: Array) -> Array:
        p = special.expit(theta[:, None] - theta[None, :])
        weight = games * p * (1 - p)
        return np.diag(weight.sum(1) + ridge) - weight

    begin = np.zeros(len(table)) if start is None else np.nan_to_num(np.asarray(start, dtype=float)[known])
    result = optimize.minimize(loss, begin - begin.mean(), jac=gradient, hess=hessian, method="trust-exact")
    ratings = np.full(len(known), np.nan)
    ratings[known] = result.x
    return ratings - ratings[anchor]


def ratings(
    rows: pd.DataFrame, anchor: str, confidence: float = 0.95, resamples: int = 300, seed: int = 0
) -> pd.DataFrame:
    """Bradley–Terry ratings from the rows of one task and model: columns `arm`, `rating`, `low`, `high`, best first.

    Of an arm that never lost a point to the anchor, nor to any through whom it could be compared with it, the data says
    only that it is better, and the rating is the prior's: `high` is ∞, `low` NaN. Likewise `low` is −∞ of one that
    never won one.

    The interval is a bootstrap of seeds and, within them, prompts, widened for few seeds as in `two_level_bootstrap`;
    NaN for one seed, and for the anchor, which is 0 by definition. `seed` is of the bootstrap's own generator.
    """
    arms = pd.concat([rows["first"], rows["second"]]).unique().tolist()
    judged = rows.dropna(subset=["verdict"])
    by_seed = [_win_tables(each, arms) for _, each in judged.groupby("seed", sort=True)]
    place = arms.index(anchor)
    point = bradley_terry(sum((tables.sum(0) for tables in by_seed), np.zeros((len(arms),) * 2)), place)
    low = high = np.full(len(arms), np.nan)
    n = len(by_seed)
    if n > 1:
        rng = np.random.default_rng(seed)
        drawn = np.full((resamples, len(arms)), np.nan)
        for i in range(resamples):
            chosen = [by_seed[k] for k in rng.integers(0, n, n)]
            # how often each prompt is drawn
            weights = [rng.multinomial(len(tables), np.full(len(tables), 1 / len(tables))) for tables in chosen]
            wins = sum(np.tensordot(w, tables, axes=1) for w, tables in zip(weights, chosen, strict=True))
            drawn[i] = bradley_terry(wins, place, start=point)
        tail = (1 - confidence) / 2
        seen = np.isfinite(drawn).any(0)
        low, high = np.full((2, len(arms)), np.nan)
        low[seen], high[seen] = np.nanquantile(drawn[:, seen], [tail, 1 - tail], axis=0)
        widen = np.sqrt(n / (n - 1)) * stats.t.ppf(1 - tail, n - 1) / stats.norm.ppf(1 - tail)
        low, high = point + widen * (low - point), point + widen * (high - point)
        low[place] = high[place] = np.nan
    unbeaten, winless = _one_sided(sum((tables.sum(0) for tables in by_seed), np.zeros((len(arms),) * 2)), place)
    low = np.select([winless, unbeaten], [-np.inf, np.nan], low)  # all resamples are alike: they bound nothing
    high = np.select([unbeaten, winless], [np.inf, np.nan], high)
    frame = pd.DataFrame({"arm": arms, "rating": point, "low": low, "high": high})
    return frame.sort_values("rating", ascending=False, ignore_index=True, kind="stable")


def _one_sided(wins: Array, anchor: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which players no likelihood bounds above, and which below: (players,) each.

    A player's rating is bounded above only if a chain of points leads from the anchor to it, and below only if one
    leads back (Ford 1957). Whom no comparison connects with the anchor has no rating, and is neither.
    """
    _, component = connected_components(wins + wins.T, directed=False)
    above, below = (np.isin(np.arange(len(wins)), breadth_first_order(w > 0, anchor)[0]) for w in (wins, wins.T))
    known = component == component[anchor]
    return known & ~above, known & ~below


def intransitive(rates: pd.DataFrame) -> list[Triple]:
    """The triples of arms that beat each other in a circle, in the win rates of one task and model."""
    rate = {(a, b): r for a, b, r in zip(rates["first"], rates["second"], rates["rate"], strict=True)}
    low = {(a, b): r for a, b, r in zip(rates["first"], rates["second"], rates["low"], strict=True)}
    found = []
    for a, b, c in itertools.combinations(dict.fromkeys(rates["first"]), 3):
        for circle in ((a, b, c), (a, c, b)):
            steps = list(zip(circle, (*circle[1:], circle[0]), strict=True))
            x, y, z = (rate.get(step, np.nan) for step in steps)
            if all(rate > 0.5 for rate in (x, y, z)):  # False where one is NaN
                found.append(Triple(circle, (x, y, z), all(low[step] > 0.5 for step in steps)))
    return found


def _interval(pairs: pd.DataFrame) -> Interval:
    """Win rate of one pair of arms: mean over seeds of the mean over prompts."""
    judged = pairs.dropna(subset=["verdict"])
    by_prompt = judged.groupby(["seed", "prompt_id"])["verdict"].mean()
    return share_interval({seed: each.to_numpy() for seed, each in by_prompt.groupby(level=0)})


def _mirrored(x: Interval) -> Interval:
    return Interval(1 - x.mean, 1 - x.high, 1 - x.low, x.n)


def _row(
    first: str, second: str, won: int, lost: int, one: float, two: float, rate: Interval, even: Interval
) -> dict[str, object]:
    counts = {"first": first, "second": second, "win": won, "loss": lost, "first_length": one, "second_length": two}
    return counts | rate.columns("rate") | even.columns("matched", "matched_")


def _win_tables(rows: pd.DataFrame, arms: list[str]) -> Array:
    """(prompts, arms, arms): how often the row beat the column on each prompt, ties as half."""
    prompts, prompt = np.unique(rows["prompt_id"].to_numpy(), return_inverse=True)
    index = {arm: i for i, arm in enumerate(arms)}
    one, two = rows["first"].map(index).to_numpy(), rows["second"].map(index).to_numpy()
    verdict = rows["verdict"].to_numpy(float)
    tables = np.zeros((len(prompts), len(arms), len(arms)))
    np.add.at(tables, (prompt, one, two), verdict)
    np.add.at(tables, (prompt, two, one), 1 - verdict)
    return tables
