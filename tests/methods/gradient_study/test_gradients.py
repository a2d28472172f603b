"""Gradient estimates against ∇J itself, a sum over all 111,151 completions of a prompt of `strings`."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import GPT2ForSequenceClassification, TrainingArguments

from bench.models.closed_forms import regularised_objective
from bench.models.enumeration import log_probabilities, rows_of
from bench.models.learned_reward import RewardModel
from bench.models.sampling import generate
from bench.models.tokenizers import word_tokenizer
from methods.gradient_study.gradients import exact_gradient, flat_gradient, quality, score_function_gradient
from methods.reward_gradient.trainer import RewardGradientTrainer
from tasks.strings import Strings
from tests.small_models import trained

TASK = Strings()
TOKENIZER = word_tokenizer(TASK.vocabulary())
PROMPT, TOKENS, BETA = "c k", 4, 0.1
REPETITIONS, BATCH, DIRECTIONS = 250, 16, 8
LEVEL = 0.99  # of all intervals of one estimator together


class World:
    """A policy, its reference, a reward model, the exact ∇J, and directions to look along (the first is ∇J's own)."""

    def __init__(self) -> None:
        self.policy, self.reference = (trained(TASK, TOKENIZER, seed, steps=60, width=16) for seed in (0, 1))
        self.reference.requires_grad_(False)
        config = copy.deepcopy(self.policy.config)
        config.num_labels = 1
        torch.manual_seed(2)
        module = GPT2ForSequenceClassification(config)
        torch.nn.init.normal_(module.score.weight, std=0.5)
        self.reward = RewardModel(module, TOKENIZER)
        self.ids = TOKENIZER(PROMPT)["input_ids"]
        self.scores = self.reward.enumerated(PROMPT, TOKENS)
        with torch.no_grad():
            self.logp_reference = log_probabilities(self.reference, self.ids, TOKENS)
        self.truth = exact_gradient(self.policy, self.ids, TOKENS, self.scores, self.logp_reference, BETA)
        random = torch.randn(DIRECTIONS - 1, len(self.truth), generator=torch.Generator().manual_seed(3))
        rows = torch.cat([self.truth[None], random])
        self.directions = rows / rows.norm(dim=1, keepdim=True)

    def covers(self, estimates: list[torch.Tensor], truth: torch.Tensor) -> list[bool]:
        """Along each direction: does the interval for the estimates' mean hold the truth? LEVEL for all together."""
        along = torch.stack([self.directions @ each for each in estimates]).double().numpy()
        level = 1 - (1 - LEVEL) / DIRECTIONS  # Bonferroni
        half = stats.t.ppf(0.5 + level / 2, len(along) - 1) * along.std(0, ddof=1) / np.sqrt(len(along))
        return (np.abs(along.mean(0) - (self.directions @ truth).numpy()) <= half).tolist()


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def batches(world: World):
    """Completions of the policy with their scores: REPETITIONS batches of BATCH."""
    prompts = torch.tensor([world.ids] * (REPETITIONS * BATCH))
    torch.manual_seed(5)
    tokens, mask, _ = generate(world.policy, prompts, torch.ones_like(prompts), TOKENS)
    ids = [row[:length] for row, length in zip(tokens.tolist(), mask.sum(1).tolist(), strict=True)]
    scores = world.scores[rows_of(ids, len(TOKENIZER), TOKENIZER.eos_token_id, TOKENS)]
    return list(zip(tokens.split(BATCH), mask.split(BATCH), scores.split(BATCH), strict=True))


def test_the_exact_gradient_agrees_with_finite_differences(world: World) -> None:
    direction, step = world.directions[1], 0.05
    values = []
    for sign in (1, -1):
        moved = copy.deepcopy(world.policy)
        flat = torch.nn.utils.parameters_to_vector(moved.parameters()) + sign * step * direction
        torch.nn.utils.vector_to_parameters(flat, moved.parameters())
        with torch.no_grad():
            logp = log_probabilities(moved, world.ids, TOKENS)
        values.append(regularised_objective(logp, world.logp_reference, world.scores, BETA).item())
    assert (world.truth @ direction).item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-2)


@pytest.mark.parametrize(("baseline", "expected"), [("none", 1.0), ("batch", 1 - 1 / BATCH), ("leave_one_out", 1.0)])
def test_the_score_function_is_unbiased_and_the_batchs_own_mean_shrinks_it(world, batches, baseline, expected) -> None:
    estimates = [
        score_function_gradient(world.policy, world.reference, world.ids, *batch, BETA, baseline) for batch in batches
    ]
    assert all(world.covers(estimates, expected * world.truth))
    if baseline == "leave_one_out":
        # the interval is narrow enough to tell: not 20 % less, nor the gradient without KL
        assert not all(world.covers(estimates, 0.8 * world.truth))


@pytest.mark.parametrize("estimator", ["straight_through", "gumbel_softmax", "soft"])
def test_gradients_through_relaxed_outputs_are_biased(world: World, tmp_path, estimator: str) -> None:
    trainer = RewardGradientTrainer(
        model=world.policy,
        reward_module=world.reward.module,
        args=TrainingArguments(tmp_path, use_cpu=True, report_to=[]),
        train_dataset=[{"prompt": PROMPT}],
        processing_class=TOKENIZER,
        ref_model=world.reference,
        max_completion_length=TOKENS,
        estimator=estimator,
        kl_weight=BETA,
    )
    ids = torch.tensor([world.ids] * BATCH)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    estimates = [flat_gradient(-trainer.compute_loss(world.policy, inputs), world.policy) for _ in range(100)]
    assert not all(world.covers(estimates, world.truth))


def test_a_baseline_lowers_the_variance(world: World, batches) -> None:
    deviation = {
        baseline: quality(
            (
                score_function_gradient(world.policy, world.reference, world.ids, *batch, BETA, baseline)
                for batch in batches[:60]
            ),
            world.truth,
        ).deviation
        for baseline in ("none", "leave_one_out")
    }
    assert deviation["leave_one_out"] < deviation["none"]


def test_quality_by_hand() -> None:
    truth = torch.tensor([2.0, 0.0])
    estimates = [truth + torch.tensor([1.0, 3.0]), truth + torch.tensor([1.0, -3.0])]
    found = quality(estimates, truth)
    # deviations of ±3 in one coordinate: variance 18, of the mean 9, more than the squared bias of 1
    assert found.deviation == pytest.approx(18**0.5 / 2)
    assert found.noise == pytest.approx(9**0.5 / 2)
    assert found.bias == 0
    assert quality([truth * 1.5] * 2, truth).bias == pytest.approx(0.5)
