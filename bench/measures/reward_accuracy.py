"""How good a reward model is, on preference pairs it was not trained on.

From the scores of the chosen and the rejected completion of each pair, (pairs,) each. Under Bradley–Terry the
probability that `chosen` is preferred is σ(chosen − rejected); what a score is worth by itself is not identified.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from bench.measures.calibration import debiased_ece
from bench.measures.checks import numbers


def pair_accuracy(chosen_score: ArrayLike, rejected_score: ArrayLike) -> float:
    """Share of pairs whose chosen completion scores higher; a tie counts half. In [0, 1].

    Trap: with a noisy annotator even the true reward stays below 1, and models of equal accuracy can guide a policy
    very differently.
    """
    return float(np.mean((np.sign(_margin(chosen_score, rejected_score)) + 1) / 2))


def pair_ece(chosen_score: ArrayLike, rejected_score: ArrayLike) -> float:
    """Debiased ECE of σ(chosen − rejected): one entry per pair, the completion with the higher score.

    Its confidence is σ(|chosen − rejected|) ≥ ½, its outcome whether it was the chosen one (a tie: ½). 0 is best; it
    may be negative, see `debiased_ece`. Trap: with a few hundred pairs its own noise is about 0.02.
    """
    margin = _margin(chosen_score, rejected_score)
    return debiased_ece(1 / (1 + np.exp(-np.abs(margin))), (np.sign(margin) + 1) / 2)


def pair_nll(chosen_score: ArrayLike, rejected_score: ArrayLike) -> float:
    """Mean −log σ(chosen − rejected), nats per pair; proper. A model that knows nothing has log 2 = 0.693.

    Trap: one pair that is wrong by a large margin outweighs many that are right: on separated training pairs the
    margin grows without bound, and this with it.
    """
    return float(np.mean(np.logaddexp(0.0, -_margin(chosen_score, rejected_score))))


def rank_correlation(score: ArrayLike, gold: ArrayLike) -> float:
    """Spearman's rank correlation of score and gold over the completions of held-out pairs, (completions,) each.

    In [−1, 1]; NaN where one of them is the same for all. Trap: completions of all prompts are ranked together, though
    under Bradley–Terry scores are identified only up to a shift per prompt: a perfect reward model may stay below 1.
    """
    first, second = numbers(score, "scores"), numbers(gold, "gold rewards")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)


def _margin(chosen: ArrayLike, rejected: ArrayLike) -> NDArray[np.float64]:
    return numbers(chosen, "scores of chosen completions") - numbers(rejected, "scores of rejected completions")
