"""Do probabilities mean what they say? Multiple-choice probes, and how a model's answers are scored.

Always print the number of questions: a perfectly calibrated model shows a plain ECE of 0.04 at 500 entries
and 0.01 at 10,000 (10 bins). Neither ECE nor a debiased form of it is a proper score, so Brier and NLL belong
beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bench.measures.binned_calibration import (
    brier,
    brier_decomposition,
    debiased_ece,
    expected_calibration_error,
    l1_debiased_ece,
)
from bench.measures.definition import Definitions
from bench.measures.probe_answers import answer_table, at_temperature, every_choice, fit_temperature, top_choice

measure = Definitions(of="a policy")


@measure("ece_all", "ECE (plain)", "", "lower", "10 equal-width bins, every choice an entry")
def ece_every_choice(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """ECE over 10 equal-width bins, every choice an entry: what GPT-4's figure 8 shows. In [0, 1].

    `probabilities`: one row per question, over its choices; `answers`: the right ones' places. Trap: sampling noise
    alone gives a calibrated model 0.03 at 2,000 questions and 0.01 at 10,000.
    """
    return expected_calibration_error(*every_choice(probabilities, answers))


@measure("ece_top", "ECE (top choice)", "", "lower", "10 equal-width bins, the most probable choice alone")
def ece_top_choice(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """ECE over 10 equal-width bins, the most probable choice of each question alone (Guo et al. 2017). In [0, 1].

    Columns as in `ece_every_choice`. Trap: as there, and says nothing of the choices that are not on top.
    """
    return expected_calibration_error(*top_choice(probabilities, answers))


@measure("ece_l1", "ECE", "", "zero", "debiased: equal-mass bins, every choice an entry; primary")
def ece_l1(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """Debiased ECE over 10 equal-mass bins, every choice an entry (Kumar et al. 2019); the primary measure.

    Of the estimators tried the one of least root mean square error, see `l1_debiased_ece`. Columns as in
    `ece_every_choice`. Trap: a calibrated model shows up to 0.74/√N, 0.007 at 10,000 entries; smaller errors
    cannot be told from none, and `ece_debiased` has mean 0 there. And no proper score (a model that always answers with
    base rates is calibrated): read it with Brier and NLL, and with N.
    """
    return l1_debiased_ece(*every_choice(probabilities, answers))


@measure("ece_debiased", "ECE (cross-fitted)", "", "zero", "mean 0 for a calibrated model; halves small errors")
def ece_debiased(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """Cross-fitted ECE over 10 equal-mass bins, every choice an entry, see `debiased_ece`.

    0 for a calibrated model on average, and so sometimes negative. Columns as in `ece_every_choice`. Trap: true errors
    about as large as a bin's noise come out at half their size; records of earlier releases have it for their ECE.
    """
    return debiased_ece(*every_choice(probabilities, answers))


@measure("ece_scaled", "ECE (scaled)", "", "zero", "debiased, after fitting one temperature on the other half")
def ece_scaled(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """`ece_debiased` on every second question, after one temperature was fitted on the others (Guo et al. 2017, eq. 9).

    What is left when mere over- or under-confidence is taken out. NaN for fewer than two questions. Trap: half of the
    questions, so noisier than `ece_debiased`.
    """
    if len(answers) < 2:
        return float("nan")
    scaled = at_temperature(probabilities[1::2], fit_temperature(probabilities[0::2], answers[0::2]))
    return ece_debiased(scaled, answers[1::2])


@measure("probe_temperature", "temperature", "", None, "best fit on the probes; above 1: over-confident")
def probe_temperature(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """The temperature that fits best, by NLL over all questions: above 1 the model is over-confident, below 1 under.

    Trap: where every answer is right, or wrong, any fit runs away: it is kept between 0.05 and 20, and a value there
    says just that.
    """
    return fit_temperature(probabilities, answers)


@measure("ece_exact", "distance to posterior", "", "lower", "mean |p − true posterior| over all choices")
def exact_calibration_error(probabilities: Sequence[ArrayLike], posteriors: Sequence[ArrayLike]) -> float:
    """Mean over all questions and choices of |p − true posterior|; in [0, 1], lower is better.

    Needs no outcomes and has no sampling noise of theirs. Trap: an upper bound on the calibration error (Jensen): a
    model can be calibrated and yet know less than the posterior does.
    """
    (estimated, is_choice), (true, is_known) = answer_table(probabilities), answer_table(posteriors)
    if is_choice.shape != is_known.shape or (is_choice != is_known).any():
        raise ValueError("questions differ in their number of choices from their posteriors")
    return float(np.mean(np.abs(estimated - true)[is_choice]))


@measure("brier", "Brier", "", "lower", "mean (probability − outcome)² over all choices")
def brier_score(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """Mean (probability − outcome)² over all choices of all questions; in [0, 1]; a proper score (Brier 1950).

    Brier's sum per question divided by its number of choices. Trap: mixes calibration with knowledge, see its parts.
    """
    return brier(*every_choice(probabilities, answers))


@measure("brier_reliability", "Brier, reliability", "", "lower", "its part from miscalibration")
def brier_reliability(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """The part of Brier's score that miscalibration costs: Σ_b (n_b/N) gap_b² over 10 equal-width bins (Murphy 1973).

    Trap: biased upwards by noise, as any plain binned error is.
    """
    return brier_decomposition(*every_choice(probabilities, answers))["reliability"]


@measure("brier_resolution", "Brier, resolution", "", "higher", "its part from knowledge")
def brier_resolution(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """The part of Brier's score that knowledge earns: variance of the outcome rate between bins (Murphy 1973).

    brier = reliability − resolution + uncertainty + what binning hides. Trap: compares only on the same questions.
    """
    return brier_decomposition(*every_choice(probabilities, answers))["resolution"]


@measure("probe_nll", "probe NLL", "nats", "lower", "mean −log probability of the right choice")
def answer_nll(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """Mean −log p(right choice) over questions; nats, a proper score.

    Trap: one confident mistake can outweigh all else; a probability that underflowed counts as the least double (708
    nats).
    """
    return nll(probabilities, answers)


@measure("probe_accuracy", "probe accuracy", "", "higher", "how often the most probable choice is right")
def accuracy(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """How often the most probable choice (the first of equals) is the right one.

    Trap: where the world itself is random, even the true posterior stays below 1.
    """
    return float(np.mean(top_choice(probabilities, answers)[1]))


@measure("probe_count", "probes", "questions", None, "number of multiple-choice questions")
def count(answers: Sequence[int]) -> float:
    """Number of questions. Trap: without it no ECE means anything."""
    return float(len(answers))


@measure("token_ece", "token ECE", "", "zero", "debiased, the top token at each place of reference text")
def token_ece(token_confidence: ArrayLike, token_correct: ArrayLike) -> float:
    """Debiased ECE of next-token predictions on held-out reference text: the most probable token, one entry per place.

    (tokens,) each: its probability, and whether it came; equal-mass bins, 0 is best, see `debiased_ece`. Trap: says
    whether π still predicts the reference's text, which an aligned policy is not asked to do.
    """
    return debiased_ece(token_confidence, token_correct)


@measure("token_ece_all", "token ECE (all)", "", "zero", "debiased, every token of probability ≥ 0.01 there")
def token_ece_all(entry_confidence: ArrayLike, entry_correct: ArrayLike) -> float:
    """Debiased ECE of next-token predictions on held-out reference text: every token of probability ≥ 0.01 an entry.

    (entries,) each: the probability, and whether that token came. The bound keeps a large vocabulary from filling
    every bin with zeros. Trap: tokens that π has given up (below 0.01) are not seen; `kl_forward` and the perplexity
    see them.
    """
    return debiased_ece(entry_confidence, entry_correct)


def nll(probabilities: Sequence[ArrayLike], answers: Sequence[int]) -> float:
    """Mean −log p(right choice) over questions.

    Nats, lower is better, a proper score. A probability that underflowed counts as the least double.
    """
    table, _ = answer_table(probabilities, answers)
    p = table[np.arange(len(table)), np.asarray(answers)]
    return float(-np.mean(np.log(np.maximum(p, np.finfo(float).tiny))))


ECE = ("ece_l1", "ece_debiased")
"""Debiased ECE: the primary measure, and what records of earlier releases have in its place."""
