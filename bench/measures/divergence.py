"""How far a policy π has moved from the reference π0: KL(π ‖ π0) in nats per completion, π first."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor
from transformers import PreTrainedModel

from bench.measures.checks import numbers
from bench.models.logprobs import at_tokens, completion_logits, token_logprobs
from bench.workbench.policy import Samples

Array = NDArray[np.float64]


def sequence_scores(
    model: PreTrainedModel, reference: PreTrainedModel, samples: Samples, batch_size: int
) -> dict[str, Array]:
    """Scores of completions that were sampled from `model` at temperature 1 without truncation.

    Sums run over the completion's tokens up to and including EOS (up to the token limit where there is none);
    padding and prompt are left out.

    Returns:
        One number per completion, each of shape (samples,):

        - `logp`, `reference_logp`: Σ_t log π(y_t | y_<t) and the same under π0; nats.
        - `kl`: Σ_t KL(π(·| y_<t) ‖ π0(·| y_<t)) over the full vocabulary; nats, ≥ 0. Its mean is the
          Rao–Blackwellised estimate of KL(π ‖ π0), unbiased and never of larger variance than k1 (Amini,
          Vieira & Cotterell 2025, "Better estimation of the KL divergence between language models").
        - `entropy`: Σ_t H(π(·| y_<t)); nats.
        - `length`: tokens, EOS included.

    Traps: samples from any other policy or temperature bias all of these. The gradient of these estimates is
    not the gradient of KL.
    """
    ids = samples.prompt_ids, samples.completion_ids
    out = {name: np.zeros(len(samples)) for name in ("logp", "reference_logp", "kl", "entropy", "length")}
    pairs = zip(
        completion_logits(model, *ids, batch_size),
        completion_logits(reference, *ids, batch_size),
        strict=True,
    )
    for mine, theirs in pairs:
        ours, others = mine.logits.log_softmax(-1), theirs.logits.log_softmax(-1).to(mine.logits.device)
        per_token = {
            "logp": at_tokens(ours, mine.tokens),
            "reference_logp": at_tokens(others, mine.tokens),
            "kl": full_kl(ours, others),
            "entropy": full_entropy(ours),
            "length": torch.ones_like(mine.tokens),
        }
        for name, values in per_token.items():
            out[name][mine.rows] = values.double().masked_fill(~mine.mask, 0.0).sum(1).cpu().numpy()
    return out


def reference_scores(reference: PreTrainedModel, samples: Samples, batch_size: int) -> dict[str, Array]:
    """`reference_logp` and `length` as in `sequence_scores`, for a policy that has no model (best-of-n)."""
    out = {name: np.zeros(len(samples)) for name in ("reference_logp", "length")}
    for batch in completion_logits(reference, samples.prompt_ids, samples.completion_ids, batch_size):
        logp = token_logprobs(batch.logits, batch.tokens).double().masked_fill(~batch.mask, 0.0)
        out["reference_logp"][batch.rows] = logp.sum(1).cpu().numpy()
        out["length"][batch.rows] = batch.mask.sum(1).cpu().numpy()
    return out


def full_kl(logp: Tensor, reference_logp: Tensor) -> Tensor:
    """KL(π ‖ π0) of next-token distributions from log-probabilities (…, vocabulary) → (…); nats."""
    p = logp.exp()
    return torch.where(p > 0, p * (logp - reference_logp), torch.zeros_like(p)).sum(-1)


def full_entropy(logp: Tensor) -> Tensor:
    """Entropy of next-token distributions from log-probabilities (…, vocabulary) → (…); nats."""
    p = logp.exp()
    return -torch.where(p > 0, p * logp, torch.zeros_like(p)).sum(-1)


def kl_k1(logp: Array, reference_logp: Array) -> Array:
    """k1 = −log r with r = π0(y)/π(y), per completion; nats. Unbiased, may be negative (Schulman 2020)."""
    return logp - reference_logp


def kl_k3(logp: Array, reference_logp: Array) -> Array:
    """k3 = r − 1 − log r with r = π0(y)/π(y), per completion; nats, ≥ 0, unbiased (Schulman 2020).

    Trap: r has mean 1 under π but a heavy tail; beyond a few nats of KL a sample mean all but never sees it
    and comes out one nat low.
    """
    log_ratio = reference_logp - logp
    return np.expm1(log_ratio) - log_ratio


def mean_kl(kl: ArrayLike) -> float:
    """Mean over completions of Σ_t KL(π(·| y_<t) ‖ π0(·| y_<t)), y sampled from π: Rao–Blackwellised KL(π ‖ π0).

    Nats per completion, π first; the sum runs over the completion's tokens up to and including EOS, prompt and padding
    left out. Unbiased, ≥ 0, of no larger variance than k1 (Amini, Vieira & Cotterell 2025). Infinite where π0 excludes
    what π allows. Trap: samples drawn at another temperature, or truncated, bias it; its gradient is not KL's gradient.
    """
    return float(numbers(kl, "KLs", infinite=True).mean())


def mean_kl_k1(logp: ArrayLike, reference_logp: ArrayLike) -> float:
    """Mean of k1 = −log r, r = π0(y)/π(y), y sampled from π: plain Monte Carlo KL(π ‖ π0) (Schulman 2020).

    Nats per completion; unbiased. Trap: noisy, and negative for single completions.
    """
    return float(kl_k1(*_logps(logp, reference_logp)).mean())


def mean_kl_k3(logp: ArrayLike, reference_logp: ArrayLike) -> float:
    """Mean of k3 = r − 1 − log r, r = π0(y)/π(y), y sampled from π (Schulman 2020).

    Nats per completion; unbiased, ≥ 0. Trap: r has mean 1 under π but a heavy tail; beyond a few nats a sample mean all
    but never sees it and comes out one nat low, with a huge variance where it does. Infinite where r overflows.
    """
    with np.errstate(over="ignore"):
        return float(kl_k3(*_logps(logp, reference_logp)).mean())


def kl_k3_low(logp: ArrayLike, reference_logp: ArrayLike, prompt_ids: Sequence[Hashable]) -> float:
    """Lower end of the 95 % interval of KL(π ‖ π0) about one cell's mean k3, its completions drawn from π.

    The mean of k3 errs by that of k1 plus mean r − 1, and the second part is known exactly, since E[r] = 1 under π. It
    is taken off (Owen 2013, section 8.9, a control variate of coefficient −1), and the rest has Student's t interval
    over the means of prompts: `prompt_ids` says which prompt each completion has. So the interval is k1's, and mean k3
    may lie outside it. On `strings` (KL 0.6, 512 samples) it covers 95 %; about k3 itself, Student's t covers 90 %,
    Johnson's (1978) 90 %, Hall's (1992) cubic transformation and the bootstrap-t 92 %, as samples of that size have not
    seen the tail. NaN for one prompt. Trap: of the samples' noise alone; another seed's policy is another policy.
    """
    return _k3_interval(logp, reference_logp, prompt_ids)[0]


def kl_k3_high(logp: ArrayLike, reference_logp: ArrayLike, prompt_ids: Sequence[Hashable]) -> float:
    """Upper end of the 95 % interval of KL(π ‖ π0) about one cell's mean k3: see `kl_k3_low`.

    Trap: as there.
    """
    return _k3_interval(logp, reference_logp, prompt_ids)[1]


def _k3_interval(logp: ArrayLike, reference_logp: ArrayLike, prompt_ids: Sequence[Hashable]) -> tuple[float, float]:
    rest = kl_k1(*_logps(logp, reference_logp))  # k3 − (r − 1), without r, which may overflow
    _, place, count = np.unique(np.asarray(prompt_ids), return_inverse=True, return_counts=True)
    n = len(count)
    if n < 2:
        return float("nan"), float("nan")
    means = np.bincount(place, rest) / count
    mean, half = float(means.mean()), float(stats.t.ppf(0.975, n - 1) * means.std(ddof=1) / np.sqrt(n))
    return mean - half, mean + half


def mean_forward_kl(kl_forward: ArrayLike) -> float:
    """Mean over π0's samples of Σ_t KL(π0(·| y_<t) ‖ π(·| y_<t)): Rao–Blackwellised KL(π0 ‖ π), π0 first.

    Nats per completion; unbiased, ≥ 0, infinite where π excludes what π0 allows. Large where π no longer says what π0
    says (modes it dropped), which KL(π ‖ π0) hardly sees. Trap: it is not what a KL penalty bounds.
    """
    return float(numbers(kl_forward, "KLs", infinite=True).mean())


def best_of_n_bound(n: ArrayLike) -> float:
    """Upper bound log n − (n − 1)/n on KL(best-of-n ‖ π0), nats (Beirami et al. 2024, who show that it is a bound).

    `n`: completions drawn, one entry per prompt (the mean is returned), or one number. Trap: exact only where no two
    completions tie; far too large where few outcomes are likely.
    """
    drawn = numbers(n, "counts")
    if (drawn < 1).any():
        raise ValueError("best of fewer than one completion")
    return float(np.mean(np.log(drawn) - (drawn - 1) / drawn))


def _logps(logp: ArrayLike, reference_logp: ArrayLike) -> tuple[Array, Array]:
    return numbers(logp, "log-probabilities"), numbers(reference_logp, "log-probabilities under π0")
