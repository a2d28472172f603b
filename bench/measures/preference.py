"""Win, tie and loss of one policy against another on the same prompts, by a numeric judge."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.measures.definition import Definitions
from bench.measures.valid_numbers import numbers

measure = Definitions(of="a policy")

ROUNDING = 1e-9
"""Scores no further apart than this are equal: two ways to add up the same fractions differ in the last digit."""


def outcomes(scores: ArrayLike, reference_scores: ArrayLike, tie_band: float) -> NDArray[np.str_]:
    """``"win"``, ``"tie"`` (|score − reference score| ≤ tie_band) or ``"loss"`` for each pair of scores: (pairs,).

    Raises:
        ValueError: a score is not a finite number, which would otherwise count as a loss.
    """
    difference = numbers(scores, "judge's scores") - numbers(reference_scores, "judge's scores of π0")
    return np.select([np.abs(difference) <= tie_band + ROUNDING, difference > 0], ["tie", "win"], "loss")


def win_tie_loss(scores: ArrayLike, reference_scores: ArrayLike, tie_band: float) -> tuple[int, int, int]:
    """Numbers of wins, ties and losses. `tie_band`, in the judge's unit, must be fixed before looking."""
    result = outcomes(scores, reference_scores, tie_band)
    return int((result == "win").sum()), int((result == "tie").sum()), int((result == "loss").sum())


@measure("win", "win", "", "higher", "share of completions judged better than π0's for the prompt")
def win_share(judge: ArrayLike, reference_judge: ArrayLike, *, tie_band: float = 0.0) -> float:
    """Share of completions that the judge scores above π0's completion of the same prompt by more than `tie_band`.

    `judge`, `reference_judge`: scores, (completions,) each. Trap: means little without the ties beside it.
    """
    return _share("win", judge, reference_judge, tie_band)


@measure("tie", "tie", "", None, "share of completions within the tie band of π0's for the prompt")
def tie_share(judge: ArrayLike, reference_judge: ArrayLike, *, tie_band: float = 0.0) -> float:
    """Share of completions whose score lies within `tie_band` of that of π0's completion of the same prompt.

    Trap: the band, in the judge's unit, must be fixed before looking.
    """
    return _share("tie", judge, reference_judge, tie_band)


@measure("loss", "loss", "", "lower", "share of completions judged worse than π0's for the prompt")
def loss_share(judge: ArrayLike, reference_judge: ArrayLike, *, tie_band: float = 0.0) -> float:
    """Share of completions that the judge scores below π0's completion of the same prompt by more than `tie_band`.

    Trap: means little without the ties beside it.
    """
    return _share("loss", judge, reference_judge, tie_band)


@measure("win_rate", "win rate vs SFT", "", "higher", "(wins + ½ ties) / N against π0, the SFT policy")
def win_rate_of_scores(judge: ArrayLike, reference_judge: ArrayLike, *, tie_band: float = 0.0) -> float:
    """(wins + ½ ties) / N against π0's completions of the same prompts; ½ is no difference, all ties too.

    Trap: an odd judge, or longer texts, can win: read it with the judge's name and the lengths beside it.
    """
    return win_rate(*win_tie_loss(judge, reference_judge, tie_band))


@measure(  # the lower decorator is the first to be entered
    "rejected_logp",
    "log π(rejected)",
    "nats",
    None,
    "mean log-probability of held-out rejected completions",
    column="rejected_logp",
)
@measure(
    "chosen_logp",
    "log π(chosen)",
    "nats",
    None,
    "mean log-probability of held-out chosen completions",
    column="chosen_logp",
)
def mean_logp(logp: ArrayLike) -> float:
    """Mean log-probability that π gives to given completions, EOS included; nats per completion.

    Of held-out preference pairs, chosen and rejected apart. Trap: methods that widen the margin between the two, as DPO
    does, may lower both; what is lost has gone to completions that nobody compared.
    """
    return float(numbers(logp, "log-probabilities").mean())


def win_rate(win: float, tie: float, loss: float) -> float:
    """(wins + ½ ties) / N, from counts or shares; higher is better, ½ is no difference.

    Trap: an odd judge, or longer texts, can win: read it with the judge's name and the lengths beside it.
    """
    if win + tie + loss <= 0:
        raise ValueError("no comparisons")
    return (win + tie / 2) / (win + tie + loss)


def _share(outcome: str, scores: ArrayLike, reference_scores: ArrayLike, tie_band: float) -> float:
    return float(np.mean(outcomes(scores, reference_scores, tie_band) == outcome))


def verdicts(first_scores: ArrayLike, second_scores: ArrayLike, tie_band: float = 0.0) -> NDArray[np.float64]:
    """1 where first − second > tie_band, ½ where |first − second| ≤ tie_band, 0 elsewhere: (pairs,).

    NaN where either score is NaN or infinite: a score that is no number is no verdict.
    """
    first, second = np.asarray(first_scores, dtype=float), np.asarray(second_scores, dtype=float)
    known = np.isfinite(first) & np.isfinite(second)
    difference = np.subtract(first, second, where=known, out=np.zeros(first.shape))
    won = np.where(np.abs(difference) <= tie_band + ROUNDING, 0.5, difference > 0)
    return np.where(known, won, np.nan)
