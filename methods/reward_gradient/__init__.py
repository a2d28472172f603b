"""Following the reward model's gradient through relaxed outputs, the way one is told not to."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from bench.contracts.plugin import Field
from bench.contracts.search_space import Choice, Range, SearchSpace
from bench.workbench.method import Method

if TYPE_CHECKING:
    from datasets import Dataset

    from bench.workbench.policy import Policy
    from bench.workbench.workbench import Workbench


class RewardGradient(Method):
    """Gradient ascent on the reward model's score through relaxed (soft) completions: why not just this?

    Completions are made of points on the simplex over the vocabulary instead of tokens, so that the reward model can
    be differentiated with respect to them and, through them, to the policy. With `soft` this is a generator that
    follows the gradient of a fixed discriminator, ∇D(π(·|x)) − β ∇KL(π ‖ π0), β being `kl_weight`. Policy and reward
    model must share a vocabulary. `methods.reward_gradient.relaxation` has the mathematics.

    Reports `relaxed_reward` (what was maximised), `discrete_reward` and `argmax_reward` (what decoded text earns) and
    `relaxation_gap`: see `methods.reward_gradient.gap.RelaxationGap`.
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
    rollout: Literal["free", "teacher_forced"] = Field(
        "free", description="what the policy reads while it writes: its own relaxed tokens, or those of given texts"
    )
    teacher: Literal["demonstrations", "reference"] = Field(
        "demonstrations", description="whose texts are given, if teacher-forced; reference: π0's samples, drawn once"
    )
    temperature: float = Field(1.0, gt=0, le=10, description="of the relaxation: lower is nearer to tokens")
    final_temperature: float | None = Field(None, gt=0, le=10, description="of the last step; null: as the first")
    anneal: Literal["exponential", "linear"] = Field("exponential", description="the way to the final temperature")
    kl_weight: float = Field(0.0, ge=0, description="reward lost per nat of KL to the reference; 0: no reference")
    steps: int = Field(60, ge=1, description="optimiser steps")
    batch_size: int = Field(64, ge=1, description="prompts per step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")
    max_grad_norm: float = Field(1.0, gt=0, description="gradient clipping")

    def train(self, workbench: Workbench) -> Policy:
        """Train from the SFT model; the reference is the workbench's."""
        from transformers import TrainingArguments

        from bench.models.encoding import encode_prompts
        from bench.models.memory import micro_batch
        from methods.reward_gradient.gap import RelaxationGap
        from methods.reward_gradient.trainer import RewardGradientTrainer

        model, reward = workbench.sft_model(), workbench.reward_model
        texts = self._texts(workbench)
        longest = max(map(len, encode_prompts(workbench.tokenizer, texts["prompt"])))
        at_once = micro_batch(model, self.batch_size, longest, workbench.max_completion_tokens)
        trainer = RewardGradientTrainer(
            model=model,
            reward_module=reward.module,
            args=TrainingArguments(
                **workbench.training_arguments(),
                max_steps=self.steps,
                per_device_train_batch_size=at_once,
                gradient_accumulation_steps=self.batch_size // at_once,
                learning_rate=self.learning_rate,
                max_grad_norm=self.max_grad_norm,
                remove_unused_columns=False,
            ),
            train_dataset=texts,
            processing_class=workbench.tokenizer,
            ref_model=workbench.reference if self.kl_weight else None,
            max_completion_length=workbench.max_completion_tokens,
            estimator=self.estimator,
            rollout=self.rollout,
            temperature=self.temperature,
            final_temperature=self.final_temperature,
            anneal=self.anneal,
            kl_weight=self.kl_weight,
            callbacks=workbench.callbacks(),
        )
        gap = RelaxationGap(trainer, reward, workbench.policy, workbench.log, workbench.curve_points)
        trainer.add_callback(gap)
        trainer.train()
        workbench.report(**gap.figures)
        relaxed = trainer.completions + gap.completions
        workbench.cost.reward_model_calls += relaxed
        workbench.cost.tokens_sampled += gap.tokens_sampled
        if self.rollout == "free":
            workbench.cost.tokens_sampled += relaxed * workbench.max_completion_tokens
        return workbench.policy(model)

    def _texts(self, workbench: Workbench) -> Dataset:
        """What to train on: prompts, and the completions that a teacher-forced policy reads."""
        from datasets import Dataset

        if self.rollout == "free":
            return workbench.prompts
        if self.teacher == "demonstrations":
            return workbench.demonstrations.select_columns(["prompt", "completion"])
        prompts = workbench.prompts.shuffle(seed=workbench.seed)
        prompts = prompts.select(range(min(len(prompts), self.steps * self.batch_size)))
        samples = workbench.sample(workbench.policy(workbench.reference), prompts["prompt"], workbench.seed)
        return Dataset.from_dict({"prompt": samples.prompts, "completion": samples.completions})
