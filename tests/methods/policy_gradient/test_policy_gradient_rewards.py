"""Rewards of tokens against cases worked out by hand."""

from __future__ import annotations

import pytest
import torch

from methods.policy_gradient.rewards import Moments, dense_rewards, penalised, standardise, terminal_rewards

MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])
SCORES = torch.tensor([10.0, 20.0])


def test_a_terminal_reward_is_paid_at_the_last_valid_token():
    assert terminal_rewards(SCORES, MASK).tolist() == [[0, 0, 10], [0, 20, 0]]


def test_the_kl_is_charged_at_every_token_or_in_one_sum_at_the_end():
    log_ratio = torch.tensor([[0.5, -1.0, 2.0], [1.0, 3.0, 99.0]])
    rewards = terminal_rewards(SCORES, MASK)
    tokens = penalised(rewards, log_ratio, MASK, 0.1, "token")
    torch.testing.assert_close(tokens, torch.tensor([[-0.05, 0.1, 9.8], [-0.1, 19.7, 0.0]]))
    whole = penalised(rewards, log_ratio, MASK, 0.1, "sequence")
    torch.testing.assert_close(whole, torch.tensor([[0.0, 0.0, 9.85], [0.0, 19.6, 0.0]]))
    torch.testing.assert_close(tokens.sum(1), whole.sum(1))


def test_dense_rewards_tell_how_a_token_changed_the_score_and_add_up_to_it():
    prefixes = torch.tensor([[4.0, 1.0, 7.0], [5.0, 6.0, 9.0]])
    rewards = dense_rewards(SCORES, prefixes, MASK)
    assert rewards.tolist() == [[4, -3, 9], [5, 15, 0]]
    assert rewards.sum(1).tolist() == SCORES.tolist()


def test_running_moments_are_those_of_everything_seen():
    values, moments = torch.randn(60, dtype=torch.double, generator=torch.Generator().manual_seed(0)), Moments()
    for part in values.split([10, 35, 15]):
        moments.add(len(part), part.mean().item(), (part - part.mean()).square().sum().item())
    assert moments.mean == pytest.approx(values.mean().item())
    assert moments.deviation == pytest.approx(values.std(correction=0).item())


def test_scores_are_scaled_centred_and_clipped():
    moments = Moments(count=4, mean=10.0, squares=16.0)  # deviation 2
    torch.testing.assert_close(standardise(SCORES, moments, False, None), torch.tensor([5.0, 10.0]))
    torch.testing.assert_close(standardise(SCORES, moments, True, None), torch.tensor([0.0, 5.0]))
    torch.testing.assert_close(standardise(SCORES, moments, True, 0.8), torch.tensor([0.0, 0.8]))
    assert standardise(SCORES, None, True, None).tolist() == SCORES.tolist()


def test_scores_that_never_varied_are_not_blown_up():
    same = Moments()
    same.add(8, 3.0, 0.0)
    torch.testing.assert_close(standardise(torch.tensor([3.0, 4.0]), same, True, None), torch.tensor([0.0, 1.0]))
