"""The comparison of two trainings sees what single weights do not show."""

import pytest
import torch

from tests.agreement import assert_same_training

START = {"weight": torch.zeros(10_000)}
ONE = {"weight": torch.full((10_000,), 1e-3)}
ROUNDING = 1e-6 * torch.randn(10_000, generator=torch.Generator().manual_seed(0)).clamp(-1.4, 1.4)


def test_rounding_passes():
    assert_same_training(ONE, {"weight": ONE["weight"] + ROUNDING}, START, atol=2e-6, drift=1e-4)


def test_a_step_that_is_a_little_longer_fails_though_every_weight_is_as_near():
    longer = {"weight": 1.0005 * ONE["weight"] + ROUNDING}
    with pytest.raises(AssertionError, match="further than the other"):
        assert_same_training(ONE, longer, START, atol=2e-6, drift=1e-4)


def test_one_weight_elsewhere_fails_by_its_name():
    moved = ONE["weight"].clone()
    moved[7] += 1e-5
    with pytest.raises(AssertionError, match="weight: "):
        assert_same_training(ONE, {"weight": moved}, START, atol=2e-6)


def test_weights_that_never_moved_agree_on_nothing():
    with pytest.raises(AssertionError, match="nothing was trained"):
        assert_same_training(START, START, START, atol=1)
