"""Baselines, generalised advantages and whitening against cases worked out by hand."""

from __future__ import annotations

import pytest
import torch

from methods.policy_gradient.advantages import baseline, explained_variance, gae, whiten

MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])


def test_baselines_by_hand():
    returns = torch.tensor([1.0, 3.0, 10.0, 20.0])
    assert baseline(returns, "none", 1).tolist() == [0, 0, 0, 0]
    assert baseline(returns, "batch", 1).tolist() == [8.5] * 4
    assert baseline(returns, "leave_one_out", 2).tolist() == [3, 1, 20, 10]
    assert baseline(returns, "leave_one_out", 4).tolist() == pytest.approx([11, 31 / 3, 8, 14 / 3])


def test_gae_by_hand():
    rewards = torch.tensor([[1.0, 0.0, 2.0]])
    values = torch.tensor([[0.5, 1.0, 1.5]])
    # γ = 0.9, λ = 0.5:  δ2 = 2 − 1.5 = 0.5;  δ1 = 0.9·1.5 − 1 = 0.35;  δ0 = 1 + 0.9·1 − 0.5 = 1.4
    # A2 = 0.5;  A1 = 0.35 + 0.45·0.5 = 0.575;  A0 = 1.4 + 0.45·0.575 = 1.65875
    advantages = gae(rewards, values, torch.ones(1, 3), gamma=0.9, gae_lambda=0.5)
    torch.testing.assert_close(advantages, torch.tensor([[1.65875, 0.575, 0.5]]))


def test_gae_with_lambda_one_is_the_return_less_the_value():
    rewards, values = torch.rand(4, 5), torch.rand(4, 5)
    to_go = rewards.flip(1).cumsum(1).flip(1)
    advantages = gae(rewards, values, torch.ones(4, 5), gamma=1.0, gae_lambda=1.0)
    torch.testing.assert_close(advantages, to_go - values)


def test_gae_with_lambda_zero_is_the_one_step_error():
    rewards, values = torch.rand(4, 5), torch.rand(4, 5)
    following = torch.cat([values[:, 1:], torch.zeros(4, 1)], 1)
    advantages = gae(rewards, values, torch.ones(4, 5), gamma=0.7, gae_lambda=0.0)
    torch.testing.assert_close(advantages, rewards + 0.7 * following - values)


def test_padding_changes_no_advantage_and_gets_none():
    rewards, values = torch.rand(1, 3), torch.rand(1, 3)
    alone = gae(rewards, values, torch.ones(1, 3), gamma=1.0, gae_lambda=0.95)
    padded = [torch.cat([t, torch.full((1, 2), 7.0)], 1) for t in (rewards, values)]
    mask = torch.tensor([[1, 1, 1, 0, 0]])
    advantages = gae(*padded, mask, gamma=1.0, gae_lambda=0.95)
    assert torch.equal(advantages, torch.cat([alone, torch.zeros(1, 2)], 1))


def test_whitening_gives_mean_zero_and_variance_one_over_valid_tokens_only():
    values = torch.tensor([[3.0, 5.0, 7.0], [9.0, 1.0, 1e6]])
    white = whiten(values, MASK)
    kept = white[MASK.bool()]
    assert kept.mean().item() == pytest.approx(0, abs=1e-6)
    assert kept.var(correction=0).item() == pytest.approx(1, rel=1e-5)
    assert white[1, 2] == 0
    assert whiten(torch.full((2, 3), 4.0), MASK).abs().max() == 0


def test_whitening_over_two_processes_equals_whitening_over_all_rows():
    values, mask = torch.randn(4, 6), torch.ones(4, 6)
    whole = whiten(values, mask)
    halves = [(values[:2], mask[:2]), (values[2:], mask[2:])]
    count_total = sum(torch.stack([m.sum(), (v * m).sum()]) for v, m in halves)
    squares = sum(((v - count_total[1] / count_total[0]) * m).square().sum() for v, m in halves)
    answers = iter([count_total, squares])
    torch.testing.assert_close(whiten(*halves[0], lambda _: next(answers)), whole[:2])


def test_explained_variance_of_a_perfect_a_constant_and_a_harmful_critic():
    returns = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 1e6]])
    assert explained_variance(returns, returns, MASK).item() == 1
    assert explained_variance(torch.full((2, 3), 9.0), returns, MASK).item() == pytest.approx(0)
    assert explained_variance(-returns, returns, MASK).item() == pytest.approx(-3)
