"""Settings of the policy-gradient trainer."""

from __future__ import annotations

from dataclasses import dataclass, field

from transformers import TrainingArguments

CHOICES = {
    "kl_level": ("token", "sequence"),
    "kl_in": ("reward", "loss"),
    "baseline": ("critic", "none", "batch", "leave_one_out"),
    "update": ("gradient", "natural_gradient", "trpo"),
}


@dataclass
class PolicyGradientConfig(TrainingArguments):
    """Settings of `PolicyGradientTrainer` beyond those of every Trainer.

    One rollout batch holds ``per_device_train_batch_size × gradient_accumulation_steps × num_mini_batches`` completions
    per process. It is trained on for ``num_ppo_epochs × num_mini_batches`` optimiser steps, then replaced. Steps
    (`max_steps`, `save_steps`, `logging_steps`, the learning-rate schedule) are optimiser steps.
    """

    learning_rate: float = field(default=3e-6, metadata={"help": "peak learning rate of the policy"})
    critic_learning_rate: float | None = field(
        default=None, metadata={"help": "peak learning rate of the critic or value head; None: the policy's"}
    )
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "True would hide a divergence"})
    # acting
    num_ppo_epochs: int = field(default=4, metadata={"help": "passes over each rollout batch"})
    num_mini_batches: int = field(default=1, metadata={"help": "optimiser steps per pass"})
    max_completion_length: int = field(default=256, metadata={"help": "most tokens of a completion, EOS included"})
    samples_per_prompt: int = field(default=1, metadata={"help": "completions of one prompt, side by side in a batch"})
    temperature: float = field(default=1.0, metadata={"help": "of sampling; the policy trained is the tempered one"})
    # reward
    missing_eos_penalty: float = field(
        default=0.0, metadata={"help": "taken off the reward of a completion without EOS"}
    )
    reward_scaling: bool = field(default=False, metadata={"help": "divide scores by their running deviation"})
    reward_normalisation: bool = field(default=False, metadata={"help": "as scaling, less their running mean"})
    reward_clip: float | None = field(default=None, metadata={"help": "most that a score counts, either way"})
    # constraint to the reference
    kl_weight: float = field(default=0.05, metadata={"help": "β, reward lost per nat of KL; 0: no reference"})
    kl_level: str = field(default="token", metadata={"help": "token: charged where it arises; sequence: at the end"})
    kl_in: str = field(default="reward", metadata={"help": "reward: part of the return; loss: differentiated"})
    kl_target: float | None = field(default=None, metadata={"help": "nats per completion that β is adapted to reach"})
    kl_gain: float = field(default=0.1, metadata={"help": "K_β of the adaptive controller"})
    # advantages
    baseline: str = field(
        default="critic", metadata={"help": "what is taken off the return: " + "|".join(CHOICES["baseline"])}
    )
    gamma: float = field(default=1.0, metadata={"help": "discount per token"})
    gae_lambda: float = field(default=0.95, metadata={"help": "λ of generalised advantage estimation"})
    normalise_advantages: bool = field(
        default=True, metadata={"help": "shift and scale advantages over the rollout batch"}
    )
    advantage_clip: float | None = field(default=None, metadata={"help": "most that an advantage counts, either way"})
    # policy update
    update: str = field(default="gradient", metadata={"help": "`optim`'s step, the natural gradient, or TRPO's"})
    importance_sampling: bool = field(default=True, metadata={"help": "weigh tokens by π / π_old"})
    clip_range: float | None = field(default=0.2, metadata={"help": "ε of the clipped surrogate; None: no clipping"})
    step_kl_weight: float = field(default=0.0, metadata={"help": "penalty per nat of KL(π_old ‖ π), token mean"})
    step_kl_target: float | None = field(default=None, metadata={"help": "nats per token that it is adapted to"})
    entropy_weight: float = field(default=0.0, metadata={"help": "bonus per nat of entropy, token mean"})
    ptx_weight: float = field(default=0.0, metadata={"help": "weight of the language-model loss on the corpus"})
    max_step_kl: float = field(
        default=0.01, metadata={"help": "δ of TRPO: most KL(π_old ‖ π) of an update, token mean"}
    )
    cg_iterations: int = field(default=10, metadata={"help": "steps of conjugate gradient"})
    cg_damping: float = field(default=0.1, metadata={"help": "added to the diagonal of the Fisher matrix"})
    fisher_share: float = field(default=0.1, metadata={"help": "of a batch's rows, that make the Fisher matrix"})
    # critic
    value_clip_range: float | None = field(
        default=0.2, metadata={"help": "ε of value clipping, in units of reward; None: off"}
    )
    value_weight: float = field(default=0.1, metadata={"help": "weight of the value loss beside the policy's"})
    critic_warmup: int = field(
        default=0, metadata={"help": "rollout batches on which the critic alone is trained first"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_ppo_epochs", "num_mini_batches", "max_completion_length", "samples_per_prompt"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}: it must be above 0")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be one of {', '.join(choices)}")
        if self.baseline == "leave_one_out" and self.samples_per_prompt < 2:
            raise ValueError("baseline is 'leave_one_out': samples_per_prompt must be at least 2")
        if self.reward_scaling and self.reward_normalisation:
            raise ValueError("reward_scaling and reward_normalisation are both on: normalisation scales as well")
        if self.update != "gradient" and (self.num_mini_batches > 1 or self.max_grad_norm):
            raise ValueError(f"update is {self.update!r}: it needs num_mini_batches=1 and max_grad_norm=0")

    @property
    def has_critic(self) -> bool:
        """Is there anything that predicts returns?"""
        return self.baseline == "critic"
