"""Penalties on KL against cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from methods.policy_gradient.constraint import entropy, step_kl


def test_the_step_kl_is_zero_at_the_old_policy_and_unbiased():
    old = torch.tensor([0.5, 0.3, 0.2], dtype=torch.double)
    new = torch.tensor([0.2, 0.2, 0.6], dtype=torch.double)
    assert step_kl(old.log(), old.log()).tolist() == [0, 0, 0]
    expectation = (old * step_kl(new.log(), old.log())).sum()
    assert expectation.item() == pytest.approx((old * (old / new).log()).sum().item())


def test_entropy_of_a_uniform_and_of_a_certain_distribution():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [100.0, 0.0, 0.0, 0.0]])
    assert entropy(logits.log_softmax(-1)).tolist() == pytest.approx([math.log(4), 0.0])
