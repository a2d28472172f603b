"""Intervals over seeds: by hand, and whether they cover."""

import numpy as np
import pytest

from bench.analysis.statistics import interquartile_mean, mean_interval, two_level_bootstrap


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
    # resampling prompts on top of seeds errs to the wide side
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
