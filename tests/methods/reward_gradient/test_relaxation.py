"""Relaxed tokens: limits, weights, KL and gradients against exact values."""

from __future__ import annotations

import itertools

import pytest
import torch

from methods.reward_gradient.relaxation import annealed, end_weights, relax, relaxed_kl, survival

ESTIMATORS = ["soft", "gumbel_softmax", "straight_through"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("anneal", ["exponential", "linear"])
def test_a_temperature_schedule_hits_its_ends_and_the_mean_of_its_kind_half_way(anneal):
    start, half, end = (annealed(4.0, 1.0, progress, anneal) for progress in (0.0, 0.5, 1.0))
    assert (start, end) == (4.0, 1.0)
    assert half == pytest.approx({"exponential": 2.0, "linear": 2.5}[anneal])
    assert annealed(4.0, None, 0.5, anneal) == 4.0


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_relaxed_tokens_lie_on_the_simplex(estimator):
    vectors = relax(torch.randn(50, 7), estimator, 0.7, seeded())
    assert vectors.min() >= 0
    torch.testing.assert_close(vectors.sum(-1), torch.ones(50))


@pytest.mark.parametrize("estimator", ["soft", "gumbel_softmax"])
def test_at_a_low_temperature_relaxed_tokens_become_one_hot(estimator):
    vectors = relax(torch.randn(50, 7, generator=seeded(1)), estimator, 1e-4, seeded())
    torch.testing.assert_close(vectors.max(-1).values, torch.ones(50))


def test_straight_through_gives_exact_corners_drawn_from_the_distribution():
    logits = torch.tensor([0.1, 0.2, 0.7], dtype=torch.double).log()
    vectors = relax(logits.expand(20_000, 3), "straight_through", 0.5, seeded())
    assert set(vectors.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(vectors.mean(0), logits.exp(), atol=0.01, rtol=0)


def test_straight_through_has_the_gradient_of_gumbel_softmax():
    logits, direction = torch.randn(4, 7), torch.randn(4, 7)
    gradients = []
    for estimator in ("straight_through", "gumbel_softmax"):
        leaf = logits.clone().requires_grad_()
        (relax(leaf, estimator, 0.5, seeded()) * direction).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0


@pytest.mark.parametrize("estimator", ["soft", "gumbel_softmax"])
def test_gradients_agree_with_finite_differences(estimator):
    logits = torch.randn(3, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: relax(x, estimator, 0.8, seeded()), (logits,))


def test_end_weights_sum_to_one_and_are_those_of_independent_coins():
    eos = torch.rand(6, 4, dtype=torch.double)
    weights = end_weights(eos)
    torch.testing.assert_close(weights.sum(1), torch.ones(6, dtype=torch.double))
    expected = torch.zeros(6, 5, dtype=torch.double)
    for coins in itertools.product([0, 1], repeat=4):  # 1: would end here, if it got here
        thrown = torch.tensor(coins, dtype=torch.double)
        probability = (eos * thrown + (1 - eos) * (1 - thrown)).prod(1)
        expected[:, coins.index(1) if 1 in coins else 4] += probability
    torch.testing.assert_close(weights, expected)


def test_one_hot_tokens_end_at_their_first_eos_or_never():
    eos = torch.tensor([[0.0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
    assert end_weights(eos).argmax(1).tolist() == [1, 4, 0]
    assert end_weights(eos).sum(1).tolist() == [1, 1, 1]
    assert survival(eos)[0].tolist() == [1, 1, 0, 0, 0]


def test_relaxed_kl_of_one_step_is_the_categorical_kl():
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    kl = relaxed_kl(p.log().view(1, 1, 3), q.log().view(1, 1, 3), torch.ones(1, 1))
    assert kl.item() == pytest.approx((p * (p / q).log()).sum().item())


def test_relaxed_kl_counts_each_step_as_much_as_is_still_going():
    logits, reference = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    going = torch.tensor([[1.0, 0.5, 0.25], [1.0, 0.0, 0.0]])
    steps = [relaxed_kl(logits[:, [t]], reference[:, [t]], torch.ones(2, 1)) for t in range(3)]
    expected = torch.stack(steps, 1).mul(going).sum(1)
    torch.testing.assert_close(relaxed_kl(logits, reference, going), expected)
    assert relaxed_kl(logits, logits, going).abs().max() == 0
