"""What is exact where every completion can be written down: no sampling, no estimator.

A task that can be enumerated gives every completion of a few prompts, one row each (`bench.Task.enumerated`): its
log-probability under π and under π0 (nats), its gold reward, and the number of its prompt. Prompts weigh the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.measures.definition import Definitions
from bench.measures.valid_numbers import numbers

measure = Definitions(of="a policy")

Array = NDArray[np.float64]
SMALLEST_BETA = 1e-3  # relative to the reward's range; below, π* is the argmax to any figure that is shown


@measure("exact_gold", "gold, exact", "", "higher", "expected gold, summed over all completions")
def exact_reward(exact_logp: ArrayLike, exact_gold: ArrayLike, exact_prompt: ArrayLike) -> float:
    """E_π[gold] = Σ_y π(y) gold(y), averaged over the prompts.

    Trap: of a few prompts only, so the sampled `gold` differs from it by what those prompts are like.
    """
    rows = _by_prompt(
        exact_prompt, numbers(exact_logp, "log-probabilities", infinite=True), numbers(exact_gold, "rewards")
    )
    return float(np.mean([np.sum(np.exp(logp) * gold) for logp, gold in rows]))


@measure("exact_kl", "KL, exact", "nats", None, "KL(π‖π0), summed over all completions")
def exact_kl(exact_logp: ArrayLike, exact_reference_logp: ArrayLike, exact_prompt: ArrayLike) -> float:
    """KL(π ‖ π0) = Σ_y π(y) [log π(y) − log π0(y)], nats per completion, averaged over the prompts.

    Infinite where π0 lacks what π has. Trap: of a few prompts only, see `exact_reward`.
    """
    columns = (numbers(each, "log-probabilities", infinite=True) for each in (exact_logp, exact_reference_logp))
    return float(np.mean([_kl(*row) for row in _by_prompt(exact_prompt, *columns)]))


@measure("optimality_gap", "optimality gap", "", "lower", "gold lost to the best policy of the same KL, exact")
def optimality_gap(
    exact_logp: ArrayLike, exact_reference_logp: ArrayLike, exact_gold: ArrayLike, exact_prompt: ArrayLike
) -> float:
    """The most gold reward that any policy of the same KL(π ‖ π0) can have, less π's own; in gold's unit, ≥ 0.

    The best policy of a given KL is π*_β ∝ π0 exp(gold/β) with the β of that KL, one for all prompts (Rafailov et al.
    2023, eq. 4). Needs no β of the method's, so all methods stand on one scale; it equals β KL(π ‖ π*_β). Trap: 0 for
    π0 itself, which has lost nothing at its KL of 0: read it beside KL.
    """
    best, _ = _best_at_equal_kl(exact_logp, exact_reference_logp, exact_gold, exact_prompt)
    own = exact_reward(exact_logp, exact_gold, exact_prompt)
    top = np.mean([np.sum(np.exp(logp) * gold) for logp, gold in zip(*best, strict=True)])
    return float(np.maximum(top - own, 0.0))  # rounding may leave −1e−16


@measure("kl_optimal", "KL to optimum", "nats", "lower", "KL(π‖π*), π* the best policy of the same KL, exact")
def kl_to_optimal(
    exact_logp: ArrayLike, exact_reference_logp: ArrayLike, exact_gold: ArrayLike, exact_prompt: ArrayLike
) -> float:
    """KL(π ‖ π*), nats per completion, averaged over the prompts; π* as in `optimality_gap`. 0 is best.

    Trap: 0 for π0 itself, the best policy at no KL, so that it may rise while training goes well; the distance to the
    optimum of a stated β is the claims' `kl_to_optimum`. Infinite where π is so far from π0 that π* is the argmax and π
    does more than that.
    """
    (best, _), finite = _best_at_equal_kl(exact_logp, exact_reference_logp, exact_gold, exact_prompt)
    own = [logp for (logp,) in _by_prompt(exact_prompt, numbers(exact_logp, "log-probabilities", infinite=True))]
    return float(np.mean([_kl(p, q) for p, q in zip(own, best, strict=True)])) if finite else float("inf")


@measure("reward_slope", "slope of log π/π0", "", None, "of log π/π0 on gold, exact: 1/β for the optimum of β")
def reward_slope(
    exact_logp: ArrayLike, exact_reference_logp: ArrayLike, exact_gold: ArrayLike, exact_prompt: ArrayLike
) -> float:
    """Slope of log π(y) − log π0(y) on gold over all completions of a prompt, weighted by π0.

    Least squares, averaged over the prompts. 1/β for π*_β ∝ π0 exp(gold/β), 0 for π0. Trap: NaN where π rules out what
    π0 does not.
    """
    columns = (numbers(each, "log-probabilities", infinite=True) for each in (exact_logp, exact_reference_logp))
    slopes = []
    for logp, reference, gold in _by_prompt(exact_prompt, *columns, numbers(exact_gold, "rewards")):
        weight = np.exp(reference)
        if not np.isfinite(logp[weight > 0]).all():
            return float("nan")
        ratio = np.where(weight > 0, logp, 0) - np.where(weight > 0, reference, 0)
        centred = gold - np.average(gold, weights=weight)
        variance = np.sum(weight * centred**2)
        slopes.append(np.sum(weight * centred * ratio) / variance if variance else np.nan)
    return float(np.mean(slopes))


def _best_at_equal_kl(
    logp: ArrayLike, reference_logp: ArrayLike, gold: ArrayLike, prompt: ArrayLike
) -> tuple[tuple[list[Array], list[Array]], bool]:
    """log π* and gold of each prompt, and whether a β exists at which π* has π's KL."""
    from scipy.optimize import brentq
    from scipy.special import logsumexp, softmax

    target = exact_kl(logp, reference_logp, prompt)
    rows = _by_prompt(prompt, numbers(reference_logp, "log-probabilities", infinite=True), numbers(gold, "rewards"))
    rewards = [gold for _, gold in rows]
    scale = max(float(np.ptp(gold)) for gold in rewards)

    def tilted(inverse: float) -> list[Array]:  # inverse = 1/β: 0 gives π0
        tilts = [reference + inverse * gold for reference, gold in rows]
        return [tilt - logsumexp(tilt) for tilt in tilts]

    def excess(inverse: float) -> float:
        pairs = zip(tilted(inverse), rows, strict=True)
        return float(np.mean([_kl(best, reference) for best, (reference, _) in pairs])) - target

    if scale == 0 or target <= 1e-12:  # nothing to gain, or nothing spent
        return (tilted(0.0), rewards), target <= 1e-12
    largest = 1 / (SMALLEST_BETA * scale)
    if excess(largest) <= 0:
        tops = [softmax(np.where(gold == gold.max(), reference, -np.inf)) for reference, gold in rows]
        with np.errstate(divide="ignore"):
            return ([np.log(top) for top in tops], rewards), False
    return (tilted(float(brentq(excess, 0.0, largest, xtol=1e-12))), rewards), True


def _kl(logp: Array, other: Array) -> float:
    possible = logp > -np.inf  # 0 log 0 = 0
    return float(np.sum(np.exp(logp[possible]) * (logp[possible] - other[possible])))


def _by_prompt(prompt: ArrayLike, *columns: Array) -> list[tuple[Array, ...]]:
    ids = np.asarray(prompt)
    return [tuple(column[ids == each] for column in columns) for each in np.unique(ids)]
