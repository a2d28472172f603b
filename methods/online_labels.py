"""`online_labels`: the reward model is refreshed with new labels while the policy trains on it.

Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences" (arXiv:1706.03741), section 2.2.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, ClassVar

from pydantic import model_validator

from bench.contracts.plugin import Field
from bench.contracts.task import Task
from methods.policy_gradient.method import PolicyGradient

if TYPE_CHECKING:
    from datasets import Dataset

    from bench.models.learned_reward import RewardModel
    from bench.workbench.policy import ModelPolicy, Policy
    from bench.workbench.workbench import Workbench


class OnlineLabels(PolicyGradient):
    """PPO whose reward model learns from new comparisons of the policy's own samples, `refreshes` times on the way.

    It starts as the shared reward model, and is fitted further on all pairs so far. For an equal number of labels let
    this arm's shared pairs be fewer by `labels`: ``stages: {preferences: {pairs: …}}``. With `refreshes` 1 all labels
    come at once and from the policy that training starts from, as offline.
    """

    needs: ClassVar[set[str]] = {"reward_model", "preferences"}

    labels: int = Field(1000, ge=1, description="comparisons asked for while training, in all")
    refreshes: int = Field(4, ge=1, description="times that the reward model is fitted again, evenly over `steps`")
    reward_epochs: float = Field(1, gt=0, description="passes over all pairs at each refresh")
    reward_learning_rate: float = Field(
        5e-4, gt=0, le=1, description="peak of the reward model's (AdamW, linear decay)"
    )

    @model_validator(mode="after")
    def _a_step_for_each(self) -> OnlineLabels:
        if self.refreshes > self.steps:
            raise ValueError(f"refreshes ({self.refreshes}) must not be more than steps ({self.steps})")
        return self

    def unfit_for(self, task: Task) -> str | None:
        """Data that come with their pairs have nobody to ask."""
        if task.has_pairs:
            return f"task {task.name} has pairs of its own and no annotator who could be asked for more"
        return super().unfit_for(task)

    def train(self, workbench: Workbench) -> Policy:
        """Train on the reward model as it is refreshed before the batches 0, steps / refreshes, …"""
        from bench.models.training.callbacks import StepsCallback

        model = workbench.base_model() if self.start == "base" else workbench.sft_model()
        reward, pairs = copy.deepcopy(workbench.reward_model), workbench.preferences
        shares = [self.labels * i // self.refreshes for i in range(self.refreshes + 1)]

        def refresh(number: int) -> None:
            nonlocal pairs
            pairs = self._with_new_labels(
                workbench, workbench.policy(model), pairs, shares[number + 1] - shares[number], number
            )
            self._fit(workbench, reward, pairs)

        batches = [self.critic_warmup + self.steps * i // self.refreshes for i in range(self.refreshes)]
        updates = [batch * self.epochs * self.minibatches for batch in batches]
        self.optimise(workbench, model, reward, [StepsCallback(updates, refresh)])
        return workbench.policy(model)

    def _with_new_labels(
        self, workbench: Workbench, policy: ModelPolicy, pairs: Dataset, count: int, number: int
    ) -> Dataset:
        """`pairs` and `count` more, of samples of the policy as it is."""
        from datasets import concatenate_datasets

        from bench.workbench.annotating import annotate

        prompts = workbench.prompts.shuffle(seed=workbench.seed + number)["prompt"]
        seed = workbench.seed + 10_000 * (number + 1)
        new, tokens = annotate(workbench.task, policy, prompts, count, seed, workbench.prefers_first)
        workbench.cost.tokens_sampled += tokens
        columns = ["prompt", "chosen", "rejected"]
        return concatenate_datasets([pairs.select_columns(columns), new.select_columns(columns)])

    def _fit(self, workbench: Workbench, reward: RewardModel, pairs: Dataset) -> None:
        """Train the reward model further, in place."""
        from bench.models.training.callbacks import FiniteCallback
        from bench.models.training.reward_fitting import fit_reward_model

        arguments = workbench.training_arguments() | {
            "num_train_epochs": self.reward_epochs,
            "per_device_train_batch_size": 32,
            "learning_rate": self.reward_learning_rate,
        }
        module = reward.module.requires_grad_(True)
        workbench.cost.tokens_trained += fit_reward_model(
            module, workbench.tokenizer, pairs, arguments, [FiniteCallback()]
        )
        module.eval().requires_grad_(False)
