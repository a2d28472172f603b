"""How good a reward model is, on preference pairs it was not trained on.

From the scores of the chosen and the rejected completion of each pair, (pairs,) each. Under Bradley–Terry the
probability that `chosen` is preferred is σ(chosen − rejected); what a score is worth by itself is not identified.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.measures.binned_calibration import debiased_ece
from bench.measures.definition import Definitions
from bench.measures.valid_numbers import numbers

measure = Definitions(of="a reward model")


@measure("reward_model_accuracy", "reward-model accuracy", "", "higher", "on held-out preference pairs")
def pair_accuracy(chosen_score: ArrayLike, rejected_score: ArrayLike) -> float:
    """Share of pairs whose chosen completion scores higher; a tie counts half. In [0, 1].

    Trap: with a noisy annotator even the true reward stays below 1, and models of equal accuracy can guide a policy
    very differently.
    """
    return float(np.mean((np.sign(_margin(chosen_score, rejected_score)) + 1) / 2))


@measure("reward_model_ece", "reward-model ECE", "", "zero", "debiased, of σ(score difference) on held-out pairs")
def pair_ece(chosen_score: ArrayLike, rejected_score: ArrayLike) -> float:
    """Debiased ECE of σ(chosen − rejected): one entry per pair, the completion with the higher score.

    Its confidence is σ(|chosen − rejected|) ≥ ½, its outcome whether it was the chosen one (a tie: ½). 0 is best; it
    may be negative, see `debiased_ece`. Trap: with a few hundred pairs its own noise is about 0.02.
    """
    margin = _margin(chosen_score, rejected_score)
    return debiased_ece(1 / (1 + np.exp(-np.abs(margin))), (np.sign(margin) + 1) / 2)


@measure("reward_model_nll", "reward-model NLL", "nats", "lower", "mean −log σ(score difference) on held-out pairs")
def pair_nll(chosen_score: ArrayLike, rejected_score: ArrayLike) -> float:
    """Mean −log σ(chosen − rejected), nats per pair; proper. A model that knows nothing has log 2 = 0.693.

    Trap: one pair that is wrong by a large margin outweighs many that are right: on separated training pairs the
    margin grows without bound, and this with it.
    """
    return float(np.mean(np.logaddexp(0.0, -_margin(chosen_score, rejected_score))))


@measure(
    "reward_model_rank_correlation",
    "reward-model rank correlation",
    "",
    "higher",
    "Spearman, score and gold, on held-out completions",
)
def rank_correlation(heldout_score: ArrayLike, heldout_gold: ArrayLike) -> float:
    """Spearman's rank correlation of score and gold over the completions of held-out pairs, (completions,) each.

    In [−1, 1]; NaN where one of them is the same for all. Trap: completions of all prompts are ranked together, though
    under Bradley–Terry scores are identified only up to a shift per prompt: a perfect reward model may stay below 1.
    """
    from scipy.stats import spearmanr

    scores, gold = numbers(heldout_score, "scores"), numbers(heldout_gold, "gold rewards")
    if np.ptp(scores) == 0 or np.ptp(gold) == 0:
        return float("nan")
    return float(spearmanr(scores, gold).statistic)


def _margin(chosen: ArrayLike, rejected: ArrayLike) -> NDArray[np.float64]:
    return numbers(chosen, "scores of chosen completions") - numbers(rejected, "scores of rejected completions")
