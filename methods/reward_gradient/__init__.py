"""Following the reward model's gradient through relaxed outputs, the way one is told not to."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from bench.contracts import Field
from bench.method import Method
from bench.search_space import Choice, Range, SearchSpace

if TYPE_CHECKING:
    from bench.policy import Policy
    from bench.workbench import Workbench


class RewardGradient(Method):
    """Gradient ascent on the reward model's score through relaxed (soft) completions: why not just this?

    Completions are made of points on the simplex over the vocabulary instead of tokens, so that the reward model can
    be differentiated with respect to them and, through them, to the policy. Policy and reward model must share a
    vocabulary. `methods.reward_gradient.relaxation` has the mathematics.
    """

    needs: ClassVar[set[str]] = {"reward_model"}
    search_space: ClassVar[SearchSpace] = {
        "kl_weight": Choice(0.0, 0.03, 0.1, 0.3, 1.0),  # 0, the naive gradient, is on no logarithmic range
        "steps": Range(20, 120, step=20),
        "learning_rate": Range(1e-4, 1e-2, log=True),
    }

    estimator: Literal["soft", "gumbel_softmax", "straight_through"] = Field(
        "soft", description="the relaxation: the distribution itself, a noisy one, or a sample with its gradient"
    )
    temperature: float = Field(1.0, gt=0, le=10, description="of the relaxation: lower is nearer to tokens")
    kl_weight: float = Field(0.0, ge=0, description="reward lost per nat of KL to the reference; 0: no reference")
    steps: int = Field(60, ge=1, description="optimiser steps")
    batch_size: int = Field(64, ge=1, description="prompts per step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")
    max_grad_norm: float = Field(1.0, gt=0, description="gradient clipping")

    def train(self, workbench: Workbench) -> Policy:
        """Train from the SFT model; the reference is the workbench's."""
        from transformers import TrainingArguments

        from methods.reward_gradient.trainer import RewardGradientTrainer

        model = workbench.sft_model()
        trainer = RewardGradientTrainer(
            model=model,
            reward_module=workbench.reward_model.module,
            args=TrainingArguments(
                **workbench.training_arguments(),
                max_steps=self.steps,
                per_device_train_batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                max_grad_norm=self.max_grad_norm,
                remove_unused_columns=False,
            ),
            train_dataset=workbench.prompts,
            processing_class=workbench.tokenizer,
            ref_model=workbench.reference if self.kl_weight else None,
            max_completion_length=workbench.max_completion_tokens,
            estimator=self.estimator,
            temperature=self.temperature,
            kl_weight=self.kl_weight,
            callbacks=workbench.callbacks(),
        )
        trainer.train()
        workbench.cost.reward_model_calls += trainer.completions
        workbench.cost.tokens_sampled += trainer.completions * workbench.max_completion_tokens
        return workbench.policy(model)
