"""`exact_gradient`: gradient ascent on RLHF's objective itself, with no sampling anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench.contracts.plugin import Field
from bench.contracts.task import Task
from bench.workbench.method import Method
from methods.exact_rewards import RewardName, rewards_of_all, why_not

if TYPE_CHECKING:
    from bench.workbench.policy import Policy
    from bench.workbench.workbench import Workbench


class ExactGradient(Method):
    """Ascend the true ∇J, J = E_π[r] − β KL(π‖π0), by differentiating through every completion.

    What any policy-gradient method would do with infinitely many samples: the yardstick for their bias and variance.
    """

    needs: ClassVar[set[str]] = {"reward_model"}

    beta: float = Field(0.1, gt=0, description="strength of the pull towards π0 (β), reward per nat")
    reward: RewardName = Field("gold", description="r: what is really wanted, or what the reward model says")
    steps: int = Field(40, ge=1, description="optimiser steps")
    batch_size: int = Field(4, ge=1, description="prompts per step")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Train from π0."""
        from transformers import TrainingArguments

        from methods.exact_gradient.trainer import ExactGradientTrainer

        model = workbench.sft_model()
        trainer = ExactGradientTrainer(
            model=model,
            args=TrainingArguments(
                **workbench.training_arguments(),
                max_steps=self.steps,
                per_device_train_batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                remove_unused_columns=False,
            ),
            train_dataset=workbench.prompts,
            processing_class=workbench.tokenizer,
            reference=workbench.policy(workbench.reference),
            rewards=rewards_of_all(workbench, self.reward),
            beta=self.beta,
            callbacks=workbench.callbacks(),
        )
        trainer.train()
        return workbench.policy(model)

    def unfit_for(self, task: Task) -> str | None:
        """Only tasks that can be enumerated."""
        return why_not(task)
