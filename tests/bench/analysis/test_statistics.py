"""Intervals over seeds: by hand, and whether they cover."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.statistics import (
    equivalence_test,
    holm,
    interquartile_mean,
    iqm_interval,
    mean_interval,
    paired_difference,
    paired_shares,
    spread_ratio,
    two_level_bootstrap,
)


def test_mean_interval_by_hand():
    interval = mean_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2
    assert interval.n == 3
    assert interval.half == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)  # t(0.975; 2) · sd / √n, sd = 1


def test_one_seed_gives_no_interval():
    for interval in (mean_interval([0.7]), two_level_bootstrap({0: [0.6, 0.8]})):
        assert interval.mean == pytest.approx(0.7)
        assert np.isnan([interval.low, interval.high, interval.half]).all()
        assert interval.n == 1
    assert np.isnan(mean_interval([]).mean)
    assert mean_interval([]).n == 0


def test_values_that_are_not_finite_are_left_out_and_not_counted():
    interval = mean_interval([1.0, np.nan, 3.0, np.inf])
    assert (interval.mean, interval.n) == (2, 2)


def test_intervals_cover_at_about_the_stated_rate():
    rng = np.random.default_rng(0)
    trials, seeds, prompts = 300, 4, 20
    covered = {"t": 0, "bootstrap": 0}
    for _ in range(trials):
        # seeds differ by 0.5, prompts by 1; the truth is 0
        values = rng.normal(0, 0.5, (seeds, 1)) + rng.normal(0, 1, (seeds, prompts))
        t = mean_interval(values.mean(1))
        bootstrap = two_level_bootstrap(dict(enumerate(values)), resamples=300)
        covered["t"] += t.low <= 0 <= t.high
        covered["bootstrap"] += bootstrap.low <= 0 <= bootstrap.high
    assert covered["t"] / trials == pytest.approx(0.95, abs=0.04)
    # a little to the wide side where prompts vary as much as seeds
    assert 0.92 <= covered["bootstrap"] / trials <= 0.995


def test_the_bootstrap_is_the_same_every_time_and_depends_on_its_seed():
    rng = np.random.default_rng(1)
    values = {seed: rng.normal(size=30) for seed in range(3)}
    assert two_level_bootstrap(values) == two_level_bootstrap(values)
    assert two_level_bootstrap(values) != two_level_bootstrap(values, seed=1)


def test_more_prompts_do_not_stand_in_for_seeds():
    rng = np.random.default_rng(2)
    means = [0.0, 1.0, 2.0]
    few = two_level_bootstrap({i: m + rng.normal(0, 0.1, 10) for i, m in enumerate(means)})
    many = two_level_bootstrap({i: m + rng.normal(0, 0.1, 1000) for i, m in enumerate(means)})
    assert many.half == pytest.approx(few.half, rel=0.1)


def test_interquartile_mean_drops_a_quarter_on_each_side():
    assert interquartile_mean([100.0, 1.0, 2.0, -50.0]) == 1.5
    assert interquartile_mean([1.0, 5.0, 3.0]) == 3.0


def test_without_noise_among_prompts_the_bootstrap_is_as_wide_as_the_t_interval():
    rng = np.random.default_rng(3)
    ratios = []
    for _ in range(40):
        means = rng.normal(size=5)
        bootstrap = two_level_bootstrap({i: np.full(3, mean) for i, mean in enumerate(means)})
        ratios.append(bootstrap.half / mean_interval(means).half)
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_bootstrap_intervals_cover_within_two_points(statistic):
    rng = np.random.default_rng(0)
    trials, seeds, prompts = 1000, 10, 20
    covered = 0
    for trial in range(trials):
        values = rng.normal(0, 0.5, (seeds, 1)) + rng.normal(0, 1, (seeds, prompts))
        if statistic == "mean":
            interval = two_level_bootstrap(dict(enumerate(values)), resamples=300, seed=trial)
        else:
            interval = iqm_interval(values.mean(1), resamples=300, seed=trial)
        covered += interval.low <= 0 <= interval.high
    assert covered / trials == pytest.approx(0.95, abs=0.02)


def test_the_interquartile_mean_has_an_interval_and_ignores_one_wild_seed():
    calm = iqm_interval([1.0, 1.1, 0.9, 1.2, 0.8, 1.05, 0.95, 1.0])
    wild = iqm_interval([1.0, 1.1, 0.9, 1.2, 0.8, 1.05, 0.95, 50.0])
    assert calm.low < calm.mean < calm.high
    assert wild.mean == pytest.approx(calm.mean, abs=0.1)
    assert np.isnan(iqm_interval([1.0]).half)
    assert iqm_interval([2.0, 2.0, 2.0]).half == 0


def test_paired_difference_by_hand():
    mine, theirs = {0: 2.0, 1: 4.0, 2: 6.0, 7: 9.0}, {2: 3.0, 1: 2.0, 0: 1.0, 8: 0.0}
    x = paired_difference(mine, theirs)  # differences 1, 2, 3 of seeds 0, 1, 2
    assert (x.difference.mean, x.difference.n) == (2, 3)
    assert x.p == pytest.approx(0.0741799, rel=1e-5)  # t = 2 / (1/√3) = 3.4641, 2 degrees of freedom
    assert x.improvement.mean == 1
    # Wilson for 3 of 3: [n/(n + z²), 1]
    assert x.improvement.low == pytest.approx(3 / (3 + 1.959964**2))
    assert x.improvement.high == pytest.approx(1)


def test_pairing_removes_what_seeds_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 10, 8)
    theirs = dict(enumerate(shared))
    mine = {seed: value + 1 + rng.normal(0, 0.1) for seed, value in theirs.items()}
    assert paired_difference(mine, theirs).difference.half < 0.2
    assert paired_difference(mine, theirs).p < 0.001


def test_paired_differences_that_cannot_be_tested_say_so():
    one = paired_difference({0: 1.0}, {0: 0.0})
    assert one.difference.mean == 1
    assert np.isnan([one.p, one.difference.half]).all()
    none = paired_difference({0: 1.0}, {1: 1.0})
    assert (none.difference.n, none.improvement.n) == (0, 0)
    assert np.isnan([none.p, none.difference.mean, none.improvement.mean]).all()
    same = paired_difference({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0})
    assert (same.p, same.improvement.mean, same.difference.half) == (1, 0.5, 0)
    constant = paired_difference({0: 1.0, 1: 2.0}, {0: 0.0, 1: 1.0})
    assert np.isnan(constant.p)  # the t statistic would be infinite
    assert paired_difference({0: np.nan, 1: 1.0, 2: np.inf}, {0: 0.0, 1: 0.0, 2: 0.0}).difference.n == 1


def test_equivalence_needs_the_whole_interval_inside_the_margin():
    theirs = dict.fromkeys(range(4), 0.0)
    mine = dict(enumerate([0.01, -0.01, 0.02, 0.0]))
    close = equivalence_test(mine, theirs, margin=0.1)
    assert close.equivalent
    # the larger one-sided p by hand: t = (0.1 − 0.005) / (sd/√4), sd = 0.0129099
    assert close.p == pytest.approx(stats.t.sf(0.095 / (0.01290994 / 2), 3), rel=1e-4)
    assert -0.1 < close.difference.low < close.difference.high < 0.1
    noisy = equivalence_test(dict(enumerate([1.0, -1.0, 0.8, -0.9])), theirs, margin=0.1)
    assert noisy.equivalent is False  # no difference was found, and yet nothing is shown
    assert equivalence_test({0: 1.0}, theirs, margin=0.1).equivalent is None
    assert equivalence_test(theirs, theirs, margin=0.1).equivalent is None
    with pytest.raises(ValueError, match="positive"):
        equivalence_test(mine, theirs, margin=0.0)


def test_equivalence_is_wrongly_found_no_more_often_than_stated():
    rng = np.random.default_rng(0)
    zeros = dict.fromkeys(range(6), 0.0)
    # the true difference is just the margin: the worst case
    found = [equivalence_test(dict(enumerate(rng.normal(1, 0.3, 6))), zeros, 1.0).equivalent for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0.05, abs=0.02)


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, np.nan]), [0.03, 0.06, 0.06, np.nan])
    assert np.isnan(holm([np.nan])).all()
    assert holm([0.7]) == [0.7]


def test_shares_of_the_same_seeds_by_mcnemar_and_bonett_and_price():
    arm = dict(enumerate([1, 1, 1, 1, 1, 0, 0, 0, 0, 0]))
    baseline = dict(enumerate([1, 0, 0, 0, 0, 0, 0, 0, 1, 0]))
    interval, p = paired_shares(arm, baseline)
    assert (interval.mean, interval.n) == (pytest.approx(0.3), 10)
    assert p == pytest.approx(2 * (1 + 5) / 2**5)  # four of five discordant pairs on one side
    # by hand: (4 + 1)/12 − (1 + 1)/12 ± 1.96 √((7/12 − (3/12)²)/12)
    assert interval.low == pytest.approx(0.25 - 1.959964 * math.sqrt((7 / 12 - 1 / 16) / 12), abs=1e-6)
    nothing, p = paired_shares(dict.fromkeys(range(10), 0.0), dict.fromkeys(range(10), 0.0))
    assert (nothing.mean, p) == (0, 1)
    assert nothing.high == pytest.approx(1.959964 * math.sqrt(1 / 6 / 12), abs=1e-6)


def test_the_paired_interval_of_shares_covers_what_it_should():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(1000):  # both fall in half of the seeds, mostly in the same
        hard = rng.random(10) < 0.5
        one, other = (hard ^ (rng.random(10) < flips) for flips in (0.1, 0.2))
        interval, _ = paired_shares(dict(enumerate(one * 1.0)), dict(enumerate(other * 1.0)))
        covered.append(interval.low <= 0 <= interval.high)
    assert np.mean(covered) >= 0.95


def test_the_ratio_of_spreads_by_pitman_and_morgan():
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 1, 12)
    one, other = 5 + 2 * shared + 0.3 * rng.normal(0, 1, 12), shared
    interval, p = spread_ratio(dict(enumerate(one)), dict(enumerate(other)))
    assert interval.mean == pytest.approx(math.log(one.std(ddof=1) / other.std(ddof=1)))
    # the t statistic of Pitman 1939 by its own formula, (F − 1) √(n − 2) / (2 √(F (1 − r²)))
    f, r = one.var(ddof=1) / other.var(ddof=1), np.corrcoef(one, other)[0, 1]
    t = (f - 1) * math.sqrt(10) / (2 * math.sqrt(f * (1 - r**2)))
    assert p == pytest.approx(2 * stats.t.sf(t, 10))
    # the interval excludes just those ratios that the test of the rescaled pair rejects at 5 %
    at_bound = spread_ratio(dict(enumerate(one / math.exp(interval.low))), dict(enumerate(other)))
    assert at_bound[1] == pytest.approx(0.05)
    assert math.isnan(spread_ratio({0: 1.0, 1: 1.0, 2: 1.0}, {0: 1.0, 1: 2.0, 2: 3.0})[0].mean)
