"""The forms of Gao, Schulman & Hilton 2022 are found again in points that were made with them."""

import numpy as np
import pytest

from bench.analysis.curves.overoptimisation_fit import fit

FORMS = {
    "best-of-n": lambda d, alpha, beta: d * (alpha - beta * d),
    "RL": lambda d, alpha, beta: d * (alpha - beta * np.log(d)),
}


@pytest.mark.parametrize("form", FORMS)
def test_alpha_and_beta_are_found_again(form):
    d = np.linspace(0.2, 6, 20)
    found = fit(d, FORMS[form](d, 1.3, 0.4), form)
    assert (found.alpha, found.beta, found.r_squared) == pytest.approx((1.3, 0.4, 1.0))
    assert found(d) == pytest.approx(FORMS[form](d, 1.3, 0.4))
    assert found(0.0) == 0


@pytest.mark.parametrize("form", FORMS)
def test_noise_moves_them_little_and_is_told(form):
    rng = np.random.default_rng(0)
    d = np.tile(np.linspace(0.2, 6, 50), 20)
    clean = FORMS[form](d, 1.3, 0.4)
    found = fit(d, clean + rng.normal(0, clean.std(), len(d)), form)
    assert (found.alpha, found.beta) == pytest.approx((1.3, 0.4), abs=0.1)
    assert found.r_squared == pytest.approx(0.5, abs=0.05)


def test_the_other_form_fits_worse():
    d = np.linspace(0.2, 6, 20)
    made = FORMS["RL"](d, 1.3, 0.4)
    assert fit(d, made, "best-of-n").r_squared < 0.99 < fit(d, made, "RL").r_squared


def test_pi0_and_what_is_not_finite_say_nothing():
    d = np.array([0, 0, 1, 2, 3, 4, np.nan, 5])
    reward = np.array([9, -9, *FORMS["RL"](d[2:6], 1, 0.5), 3, np.nan])
    found = fit(d, reward, "RL")
    assert (found.alpha, found.beta, found.points) == pytest.approx((1, 0.5, 4))


def test_too_few_distances_are_not_fitted():
    assert fit([0, 1, 2, 3, 3, 3], [0, 1, 2, 3, 3.1, 2.9], "RL") is None
    assert fit([], [], "best-of-n") is None


def test_a_reward_that_does_not_vary_has_no_share_of_variance():
    assert np.isnan(fit([1, 2, 3, 4], [0, 0, 0, 0], "RL").r_squared)
