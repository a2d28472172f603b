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
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from scipy.stats import norm

from bench.contracts import Probe

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Array = NDArray[np.float64]
BINS = 10


def choice_probabilities(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, probes: Sequence[Probe], batch_size: int
) -> list[Array]:
    """The model's probability of each choice, one array of shape (choices,) per probe, each summing to 1.

    A choice's weight is the product of its tokens' probabilities given the query, EOS not included,
    normalised over the choices. No length normalisation: longer choices have less weight, as they have in the
    model. Where every choice is one token, each distinct query runs once.
    """
    # records are read (tables, plots) without torch
    from bench.measures.scoring import completion_logits, token_logprobs

    heads = _encode_each(tokenizer, {probe.query for probe in probes})
    texts = {probe.query + choice for probe in probes for choice in probe.choices}
    wholes = _encode_each(tokenizer, texts)
    split = [[_split(heads[p.query], wholes[p.query + choice]) for choice in p.choices] for p in probes]

    # the choices asked for after each context; where all are one token, one run of it serves them all
    wanted: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for context, choice in {pair for row in split for pair in row}:
        wanted.setdefault(context, []).append(choice)
    logp: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}

    single = [context for context, choices in wanted.items() if all(len(c) == 1 for c in choices)]
    for batch in completion_logits(model, single, [(0,)] * len(single), batch_size):
        contexts = [single[row] for row in batch.rows]
        pairs = [(i, context, c) for i, context in enumerate(contexts) for c in wanted[context]]
        rows, tokens = [i for i, _, _ in pairs], [c[0] for _, _, c in pairs]
        values = batch.logits[:, 0].log_softmax(-1)[rows, tokens].tolist()
        logp.update(zip([(context, c) for _, context, c in pairs], values, strict=True))

    rest = [(context, c) for context in wanted.keys() - set(single) for c in wanted[context]]
    for batch in completion_logits(model, [x for x, _ in rest], [c for _, c in rest], batch_size):
        sums = token_logprobs(batch.logits, batch.tokens).double().masked_fill(~batch.mask, 0.0).sum(1)
        logp.update(zip([rest[row] for row in batch.rows], sums.tolist(), strict=True))

    return [softmax(np.array([logp[pair] for pair in row])) for row in split]


def _encode_each(tokenizer: PreTrainedTokenizerBase, texts: set[str]) -> dict[str, tuple[int, ...]]:
    ordered = sorted(texts)
    encoded = tokenizer(ordered)["input_ids"]
    eos = tokenizer.eos_token_id  # some tokenizers end every text in it
    return {t: tuple(ids[:-1] if ids[-1] == eos else ids) for t, ids in zip(ordered, encoded, strict=True)}


def _split(head: tuple[int, ...], whole: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The choice starts where the tokens of query and whole diverge, as in `bench.encoding`."""
    start = next((i for i, (a, b) in enumerate(zip(head, whole, strict=False)) if a != b), len(head))
    if start >= len(whole):
        raise ValueError("a choice adds no token to its query")
    return whole[:start], whole[start:]


# -- entries -------------------------------------------------------------------------------------------


def every_choice(probabilities: Sequence[Array], answers: Sequence[int]) -> tuple[Array, Array]:
    """Confidences and outcomes of the event *every choice*: one entry per question and choice."""
    right = [np.arange(len(p)) == a for p, a in zip(probabilities, answers, strict=True)]
    return np.concatenate(probabilities), np.concatenate(right).astype(float)


def top_choice(probabilities: Sequence[Array], answers: Sequence[int]) -> tuple[Array, Array]:
    """Confidences and outcomes of the event *top choice*: one entry per question (the first of equals)."""
    top = [int(p.argmax()) for p in probabilities]
    confidences = np.array([p[i] for p, i in zip(probabilities, top, strict=True)])
    return confidences, np.equal(top, answers).astype(float)


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
    p = np.asarray(confidences, dtype=float)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)))
    b = _bins(p, outcomes, np.digitize(p, edges[1:-1]))
    error = np.maximum(b.error, 1e-12)
    z = b.gap / error
    return float(np.sum(b.count * error * (z * (2 * norm.cdf(z) - 1) - 2 * norm.pdf(z))) / np.sum(b.count))


def exact_calibration_error(probabilities: Sequence[Array], posteriors: Sequence[ArrayLike]) -> float:
    """Mean over all questions and choices of |p − true posterior|; in [0, 1], lower is better.

    Needs no outcomes and has no sampling noise of theirs. It is an upper bound on the calibration error
    (Jensen): a model can be calibrated and yet know less than the posterior does.
    """
    return float(np.mean(np.abs(np.concatenate(probabilities) - np.concatenate([np.asarray(q) for q in posteriors]))))


def brier(confidences: ArrayLike, outcomes: ArrayLike) -> float:
    """Mean (confidence − outcome)² over entries; in [0, 1], lower is better, proper (Brier 1950).

    Over *every choice* this is Brier's sum per question divided by the number of choices.
    """
    return float(np.mean((np.asarray(confidences, dtype=float) - np.asarray(outcomes, dtype=float)) ** 2))


def brier_decomposition(confidences: ArrayLike, outcomes: ArrayLike, bins: int = BINS) -> dict[str, float]:
    """`reliability`, `resolution`, `uncertainty` and `within_bin` over equal-width bins.

    brier = reliability − resolution + uncertainty + within_bin, exactly. The first three are Murphy's (1973);
    the last is what binning hides: the variance of confidences within bins less twice their covariance with
    outcomes (Stephenson, Coelho & Jolliffe 2008). Reliability: lower is better; resolution: higher.
    """
    p, y = np.asarray(confidences, dtype=float), np.asarray(outcomes, dtype=float)
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


def nll(probabilities: Sequence[Array], answers: Sequence[int]) -> float:
    """Mean −log p(right choice) over questions.

    Nats, lower is better, a proper score. A probability that underflowed counts as the least double.
    """
    p = np.array([row[a] for row, a in zip(probabilities, answers, strict=True)])
    return float(-np.mean(np.log(np.maximum(p, np.finfo(float).tiny))))


def evaluate_probes(probabilities: Sequence[Array], probes: Sequence[Probe]) -> dict[str, float]:
    """All measures on probes, by the names of `bench.measures.MEASURES`.

    `ece_exact` is there only where every probe has a posterior.
    """
    answers = [probe.answer for probe in probes]
    entries, top = every_choice(probabilities, answers), top_choice(probabilities, answers)
    measures = {
        "ece_all": expected_calibration_error(*entries),
        "ece_top": expected_calibration_error(*top),
        "ece_debiased": debiased_ece(*entries),
        "brier": brier(*entries),
        "probe_nll": nll(probabilities, answers),
        "probe_accuracy": float(np.mean(top[1])),
        "probe_count": float(len(probes)),
    }
    posteriors = [probe.posterior for probe in probes if probe.posterior is not None]
    if len(posteriors) == len(probes):
        measures["ece_exact"] = exact_calibration_error(probabilities, posteriors)
    return measures


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
    return _Bins(np.asarray(confidences, dtype=float), np.asarray(outcomes, dtype=float), member)


def _equal_width(confidences: ArrayLike, bins: int) -> NDArray[np.int64]:
    """Bin numbers; bins are closed on the left, the last one on both sides."""
    return np.minimum((np.asarray(confidences, dtype=float) * bins).astype(np.int64), bins - 1)
