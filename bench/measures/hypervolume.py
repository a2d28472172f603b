"""How much reward for how much KL: the frontier of everything an arm passed through."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.measures.definition import Definitions
from bench.measures.valid_numbers import numbers

measure = Definitions(of="a training path")

MAX_KL = 10.0
"""Nats: how far the hypervolume looks. The same for every arm, or they could not be compared."""


@measure("hypervolume", "hypervolume", "", "higher", "best gold or judge above π0 within a KL budget of 0 to 10 nats")
def hypervolume(path_kl: ArrayLike, path_reward: ArrayLike, *, start: float = 0.0, max_kl: float = MAX_KL) -> float:
    """Mean over KL budgets from 0 to `max_kl` of the best reward reached within the budget, above π0's.

    (1/K) ∫₀ᴷ [max {reward_i : kl_i ≤ k} − start] dk, with K = `max_kl` nats and `start` = π0's reward, which costs no
    KL: the hypervolume (Zitzler & Thiele 1999) under the Pareto front, against the point (K, start), divided by K. In
    the reward's unit, ≥ 0, higher is better. `path_kl`, `path_reward`: (points,), e.g. a training curve; points of a
    negative KL (an estimate's noise) count as 0. Trap: it credits the best point, also where training went past it,
    and the maximum of noisy points is biased upwards, the more the more points there are.
    """
    kl, reward = np.maximum(numbers(path_kl, "KLs", infinite=True), 0), numbers(path_reward, "rewards")
    order = np.argsort(kl, kind="stable")
    kl = np.minimum(np.concatenate([[0.0], kl[order], [max_kl]]), max_kl)
    best = np.maximum.accumulate(np.concatenate([[start], reward[order]]))
    return float(np.sum(np.diff(kl) * (best - start)) / max_kl)


def held_out_hypervolume(path_kl: ArrayLike, chosen_by: ArrayLike, read: ArrayLike, *, max_kl: float = MAX_KL) -> float:
    """The same where the best within each budget is chosen by one estimate of the gain over π0, and read from another.

    (1/K) ∫₀ᴷ read[argmax {chosen_by_i : kl_i ≤ k}] dk, with π0 itself (a gain of 0 at no KL) to choose as well. With
    estimates from different prompts it has no winner's curse, and is negative where the choice was an unlucky one.
    `path_kl`, `chosen_by`, `read`: (points,).
    """
    columns = (numbers(path_kl, "KLs", infinite=True), numbers(chosen_by, "gains"), numbers(read, "gains"))
    kl, chosen, gain = (np.concatenate([[0.0], each]) for each in columns)
    order = np.argsort(np.maximum(kl, 0), kind="stable")
    ends = np.minimum(np.append(np.maximum(kl[order], 0), max_kl), max_kl)
    best = [int(order[i]) for i in _last_record(chosen[order])]
    return float(np.sum(np.diff(ends) * gain[best]) / max_kl)


def dominated_area(gains: ArrayLike) -> float:
    """The area of what points (points, 2) dominate above (0, 0): the hypervolume of their Pareto front in the plane.

    In the product of the two units, ≥ 0; a point that gains nothing in one of the two adds nothing.
    """
    points = np.maximum(np.asarray(gains, dtype=float).reshape(-1, 2), 0.0)
    area = height = 0.0
    for width, top in points[np.lexsort((-points[:, 1], -points[:, 0]))]:
        if top > height:
            area += float(width) * (float(top) - height)
            height = float(top)
    return area


def _last_record(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each place the place of the largest value up to it, the first of equals."""
    is_record = values > np.concatenate([[-np.inf], np.maximum.accumulate(values)[:-1]])
    return np.maximum.accumulate(np.where(is_record, np.arange(len(values)), 0))
