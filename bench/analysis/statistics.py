"""Means with intervals, and differences between two arms.

Seeds are the unit: what one seed's prompts say about another seed is a matter of chance.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bench.analysis.interval import NOTHING, Interval


def mean_interval(values_by_seed: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean over seeds, one value each, with Student's t interval. Values that are not finite are left out of
    `n`.

    Not a percentile bootstrap: over three seeds a nominal 95 % one covers 76 % (measured), as it cannot leave
    the range of the three; the t interval covers 95 % where seeds vary normally.
    """
    return mean_intervals([values_by_seed], confidence)[0]


def mean_intervals(samples: Sequence[ArrayLike], confidence: float = 0.95) -> list[Interval]:
    """`mean_interval` of each sample; many at once take a fraction of the time."""
    found = [NOTHING] * len(samples)
    for places, table in _by_size(samples):
        n = table.shape[1]
        means, half = table.mean(1), np.full(len(table), np.nan)
        if n > 1:
            half = stats.t.ppf((1 + confidence) / 2, n - 1) * table.std(1, ddof=1) / np.sqrt(n)
        for i, mean, h in zip(places, means.tolist(), half.tolist(), strict=True):
            found[i] = Interval(mean, mean - h, mean + h, n)
    return found


def two_level_bootstrap(
    values: Mapping[Hashable, ArrayLike],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean over seeds of the mean over prompts, by resampling seeds and, within them, prompts.

    `values` maps a seed to one value per prompt, (prompts,). Resampling both levels counts the noise of prompts twice,
    so the seeds' means are first shrunk towards the grand mean (Davison & Hinkley 1997, section 3.8), which leaves the
    variance right; deviations are then widened by t_{n−1}/z, as a bootstrap over few units is too narrow by that much
    (Hesterberg 2015). `seed` is of the bootstrap's own generator, so that a table comes out the same every time.
    Values that are not finite are left out; a seed without any is not counted in `n`.
    """
    groups = [np.asarray(each, dtype=float) for each in values.values()]
    groups = [finite for each in groups if len(finite := each[np.isfinite(each)])]
    n = len(groups)
    means = np.array([each.mean() for each in groups])
    estimate = float(means.mean()) if n else float("nan")
    if n < 2:
        return Interval(estimate, float("nan"), float("nan"), n)
    between = float(np.sum((means - means.mean()) ** 2))
    within = float(np.sum([each.var() / len(each) for each in groups]))
    shrink = np.sqrt(max(n / (n - 1) - within / between, 0.0)) if between else 0.0  # (1 − c) there
    centres = means.mean() + shrink * (means - means.mean())
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, n, (resamples, n))
    drawn = np.empty(chosen.shape)
    for i, prompts in enumerate(groups):
        here = chosen == i
        again = prompts[rng.integers(0, len(prompts), (here.sum(), len(prompts)))].mean(1)
        drawn[here] = centres[i] + again - means[i]
    low, high = _deviations(drawn.mean(1)[None], n, confidence)
    return Interval(estimate, estimate + float(low[0]), estimate + float(high[0]), n)


def share_interval(values: Mapping[Hashable, ArrayLike], confidence: float = 0.95) -> Interval:
    """Mean of shares such as win rates, whose interval is `two_level_bootstrap`'s within [0, 1].

    Where nothing varies, as where every prompt was won, resampling says nothing of what another prompt would give: the
    interval is then the exact one of a binomial share (Clopper & Pearson 1934), a trial per prompt.
    """
    found = two_level_bootstrap(values, confidence).of_a_share()
    every = np.concatenate([np.zeros(0), *(np.asarray(each, dtype=float) for each in values.values())])
    every = every[np.isfinite(every)]
    if found.n < 2 or np.ptp(every) > 0:
        return found
    tail, wins, count = (1 - confidence) / 2, every.sum(), len(every)
    low = float(stats.beta.ppf(tail, wins, count - wins + 1)) if wins > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, wins + 1, count - wins)) if wins < count else 1.0
    return Interval(found.mean, low, high, found.n)


def interquartile_mean(values_by_seed: ArrayLike) -> float:
    """Mean of the middle half (a quarter of the values, rounded down, cut off on each side).

    Agarwal et al. 2021.
    """
    values = np.asarray(values_by_seed, dtype=float)
    values = values[np.isfinite(values)]
    return float(stats.trim_mean(values, 0.25)) if len(values) else float("nan")


def iqm_interval(values_by_seed: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Interquartile mean over seeds, one value each, with the interval of `two_level_bootstrap`."""
    return iqm_intervals([values_by_seed], confidence, resamples, seed)[0]


def iqm_intervals(
    samples: Sequence[ArrayLike], confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> list[Interval]:
    """`iqm_interval` of each sample; many at once take a fraction of the time, as all of a size are resampled alike."""
    found = [NOTHING] * len(samples)
    for places, table in _by_size(samples):
        n, cut = table.shape[1], table.shape[1] // 4
        estimates = stats.trim_mean(table, 0.25, axis=1)
        low = high = np.full(len(table), np.nan)
        if n > 1:
            drawn = np.random.default_rng(seed).integers(0, n, (resamples, n))
            # spread as in `two_level_bootstrap`: a seed's only value has no noise of prompts in it
            mean = table.mean(1, keepdims=True)
            centres = mean + np.sqrt(n / (n - 1)) * (table - mean)
            if cut:  # of a resample of sorted values, the middle half lies in the middle of the sorted indices
                centres, drawn = np.sort(centres, 1), np.sort(drawn, 1)
            low, high = np.empty((2, len(table)))
            for rows in (slice(i, i + 64) for i in range(0, len(table), 64)):  # 1 MB at a time
                total = np.zeros((len(centres[rows]), resamples))
                for chosen in drawn.T[cut : n - cut]:
                    total += centres[rows].take(chosen, axis=1, mode="clip")  # quicker than with a check of bounds
                low[rows], high[rows] = _deviations(total / (n - 2 * cut), n, confidence)
        for i, mean, below, above in zip(places, estimates.tolist(), low.tolist(), high.tolist(), strict=True):
            found[i] = Interval(mean, mean + below, mean + above, n)
    return found


def _by_size(samples: Sequence[ArrayLike]) -> Iterator[tuple[list[int], NDArray[np.float64]]]:
    """The finite values of all samples that have equally many: their places, and (samples, values); not the empty."""
    finite = [values[np.isfinite(values)] for values in (np.asarray(each, dtype=float) for each in samples)]
    sizes = np.array([len(values) for values in finite])
    for size in np.unique(sizes[sizes > 0]):
        places = np.flatnonzero(sizes == size).tolist()
        yield places, np.array([finite[i] for i in places])


def _deviations(
    averages: NDArray[np.float64], n: int, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far bootstrap averages (samples, resamples) of `n` units reach below and above their mean, widened."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(averages, [tail, 1 - tail], axis=1) - averages.mean(1)
    widen = stats.t.ppf(1 - tail, n - 1) / stats.norm.ppf(1 - tail)
    return widen * low, widen * high


# -- differences between two arms ------------------------------------------------------------------------


@dataclass(frozen=True)
class PairedDifference:
    """One arm against another over the seeds that both have.

    Attributes:
        difference: mean of (arm − baseline) with Student's t interval; `n` is the number of common seeds.
        improvement: share of seeds in which the arm is larger, ties half, with Wilson's interval: an estimate of the
            probability that a further seed improves.
        p: of the two-sided paired t test of no difference. NaN where no test can be made: fewer than two seeds, or
            differences that do not vary and are not 0 (then the t statistic is infinite); 1 where all are 0.
    """

    difference: Interval
    improvement: Interval
    p: float


def paired_difference(
    arm: Mapping[Hashable, float], baseline: Mapping[Hashable, float], confidence: float = 0.95
) -> PairedDifference:
    """Compare two arms seed by seed. Seeds that one of them lacks, or where a value is not finite, are left out."""
    gaps = _gaps(arm, baseline)
    n = len(gaps)
    wins = float(np.mean((np.sign(gaps) + 1) / 2)) if n else float("nan")
    low, high = proportion_interval(wins, n, confidence) if n else (float("nan"), float("nan"))
    p = float("nan")
    if n > 1 and not gaps.any():
        p = 1.0
    elif n > 1 and np.ptp(gaps) > 0:
        p = float(stats.ttest_1samp(gaps, 0.0).pvalue)
    return PairedDifference(mean_interval(gaps, confidence), Interval(wins, low, high, n), p)


def paired_shares(
    arm: Mapping[Hashable, float], baseline: Mapping[Hashable, float], confidence: float = 0.95
) -> tuple[Interval, float]:
    """Two shares of the same seeds, 0 or 1 in each: their difference with the interval of Bonett & Price 2012, and
    McNemar's exact p value (1947) of no difference.

    Only seeds in which the two differ say which is larger; the interval does not vanish where none does.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    gaps = _gaps(arm, baseline)
    n, above, below = len(gaps), int((gaps > 0).sum()), int((gaps < 0).sum())
    if not n:
        return NOTHING, float("nan")
    more, less = (above + 1) / (n + 2), (below + 1) / (n + 2)
    half = stats.norm.ppf((1 + confidence) / 2) * np.sqrt((more + less - (more - less) ** 2) / (n + 2))
    low, high = max(more - less - half, -1.0), min(more - less + half, 1.0)
    p = float(mcnemar([[0, above], [below, 0]], exact=True).pvalue)
    return Interval((above - below) / n, float(low), float(high), n), p


def spread_ratio(
    arm: Mapping[Hashable, float], baseline: Mapping[Hashable, float], confidence: float = 0.95
) -> tuple[Interval, float]:
    """Log of the ratio of two arms' standard deviations over the same seeds, with its interval, and p of no difference.

    Pitman 1939 and Morgan 1939: the variances are equal where sum and difference of the pair are uncorrelated, which
    Student's t with n − 2 degrees of freedom tests. Exact where pairs vary normally, and trusts far outliers too much.
    NaN where an arm does not vary, or there are fewer than three seeds.
    """
    seeds = [seed for seed in arm if seed in baseline]
    x, y = (np.array([values[seed] for seed in seeds], dtype=float) for values in (arm, baseline))
    known = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[known], y[known], int(known.sum())
    nothing = Interval(float("nan"), float("nan"), float("nan"), n), float("nan")
    if n < 3 or not (np.ptp(x) and np.ptp(y)):
        return nothing
    ratio = x.var(ddof=1) / y.var(ddof=1)
    r = float(np.corrcoef(x, y)[0, 1])
    t = stats.t.ppf((1 + confidence) / 2, n - 2)
    widen = 1 + 2 * (1 - r**2) * t**2 / (n - 2)
    root = np.sqrt(widen**2 - 1)
    low, high = (0.5 * float(np.log(ratio * (widen + side * root))) for side in (-1, 1))
    if r in (-1.0, 1.0):
        return Interval(0.5 * float(np.log(ratio)), low, high, n), float(ratio == 1)
    return Interval(0.5 * float(np.log(ratio)), low, high, n), float(stats.pearsonr(x + y, x - y).pvalue)


def unpaired_difference(arm: ArrayLike, baseline: ArrayLike, confidence: float = 0.95) -> tuple[Interval, float, float]:
    """Mean of arm − mean of baseline, one finite value per seed each, with the interval, p and degrees of Welch (1947).

    `n` is the smaller number of seeds. NaN where no test can be made: fewer than two seeds, or no variation at all.
    """
    x, y = np.asarray(arm, dtype=float), np.asarray(baseline, dtype=float)
    mean, n = float(x.mean() - y.mean()), min(len(x), len(y))
    if n < 2 or not (np.ptp(x) or np.ptp(y)):
        return Interval(mean, float("nan"), float("nan"), n), float("nan"), float("nan")
    test = stats.ttest_ind(x, y, equal_var=False)
    low, high = test.confidence_interval(confidence)
    return Interval(mean, float(low), float(high), n), float(test.pvalue), float(test.df)


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests. `equivalent` is None where no test can be made (fewer than two seeds, or no variation).

    Attributes:
        margin: differences smaller than this do not matter; stated before looking, in the measure's unit.
        difference: mean over seeds with the interval of confidence 1 − 2 alpha: inside ±margin where equivalent.
        p: the larger of the two one-sided p values.
    """

    margin: float
    difference: Interval
    p: float
    equivalent: bool | None


def equivalence_test(
    arm: Mapping[Hashable, float], baseline: Mapping[Hashable, float], margin: float, alpha: float = 0.05
) -> Equivalence:
    """Is |arm − baseline|, paired by seed, less than `margin` (Schuirmann 1987)? Not significant is not equivalent.

    Raises:
        ValueError: the margin is not positive.
    """
    from statsmodels.stats.weightstats import DescrStatsW

    if not margin > 0:
        raise ValueError(f"a margin of equivalence must be positive, not {margin}")
    gaps = _gaps(arm, baseline)
    interval = mean_interval(gaps, 1 - 2 * alpha)
    if len(gaps) < 2 or np.ptp(gaps) == 0:
        return Equivalence(margin, interval, float("nan"), None)
    p = float(DescrStatsW(gaps).ttost_mean(-margin, margin)[0])
    return Equivalence(margin, interval, p, p < alpha)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p values adjusted for their number, so that the chance of any false finding stays below the level (Holm 1979).

    NaN stays NaN and does not count.
    """
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]  # NaN comes last
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def proportion_interval(share: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share of `count` (Wilson 1927); stays in [0, 1]."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(share * count, count, 1 - confidence, method="wilson")
    return float(low), float(high)


def _gaps(arm: Mapping[Hashable, float], baseline: Mapping[Hashable, float]) -> NDArray[np.float64]:
    gaps = np.array([arm[seed] - baseline[seed] for seed in arm if seed in baseline], dtype=float)
    return gaps[np.isfinite(gaps)]
