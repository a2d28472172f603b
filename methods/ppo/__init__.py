"""Proximal policy optimisation against the learned reward model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import model_validator

from bench.contracts import Field
from bench.method import Method

if TYPE_CHECKING:
    from bench.policy import Policy
    from bench.workbench import Workbench


class PPO(Method):
    """Clipped policy gradient on the reward model's score, less a penalty per nat of KL to the reference (PPO).

    A step samples `rollouts` completions and updates `epochs × minibatches` times on them; training curves count
    updates. The methods' package has the trainer itself, `methods.ppo.trainer.PPOTrainer`, for any reward.
    """

    needs: ClassVar[set[str]] = {"reward_model"}

    steps: int = Field(60, ge=1, description="batches of completions sampled and learned from")
    rollouts: int = Field(128, ge=1, description="completions per batch")
    epochs: int = Field(2, ge=1, description="passes over each batch")
    minibatches: int = Field(2, ge=1, description="updates per pass; divides `rollouts`")
    learning_rate: float = Field(5e-4, gt=0, le=1, description="peak of the policy (AdamW, linear decay)")
    critic_learning_rate: float = Field(3e-3, gt=0, le=1, description="peak of the critic or value head")
    kl_weight: float = Field(0.1, ge=0, description="reward lost per nat of log π/π0; 0: no reference at all")
    clip_range: float = Field(0.2, gt=0, description="ε of the clipped surrogate")
    value_clip_range: float | None = Field(None, gt=0, description="ε of value clipping, in units of reward")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="λ of generalised advantage estimation")
    gamma: float = Field(1.0, ge=0, le=1, description="discount per token")
    value_weight: float = Field(0.1, ge=0, description="weight of the value loss beside the policy's")
    normalise_advantages: bool = Field(True, description="whiten advantages over each batch of completions")
    critic: Literal["value_head", "separate"] = Field(
        "value_head", description="a linear head on the policy, or a model that starts as the reward model"
    )
    missing_eos_penalty: float = Field(0.0, ge=0, description="taken off the reward where EOS is missing")
    temperature: float = Field(1.0, gt=0, le=10, description="of sampling while training")
    max_grad_norm: float = Field(1.0, gt=0, description="gradient clipping")

    @model_validator(mode="after")
    def _whole_minibatches(self) -> PPO:
        if self.rollouts % self.minibatches:
            raise ValueError(f"rollouts ({self.rollouts}) must be a multiple of minibatches ({self.minibatches})")
        return self

    def train(self, workbench: Workbench) -> Policy:
        """Run PPO from the SFT model; the reference is the workbench's."""
        import copy

        from methods.ppo.config import PPOConfig
        from methods.ppo.trainer import PPOTrainer

        reward = workbench.reward_model
        critic = None
        if self.critic == "separate":
            # as in Ouyang et al. 2022 (arXiv:2203.02155), appendix C.4
            critic = copy.deepcopy(reward.module).requires_grad_(True)
        model = workbench.sft_model()
        trainer = PPOTrainer(
            model=model,
            reward=reward,
            args=PPOConfig(
                **workbench.training_arguments(),
                max_steps=self.steps * self.epochs * self.minibatches,
                per_device_train_batch_size=self.rollouts // self.minibatches,
                num_mini_batches=self.minibatches,
                num_ppo_epochs=self.epochs,
                max_completion_length=workbench.max_completion_tokens,
                learning_rate=self.learning_rate,
                critic_learning_rate=self.critic_learning_rate,
                kl_weight=self.kl_weight,
                clip_range=self.clip_range,
                value_clip_range=self.value_clip_range,
                gae_lambda=self.gae_lambda,
                gamma=self.gamma,
                value_weight=self.value_weight,
                normalise_advantages=self.normalise_advantages,
                missing_eos_penalty=self.missing_eos_penalty,
                temperature=self.temperature,
                max_grad_norm=self.max_grad_norm,
            ),
            train_dataset=workbench.prompts,
            processing_class=workbench.tokenizer,
            ref_model=workbench.reference if self.kl_weight else None,
            critic=critic,
            callbacks=workbench.callbacks(),
        )
        trainer.train()
        workbench.cost.tokens_sampled += trainer.tokens_sampled
        return workbench.policy(model)
