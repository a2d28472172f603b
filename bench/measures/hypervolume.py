"""How much reward for how much KL: the frontier of everything an arm passed through."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

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
