"""How far a policy π has moved from the reference π0: KL(π ‖ π0) in nats per completion, π first."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.measures.definition import Definitions
from bench.measures.valid_numbers import numbers

measure = Definitions(of="a policy")

Array = NDArray[np.float64]


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


@measure("kl", "KL", "nats", None, "KL(π‖π0) per completion, whole vocabulary at each sampled prefix")
def mean_kl(kl: ArrayLike) -> float:
    """Mean over completions of Σ_t KL(π(·| y_<t) ‖ π0(·| y_<t)), y sampled from π: Rao–Blackwellised KL(π ‖ π0).

    Nats per completion, π first; the sum runs over the completion's tokens up to and including EOS, prompt and padding
    left out. Unbiased, ≥ 0, of no larger variance than k1 (Amini, Vieira & Cotterell 2025). Infinite where π0 excludes
    what π allows. Trap: samples drawn at another temperature, or truncated, bias it; its gradient is not KL's gradient.
    """
    return float(numbers(kl, "KLs", infinite=True).mean())


@measure("kl_k1", "KL, k1", "nats", None, "plain Monte Carlo KL(π‖π0): mean of −log r, r = π0/π")
def mean_kl_k1(logp: ArrayLike, reference_logp: ArrayLike) -> float:
    """Mean of k1 = −log r, r = π0(y)/π(y), y sampled from π: plain Monte Carlo KL(π ‖ π0) (Schulman 2020).

    Nats per completion; unbiased. Trap: noisy, and negative for single completions.
    """
    return float(kl_k1(*_logps(logp, reference_logp)).mean())


@measure("kl_k3", "KL, k3", "nats", None, "mean of r − 1 − log r; heavy-tailed where KL is large")
def mean_kl_k3(logp: ArrayLike, reference_logp: ArrayLike) -> float:
    """Mean of k3 = r − 1 − log r, r = π0(y)/π(y), y sampled from π (Schulman 2020).

    Nats per completion; unbiased, ≥ 0. Trap: r has mean 1 under π but a heavy tail; beyond a few nats a sample mean all
    but never sees it and comes out one nat low, with a huge variance where it does. Infinite where r overflows.
    """
    with np.errstate(over="ignore"):
        return float(kl_k3(*_logps(logp, reference_logp)).mean())


@measure("kl_k3_low", "KL, k3, low", "nats", None, "lower end of one cell's 95 % interval about k3")
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


@measure("kl_k3_high", "KL, k3, high", "nats", None, "upper end of one cell's 95 % interval about k3")
def kl_k3_high(logp: ArrayLike, reference_logp: ArrayLike, prompt_ids: Sequence[Hashable]) -> float:
    """Upper end of the 95 % interval of KL(π ‖ π0) about one cell's mean k3: see `kl_k3_low`.

    Trap: as there.
    """
    return _k3_interval(logp, reference_logp, prompt_ids)[1]


def _k3_interval(logp: ArrayLike, reference_logp: ArrayLike, prompt_ids: Sequence[Hashable]) -> tuple[float, float]:
    from scipy import stats

    rest = kl_k1(*_logps(logp, reference_logp))  # k3 − (r − 1), without r, which may overflow
    _, place, count = np.unique(np.asarray(prompt_ids), return_inverse=True, return_counts=True)
    n = len(count)
    if n < 2:
        return float("nan"), float("nan")
    means = np.bincount(place, rest) / count
    mean, half = float(means.mean()), float(stats.t.ppf(0.975, n - 1) * means.std(ddof=1) / np.sqrt(n))
    return mean - half, mean + half


@measure("kl_forward", "forward KL", "nats", None, "KL(π0‖π) per completion, on π0's samples")
def mean_forward_kl(kl_forward: ArrayLike) -> float:
    """Mean over π0's samples of Σ_t KL(π0(·| y_<t) ‖ π(·| y_<t)): Rao–Blackwellised KL(π0 ‖ π), π0 first.

    Nats per completion; unbiased, ≥ 0, infinite where π excludes what π0 allows. Large where π no longer says what π0
    says (modes it dropped), which KL(π ‖ π0) hardly sees. Trap: it is not what a KL penalty bounds.
    """
    return float(numbers(kl_forward, "KLs", infinite=True).mean())


@measure("kl_bound", "KL, upper bound", "nats", None, "best-of-n only: log n − (n − 1)/n")
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
