"""How far a rollout batch's optimiser steps have taken the policy, read once all of them are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from methods.policy_gradient.actor_critic import forward_completion, pick
from methods.policy_gradient.constraint import step_kl
from methods.policy_gradient.rollout import Rollouts


class AfterUpdate(TrainerCallback):
    """Calls `read` after every `steps`-th optimiser step, before what that step logs."""

    def __init__(self, steps: int, read: Callable[[], None]) -> None:
        self.steps, self.read = steps, read

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Where the last step of a rollout batch is made, read."""
        if state.global_step % self.steps == 0:
            self.read()


@torch.no_grad()
def update_figures(
    policy: Any, rollouts: Rollouts, batch_size: int, temperature: float
) -> tuple[int, dict[str, Tensor]]:
    """The number of tokens in `rollouts`, and sums over them of `update_kl` and `ratio_99`.

    `update_kl` is KL(π_old ‖ π) estimated at each token, nats; `ratio_99` the 99th percentile of π/π_old, once for
    every token. The policy reads `batch_size` completions at a time.
    """
    before, after = [], []
    for rows in torch.arange(len(rollouts.mask), device=rollouts.mask.device).split(batch_size):
        batch = rollouts.rows(rows)
        mask = batch["mask"].bool()
        logits, _ = forward_completion(policy, batch["input_ids"], batch["starts"], mask.shape[1])
        logprobs = pick((logits / temperature).log_softmax(-1), batch["completion_ids"])
        before.append(batch["logprobs"][mask])
        after.append(logprobs[mask])
    old, new = torch.cat(before), torch.cat(after)
    highest = (new - old).exp().quantile(0.99)
    return len(old), {"update_kl": step_kl(new, old).sum(), "ratio_99": highest * len(old)}
