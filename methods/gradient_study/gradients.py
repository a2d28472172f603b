"""The truth about policy gradients: ∇J as a sum over all completions, and its usual estimates from samples.

J(θ) = E_π[r] − β KL(π ‖ π0) for one prompt. Gradients are flat vectors over all parameters of the policy that train.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from bench.models.closed_forms import regularised_objective
from bench.models.enumeration import log_probabilities
from methods.policy_gradient.actor_critic import forward_completion, pick
from methods.policy_gradient.advantages import baseline, gae
from methods.policy_gradient.losses import policy_loss
from methods.policy_gradient.rewards import penalised, terminal_rewards

Baseline = Literal["none", "batch", "leave_one_out"]


def flat_gradient(value: Tensor, model: Any) -> Tensor:
    """∇ value with respect to the parameters of `model` that train, one vector; 0 where there is no dependence."""
    parameters = [each for each in model.parameters() if each.requires_grad]
    gradients = torch.autograd.grad(value, parameters, allow_unused=True)
    pairs = zip(parameters, gradients, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in pairs])


def exact_gradient(
    model: Any, prompt_ids: Sequence[int], max_new_tokens: int, rewards: Tensor, logp_reference: Tensor, beta: float
) -> Tensor:
    """∇J by differentiating Σ_y π(y) r(y) − β KL(π ‖ π0) through the probability of every completion.

    Args:
        rewards, logp_reference: r and log π0 of all completions, in the order of `enumeration.all_completions`.
    """
    logp = log_probabilities(model, prompt_ids, max_new_tokens)
    return flat_gradient(regularised_objective(logp, logp_reference, rewards, beta), model)


def score_function_gradient(
    model: Any,
    reference: Any,
    prompt_ids: Sequence[int],
    tokens: Tensor,
    mask: Tensor,
    scores: Tensor,
    beta: float,
    kind: Baseline,
) -> Tensor:
    """The estimate of ∇J from a batch of completions: mean of (R − b) ∇log π (Williams 1992), R to go with its KL.

    Unbiased with no and with the leave-one-out baseline (Kool et al. 2019). The batch's own mean holds the completion
    that it is subtracted from, so that with it the expectation is (1 − 1/n) ∇J for n completions.

    Args:
        tokens, mask: (batch, tokens), sampled from `model` as `bench.models.sampling.generate` gives them.
        scores: (batch), r.
        kind: the baseline b, see `methods.policy_gradient.advantages.baseline`.
    """
    prompts = torch.tensor([list(prompt_ids)], device=tokens.device).expand(len(tokens), -1)
    rows = (torch.cat([prompts, tokens], 1), tokens.new_full((len(tokens),), prompts.shape[1]), tokens.shape[1])
    logprobs = pick(forward_completion(model, *rows)[0].log_softmax(-1), tokens)
    with torch.no_grad():
        others = pick(forward_completion(reference, *rows)[0].log_softmax(-1), tokens)
    old = logprobs.detach()
    rewards = penalised(terminal_rewards(scores.to(old), mask), old - others, mask, beta, level="token")
    to_go = gae(rewards, torch.zeros_like(rewards), mask, gamma=1.0, gae_lambda=1.0)
    advantages = to_go - baseline(to_go[:, 0], kind, len(to_go))[:, None]
    loss = (policy_loss(logprobs, old, advantages) * mask).sum(1).mean()
    return flat_gradient(-loss, model)


def stepped(module: Any, threshold: float) -> Any:
    """A copy of a reward model that says only whether its score is above (1) or below (−1) `threshold`."""

    class Step(torch.nn.Module):
        def __init__(self, score: torch.nn.Module) -> None:
            super().__init__()
            self.score = score

        def forward(self, hidden: Tensor) -> Tensor:
            return (self.score(hidden) - threshold).sign()

    other = copy.deepcopy(module)
    other.score = Step(other.score)
    return other


@dataclass(frozen=True)
class Quality:
    """How good gradient estimates are, in units of the true gradient's length.

    bias: ‖E ĝ − ∇J‖ / ‖∇J‖, corrected for the noise in the mean (0 where that noise explains all of it).
    noise: its standard error, roughly: what is below about two of it is no bias that could be told from 0.
    deviation: √tr Var ĝ / ‖∇J‖, of a single estimate.
    """

    bias: float
    noise: float
    deviation: float


def quality(estimates: Iterable[Tensor], truth: Tensor) -> Quality:
    """Bias and spread of repeated, independent estimates of `truth`; at least two."""
    total, squares, count = torch.zeros_like(truth), 0.0, 0
    for estimate in estimates:
        total += estimate
        squares += float(estimate.square().sum())
        count += 1
    mean = total / count
    variance = (squares - count * float(mean.square().sum())) / (count - 1)
    length, of_mean = float(truth.norm()), variance / count
    bias = max(float((mean - truth).square().sum()) - of_mean, 0.0) ** 0.5
    return Quality(bias / length, of_mean**0.5 / length, variance**0.5 / length)
