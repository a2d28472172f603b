"""PPO's losses against cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from methods.policy_gradient.losses import policy_loss, value_loss


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected", "slope"),
    [
        (1.0, 2.0, -2.0, -2.0),  # on the old policy: the plain policy gradient
        (1.1, 2.0, -2.2, -2.2),  # inside the range
        (1.5, 2.0, -2.4, 0.0),  # has gained enough: clipped at 1.2, no gradient
        (0.5, 2.0, -1.0, -1.0),  # moved the wrong way: unclipped
        (0.5, -2.0, 1.6, 0.0),  # has lost enough: clipped at 0.8
        (1.5, -2.0, 3.0, 3.0),  # moved the wrong way: unclipped
    ],
)
def test_the_clipped_surrogate_and_its_gradient_case_by_case(ratio, advantage, expected, slope):
    old = torch.tensor(-1.3, dtype=torch.double)
    new = (old + math.log(ratio)).requires_grad_()
    loss = policy_loss(new, old, torch.tensor(advantage, dtype=torch.double), clip_range=0.2)
    loss.backward()
    assert loss.item() == pytest.approx(expected)
    assert new.grad.item() == pytest.approx(slope)


def test_the_value_loss_is_half_the_squared_error():
    loss = value_loss(torch.tensor([1.0, 3.0]), torch.zeros(2), torch.tensor([2.0, -1.0]), clip_range=None)
    assert loss.tolist() == [0.5, 8.0]


@pytest.mark.parametrize(
    ("value", "old", "target", "expected"),
    [
        (1.1, 1.0, 2.0, 0.5 * 0.9**2),  # inside the range: plain
        (2.0, 1.0, 2.0, 0.5 * 0.8**2),  # a perfect value, but too far from the old one: as if it were 1.2
        (0.0, 1.0, 2.0, 0.5 * 2.0**2),  # further away and worse: the larger error counts
    ],
)
def test_the_clipped_value_loss_takes_the_larger_error(value, old, target, expected):
    loss = value_loss(torch.tensor(value), torch.tensor(old), torch.tensor(target), clip_range=0.2)
    assert loss.item() == pytest.approx(expected)
