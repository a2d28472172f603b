"""Do probabilities mean what they say? Multiple-choice probes, and how a model's answers are scored.

Two events. *Every choice*: each (question, choice) is an entry whose confidence is the choice's probability
and whose outcome is whether it is the right one (as in GPT-4's figure 8). *Top choice*: one entry per
question, its most probable choice. Confidences are in [0, 1], outcomes 0 or 1, both of shape (entries,).

Always print the number of questions: a perfectly calibrated model shows a plain ECE of 0.04 at 500 entries
and 0.01 at 10,000 (10 bins). Neither ECE nor its debiased form is a proper score, so Brier and NLL belong
beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax
from scipy.stats import norm

from bench.measures.checks import numbers

Array = NDArray[np.float64]
BINS = 10


# -- entries -------------------------------------------------------------------------------------------


def every_choice(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> tuple[Array, Array]:
    """Confidences and outcomes of the event *every choice*: one entry per question and choice."""
    table, asked = _table(probabilities, answers)
    right = np.arange(table.shape[1]) == np.asarray(answers)[:, None]
    return table[asked], right[asked].astype(float)


def top_choice(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> tuple[Array, Array]:
    """Confidences and outcomes of the event *top choice*: one entry per question (the first of equals)."""
    table, asked = _table(probabilities, answers)
    top = np.where(asked, table, -np.inf).argmax(1)
    return table[np.arange(len(table)), top], np.equal(top, answers).astype(float)


# -- measures ------------------------------------------------------------------------------------------


def expected_calibration_error(confidences: ArrayLike, outcomes: ArrayLike, bins: int = BINS) -> float:
    """ECE = Σ_b (n_b/N) |mean outcome_b − mean confidence_b| over equal-width bins.

    Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017, eq. 3. In [0, 1], lower is better. Trap: biased upwards
    by sampling noise, the more the fewer entries per bin.
    """
    b = _bins(confidences, outcomes, _equal_width(confidences, bins))
    return float(np.sum(b.count * np.abs(b.gap)) / np.sum(b.count))


def debiased_ece(confidences: ArrayLike, outcomes: ArrayLike, bins: int = BINS) -> float:
    """ECE over equal-mass bins without the bias of sampling noise: 0 is best, and it may be negative.

    Estimator: cross-fitting. In each bin the gap's sign is taken from one random half of the entries and its
    size from the other, so that noise does not turn into error; averaged over all splits (gap δ with standard
    error σ, z = δ/σ, normal noise) that is, in closed form,

        Σ_b (n_b/N) σ_b [z_b (2Φ(z_b) − 1) − 2φ(z_b)].

    Its mean is exactly 0 for a calibrated model (Stein's identity) and it tends to the plain ECE when gaps
    exceed their noise; between, it errs to the low side (measured: 0.026 for 0.029, N = 10,000). Kumar, Liang
    & Ma 2019 remove the bias of the *squared* error, whose root, cut off at 0, is again biased upwards near 0
    (measured: 0.003). Equal confidences always share a bin, so there may be fewer bins than asked for.
    """
    p = numbers(confidences, "confidences")
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)))
    b = _bins(p, outcomes, np.digitize(p, edges[1:-1]))
    error = np.maximum(b.error, 1e-12)
    z = b.gap / error
    return float(np.sum(b.count * error * (z * (2 * norm.cdf(z) - 1) - 2 * norm.pdf(z))) / np.sum(b.count))


def exact_calibration_error(probabilities: Sequence[ArrayLike], posteriors: Sequence[ArrayLike]) -> float:
    """Mean over all questions and choices of |p − true posterior|; in [0, 1], lower is better.

    Needs no outcomes and has no sampling noise of theirs. Trap: an upper bound on the calibration error (Jensen): a
    model can be calibrated and yet know less than the posterior does.
    """
    (mine, asked), (true, known) = _table(probabilities), _table(posteriors)
    if asked.shape != known.shape or (asked != known).any():
        raise ValueError("questions differ in their number of choices from their posteriors")
    return float(np.mean(np.abs(mine - true)[asked]))


def brier(confidences: ArrayLike, outcomes: ArrayLike) -> float:
    """Mean (confidence − outcome)² over entries; in [0, 1], lower is better, proper (Brier 1950).

    Over *every choice* this is Brier's sum per question divided by the number of choices.
    """
    return float(np.mean((numbers(confidences, "confidences") - numbers(outcomes, "outcomes")) ** 2))


def brier_decomposition(confidences: ArrayLike, outcomes: ArrayLike, bins: int = BINS) -> dict[str, float]:
    """`reliability`, `resolution`, `uncertainty` and `within_bin` over equal-width bins.

    brier = reliability − resolution + uncertainty + within_bin, exactly. The first three are Murphy's (1973);
    the last is what binning hides: the variance of confidences within bins less twice their covariance with
    outcomes (Stephenson, Coelho & Jolliffe 2008). Reliability: lower is better; resolution: higher.
    """
    p, y = numbers(confidences, "confidences"), numbers(outcomes, "outcomes")
    b = _bins(p, y, _equal_width(p, bins))
    share = b.count / len(p)
    reliability = float(np.sum(share * b.gap**2))
    resolution = float(np.sum(share * (b.accuracy - y.mean()) ** 2))
    uncertainty = float(y.mean() * (1 - y.mean()))
    spread = np.array([p[b.member == i].var() for i in b.index])
    together = np.array([np.cov(p[b.member == i], y[b.member == i], ddof=0)[0, 1] for i in b.index])
    within = float(np.sum(share * (spread - 2 * together)))
    return {
        "reliability": reliability,
        "resolution": resolution,
        "uncertainty": uncertainty,
        "within_bin": within,
    }


def nll(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """Mean −log p(right choice) over questions.

    Nats, lower is better, a proper score. A probability that underflowed counts as the least double.
    """
    table, _ = _table(probabilities, answers)
    p = table[np.arange(len(table)), np.asarray(answers)]
    return float(-np.mean(np.log(np.maximum(p, np.finfo(float).tiny))))


def ece_every_choice(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """ECE over 10 equal-width bins, every choice an entry: what GPT-4's figure 8 shows. In [0, 1].

    `probabilities`: one row per question, over its choices; `answers`: the right ones' places. Trap: sampling noise
    alone gives a calibrated model 0.03 at 2,000 questions and 0.01 at 10,000.
    """
    return expected_calibration_error(*every_choice(probabilities, answers))


def ece_top_choice(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """ECE over 10 equal-width bins, the most probable choice of each question alone (Guo et al. 2017). In [0, 1].

    Columns as in `ece_every_choice`. Trap: as there, and says nothing of the choices that are not on top.
    """
    return expected_calibration_error(*top_choice(probabilities, answers))


def ece_debiased(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """Debiased ECE over 10 equal-mass bins, every choice an entry; the primary measure, see `debiased_ece`.

    0 for a calibrated model on average, and so sometimes negative. Columns as in `ece_every_choice`. Trap: no proper
    score (a model that always answers with base rates is calibrated): read it with Brier and NLL, and with N.
    """
    return debiased_ece(*every_choice(probabilities, answers))


def ece_scaled(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """`ece_debiased` on every second question, after one temperature was fitted on the others (Guo et al. 2017, eq. 9).

    What is left when mere over- or under-confidence is taken out. NaN for fewer than two questions. Trap: half of the
    questions, so noisier than `ece_debiased`.
    """
    if len(answers) < 2:
        return float("nan")
    scaled = at_temperature(probabilities[1::2], fit_temperature(probabilities[0::2], answers[0::2]))
    return ece_debiased(scaled, answers[1::2])


def probe_temperature(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """The temperature that fits best, by NLL over all questions: above 1 the model is over-confident, below 1 under.

    Trap: where every answer is right, or wrong, any fit runs away: it is kept between 0.05 and 20, and a value there
    says just that.
    """
    return fit_temperature(probabilities, answers)


def brier_score(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """Mean (probability − outcome)² over all choices of all questions; in [0, 1]; a proper score (Brier 1950).

    Brier's sum per question divided by its number of choices. Trap: mixes calibration with knowledge, see its parts.
    """
    return brier(*every_choice(probabilities, answers))


def brier_reliability(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """The part of Brier's score that miscalibration costs: Σ_b (n_b/N) gap_b² over 10 equal-width bins (Murphy 1973).

    Trap: biased upwards by noise, as any plain binned error is.
    """
    return brier_decomposition(*every_choice(probabilities, answers))["reliability"]


def brier_resolution(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """The part of Brier's score that knowledge earns: variance of the outcome rate between bins (Murphy 1973).

    brier = reliability − resolution + uncertainty + what binning hides. Trap: compares only on the same questions.
    """
    return brier_decomposition(*every_choice(probabilities, answers))["resolution"]


def answer_nll(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """Mean −log p(right choice) over questions; nats, a proper score.

    Trap: one confident mistake can outweigh all else; a probability that underflowed counts as the least double (708
    nats).
    """
    return nll(probabilities, answers)


def accuracy(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """How often the most probable choice (the first of equals) is the right one.

    Trap: where the world itself is random, even the true posterior stays below 1.
    """
    return float(np.mean(top_choice(probabilities, answers)[1]))


def count(answers: Sequence[int]) -> float:
    """Number of questions. Trap: without it no ECE means anything."""
    return float(len(answers))


def token_ece(token_confidence: ArrayLike, token_correct: ArrayLike) -> float:
    """Debiased ECE of next-token predictions on held-out reference text: the most probable token, one entry per place.

    (tokens,) each: its probability, and whether it came; equal-mass bins, 0 is best, see `debiased_ece`. Trap: says
    whether π still predicts the reference's text, which an aligned policy is not asked to do.
    """
    return debiased_ece(token_confidence, token_correct)


def token_ece_all(entry_confidence: ArrayLike, entry_correct: ArrayLike) -> float:
    """Debiased ECE of next-token predictions on held-out reference text: every token of probability ≥ 0.01 an entry.

    (entries,) each: the probability, and whether that token came. The bound keeps a large vocabulary from filling
    every bin with zeros. Trap: tokens that π has given up (below 0.01) are not seen; `kl_forward` and the perplexity
    see them.
    """
    return debiased_ece(entry_confidence, entry_correct)


# -- temperature ---------------------------------------------------------------------------------------


def at_temperature(probabilities: Sequence[ArrayLike], temperature: float) -> Sequence[Array]:
    """softmax(log p / temperature) of each row."""
    logs = _logs(probabilities)
    scaled: Array = softmax(logs / temperature, axis=1)
    return [row[np.isfinite(log)] for row, log in zip(scaled, logs, strict=True)]


def fit_temperature(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """The temperature in [0.05, 20] that minimises the mean NLL of the answers (Guo et al. 2017, section 4.2)."""
    logs = _logs(probabilities)
    # relative to the right choice, which so is 0: −log p(right | scale) = log Σ exp(scale · difference)
    differences = logs - logs[np.arange(len(logs)), np.asarray(answers)][:, None]

    def loss(log_temperature: float) -> float:
        return float(np.mean(logsumexp(differences * np.exp(-log_temperature), axis=1)))

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))


def _logs(probabilities: Sequence[ArrayLike]) -> Array:
    """log p, (questions, most choices); −inf behind the last choice of a shorter row."""
    table, asked = _table(probabilities)
    return np.where(asked, np.log(np.maximum(table, np.finfo(float).tiny)), -np.inf)


def _table(probabilities: Sequence[ArrayLike], answers: Sequence[int] | None = None) -> tuple[Array, NDArray[np.bool_]]:
    """One row per question: its choices' probabilities, 0 behind the last; and where there is a choice.

    Raises:
        ValueError: no questions, a probability that is no finite number, or not one answer among each one's choices.
    """
    if len(probabilities) == 0:
        raise ValueError("no questions")
    if isinstance(probabilities, np.ndarray) and probabilities.ndim == 2:
        table, asked = np.asarray(probabilities, dtype=float), np.ones(probabilities.shape, dtype=bool)
    else:
        rows = [np.asarray(row, dtype=float) for row in probabilities]
        count = np.array([len(row) for row in rows])
        asked = np.arange(count.max()) < count[:, None]
        table = np.zeros(asked.shape)
        table[asked] = np.concatenate(rows)
    numbers(table, "probabilities")
    if answers is not None:
        right = np.asarray(answers)
        if right.shape != (len(table),) or (right < 0).any() or (right >= asked.sum(1)).any():
            raise ValueError("every question needs one answer, the place of one of its choices")
    return table, asked


# -- what a diagram shows ------------------------------------------------------------------------------


def reliability(confidences: ArrayLike, outcomes: ArrayLike, bins: int = BINS) -> pd.DataFrame:
    """What a reliability diagram shows, one row per equal-width bin that has entries.

    Columns: `bin` (0 …), `count`, `confidence` (mean), `accuracy` (mean outcome), `low`, `high` (95 % Wilson
    interval of the accuracy; it takes entries for independent).
    """
    b = _bins(confidences, outcomes, _equal_width(confidences, bins))
    low, high = wilson_interval(b.accuracy, b.count)
    columns = {
        "bin": b.index,
        "count": b.count.astype(int),
        "confidence": b.confidence,
        "accuracy": b.accuracy,
    }
    return pd.DataFrame({**columns, "low": low, "high": high})


def wilson_interval(share: Array, count: Array) -> tuple[Array, Array]:
    """95 % interval of a binomial share from `count` trials (Wilson 1927); stays in [0, 1]."""
    z = float(norm.ppf(0.975))
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return centre - half, centre + half


# -- bins ----------------------------------------------------------------------------------------------


class _Bins:
    """Bins that have entries.

    Their `index`, `count`, mean `confidence`, `accuracy`, `gap` and its standard `error`.
    """

    def __init__(self, p: Array, y: Array, member: NDArray[np.int64]) -> None:
        self.member = member
        self.index, place, count = np.unique(member, return_inverse=True, return_counts=True)
        self.count: Array = count.astype(float)

        def mean(values: Array) -> Array:
            return np.bincount(place, values) / self.count

        self.confidence, self.accuracy = mean(p), mean(y)
        self.gap = self.accuracy - self.confidence
        # the larger of observed and expected: a bin of rare events may have seen none, and would look
        # noiseless
        observed = np.maximum(mean((y - p) ** 2) - self.gap**2, 0)
        self.error = np.sqrt(np.maximum(observed, mean(p * (1 - p))) / self.count)


def _bins(confidences: ArrayLike, outcomes: ArrayLike, member: NDArray[np.int64]) -> _Bins:
    p = numbers(confidences, "confidences")
    if p.min() < 0 or p.max() > 1 + 1e-9:
        raise ValueError("a confidence is outside [0, 1]")
    return _Bins(p, numbers(outcomes, "outcomes"), member)


def _equal_width(confidences: ArrayLike, bins: int) -> NDArray[np.int64]:
    """Bin numbers; bins are closed on the left, the last one on both sides."""
    return np.minimum((numbers(confidences, "confidences") * bins).astype(np.int64), bins - 1)
