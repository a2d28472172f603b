"""Advantage estimates against Q − V: by hand, and on a small world written out."""

from __future__ import annotations

import pytest
import torch

from bench.contracts.stage_settings import TinyModel
from bench.models.enumeration import enumerate_completions, states
from bench.models.tiny import tiny_model
from bench.models.tokenizers import word_tokenizer
from methods.gradient_study.advantages import Tree, advantage_quality, fitted_values


def by_hand() -> tuple[Tree, torch.Tensor]:
    """Two actions, EOS (0) and go on (1), at most two tokens: "0", "10", "11" with probabilities ½, ¼, ¼."""
    logp = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log()
    tokens = torch.tensor([[0, 0], [1, 0], [1, 1]])
    return Tree(logp, tokens, states(2, 0, 2), 2), torch.tensor([0.0, 2.0, 6.0], dtype=torch.float64)


def test_a_perfect_critic_leaves_no_bias_at_any_lambda() -> None:
    tree, scores = by_hand()
    values = torch.tensor([2.0, 4.0], dtype=torch.float64)  # V of the prompt: ½ · 0 + ¼ · 2 + ¼ · 6
    for gae_lambda in (0.0, 0.5, 1.0):
        assert advantage_quality(tree, scores, values, gae_lambda)[0] == pytest.approx(0, abs=1e-12)


def test_bias_and_deviation_by_hand() -> None:
    tree, scores = by_hand()
    values = torch.tensor([2.0, 5.0], dtype=torch.float64)  # one too many for the second state
    # visits: (s0, 0) ½, (s0, 1) ½, (s1, ·) ¼ each, of 1.5 in all. λ = 0: Â(s0, 1) = 5 − 2 instead of 2, and its
    # centred error is ±½ at s0; at s1 the error, −1 for both actions, is a baseline
    assert advantage_quality(tree, scores, values, 0.0) == pytest.approx(((1 / 1.5 * 0.25) ** 0.5, 0.0))
    # λ = 1: Â(s0, 1) is 2 − 2 or 6 − 2, a deviation of 2 on a third of the visits
    assert advantage_quality(tree, scores, values, 1.0) == pytest.approx((0.0, (4 / 3) ** 0.5))


def test_bias_falls_and_deviation_rises_with_lambda_for_a_fitted_critic() -> None:
    tokenizer = word_tokenizer(["a", "b", "c"])
    model = tiny_model(TinyModel(layers=1, width=16, heads=2, context=16), tokenizer, 0).eval()
    exact = enumerate_completions(model, tokenizer, "b c", 3)
    tree = Tree(exact.logp, exact.tokens, states(6, 1, 3), 6)
    scores = torch.rand(len(exact.logp), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = fitted_values(model, exact.prompt_ids, tree, scores, rollouts=32, seed=1)
    assert torch.equal(values, fitted_values(model, exact.prompt_ids, tree, scores, rollouts=32, seed=1))
    assert len(values) == 1 + 5 + 25
    biases, deviations = zip(
        *(advantage_quality(tree, scores, values, each) for each in (0.0, 0.5, 0.9, 1.0)), strict=True
    )
    assert list(biases) == sorted(biases, reverse=True)
    assert biases[0] > 0.01
    assert biases[-1] == pytest.approx(0, abs=1e-9)
    assert list(deviations) == sorted(deviations)


def test_a_critic_that_saw_more_is_nearer_to_the_values() -> None:
    tokenizer = word_tokenizer(["a", "b", "c"])
    model = tiny_model(TinyModel(layers=1, width=16, heads=2, context=16), tokenizer, 0).eval()
    exact = enumerate_completions(model, tokenizer, "b c", 3)
    tree = Tree(exact.logp, exact.tokens, states(6, 1, 3), 6)
    scores = exact.lengths.double()
    bias = [
        advantage_quality(tree, scores, fitted_values(model, exact.prompt_ids, tree, scores, n, seed=0), 0.0)[0]
        for n in (8, 4096)
    ]
    assert bias[1] < bias[0]
