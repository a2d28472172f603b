"""A model's answers to multiple-choice probes: as a table, as confidences and outcomes, at another temperature.

Two events. *Every choice*: each (question, choice) is an entry whose confidence is the choice's probability and whose
outcome is whether it is the right one (as in GPT-4's figure 8). *Top choice*: one entry per question, its most
probable choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.measures.valid_numbers import numbers

Array = NDArray[np.float64]


def every_choice(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> tuple[Array, Array]:
    """Confidences and outcomes of the event *every choice*: one entry per question and choice."""
    table, is_choice = answer_table(probabilities, answers)
    right = np.arange(table.shape[1]) == np.asarray(answers)[:, None]
    return table[is_choice], right[is_choice].astype(float)


def top_choice(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> tuple[Array, Array]:
    """Confidences and outcomes of the event *top choice*: one entry per question (the first of equals)."""
    table, is_choice = answer_table(probabilities, answers)
    top = np.where(is_choice, table, -np.inf).argmax(1)
    return table[np.arange(len(table)), top], np.equal(top, answers).astype(float)


def at_temperature(probabilities: Sequence[ArrayLike], temperature: float) -> Sequence[Array]:
    """softmax(log p / temperature) of each row."""
    from scipy.special import softmax

    logs = _logs(probabilities)
    scaled: Array = softmax(logs / temperature, axis=1)
    return [row[np.isfinite(log)] for row, log in zip(scaled, logs, strict=True)]


def fit_temperature(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """The temperature in [0.05, 20] that minimises the mean NLL of the answers (Guo et al. 2017, section 4.2)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    logs = _logs(probabilities)
    # relative to the right choice, which so is 0: −log p(right | scale) = log Σ exp(scale · difference)
    differences = logs - logs[np.arange(len(logs)), np.asarray(answers)][:, None]

    def loss(log_temperature: float) -> float:
        return float(np.mean(logsumexp(differences * np.exp(-log_temperature), axis=1)))

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))


def _logs(probabilities: Sequence[ArrayLike]) -> Array:
    """log p, (questions, most choices); −inf behind the last choice of a shorter row."""
    table, is_choice = answer_table(probabilities)
    return np.where(is_choice, np.log(np.maximum(table, np.finfo(float).tiny)), -np.inf)


def answer_table(
    probabilities: Sequence[ArrayLike], answers: Sequence[int] | None = None
) -> tuple[Array, NDArray[np.bool_]]:
    """One row per question: its choices' probabilities, 0 behind the last; and where there is a choice.

    Raises:
        ValueError: no questions, a probability that is no finite number, or not one answer among each one's choices.
    """
    if len(probabilities) == 0:
        raise ValueError("no questions")
    if isinstance(probabilities, np.ndarray) and probabilities.ndim == 2:
        table, is_choice = np.asarray(probabilities, dtype=float), np.ones(probabilities.shape, dtype=bool)
    else:
        rows = [np.asarray(row, dtype=float) for row in probabilities]
        count = np.array([len(row) for row in rows])
        is_choice = np.arange(count.max()) < count[:, None]
        table = np.zeros(is_choice.shape)
        table[is_choice] = np.concatenate(rows)
    numbers(table, "probabilities")
    if answers is not None:
        right = np.asarray(answers)
        if right.shape != (len(table),) or (right < 0).any() or (right >= is_choice.sum(1)).any():
            raise ValueError("every question needs one answer, the place of one of its choices")
    return table, is_choice
