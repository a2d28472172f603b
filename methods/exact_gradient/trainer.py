"""Gradient ascent on E_π[r] − β KL(π ‖ π0) as a sum over all completions, as a transformers Trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from bench.contracts.task import Prompt
from bench.models.closed_forms import kl, optimal_policy
from bench.models.encoding import encode_prompt
from bench.models.enumeration import log_probabilities
from bench.workbench.policy import ModelPolicy


class ExactGradientTrainer(Trainer):
    """Minimises max J − J(π) = β KL(π ‖ π*), averaged over the prompts of a batch: minus its gradient is ∇J exactly.

    The loss is the optimality gap, in the reward's unit; 0 is reached by π* alone (Korbak et al. 2022).

    Args:
        train_dataset: column `prompt`.
        reference: π0.
        rewards: r of all completions of a prompt, in the order of `bench.models.enumeration.all_completions`.
        beta: β, reward per nat.
    """

    def __init__(
        self, *, reference: ModelPolicy, rewards: Callable[[Prompt], Tensor], beta: float, **arguments: Any
    ) -> None:
        self.reference, self.rewards, self.beta = reference, rewards, beta
        self._optimal: dict[str, Tensor] = {}
        super().__init__(data_collator=lambda rows: {"prompts": [row["prompt"] for row in rows]}, **arguments)

    def optimal(self, prompt: Prompt) -> Tensor:
        """log π* of all completions; computed once per prompt."""
        if (key := repr(prompt)) not in self._optimal:
            logp = self.reference.exact_logp(prompt)
            self._optimal[key] = optimal_policy(logp, self.rewards(prompt), self.beta)
        return self._optimal[key]

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, list[Prompt]],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The optimality gap."""
        gaps = []
        for prompt in inputs["prompts"]:
            ids = encode_prompt(self.processing_class, prompt)
            logp = log_probabilities(model, ids, self.reference.max_new_tokens)
            gaps.append(self.beta * kl(logp, self.optimal(prompt)))
            self.state.num_input_tokens_seen += len(ids) + len(logp)
        return torch.stack(gaps).mean()
