"""What the methods with exact answers share: whether a task allows them, and the reward of every completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from bench import BenchError, Prompt, Workbench
from bench.contracts.task import Task

if TYPE_CHECKING:
    from torch import Tensor

RewardName = Literal["gold", "reward_model"]


def why_not(task: Task) -> str | None:
    """The reason why the completions of `task` cannot be enumerated, or None."""
    return None if task.has_enumeration else f"the completions of task {task.name!r} cannot be enumerated"


def rewards_of_all(workbench: Workbench, reward: RewardName) -> Callable[[Prompt], Tensor]:
    """A function that gives the rewards of all completions of a prompt, in the order of `enumeration`; float64.

    What it spends is counted: one gold label or one call of the reward model per completion.
    """
    if reward == "reward_model":
        model = workbench.reward_model
        return lambda prompt: model.enumerated(prompt, workbench.max_completion_tokens)

    def gold(prompt: Prompt) -> Tensor:
        import torch

        values = workbench.task.enumerated_gold(workbench.tokenizer, prompt)
        if values is None:
            raise BenchError(f"{len(workbench.tokenizer)} tokens make too many completions of a prompt to enumerate")
        workbench.cost.gold_labels += len(values)
        return torch.from_numpy(values)

    return gold
