"""Settings of the PPO trainer."""

from __future__ import annotations

from dataclasses import dataclass, field

from transformers import TrainingArguments


@dataclass
class PPOConfig(TrainingArguments):
    """Settings of `PPOTrainer` beyond those of every Trainer.

    One rollout batch holds ``per_device_train_batch_size × gradient_accumulation_steps × num_mini_batches`` completions
    per process. It is trained on for ``num_ppo_epochs × num_mini_batches`` optimiser steps, then replaced. Steps
    (`max_steps`, `save_steps`, `logging_steps`, the learning-rate schedule) are optimiser steps.
    """

    learning_rate: float = field(default=3e-6, metadata={"help": "peak learning rate of the policy"})
    critic_learning_rate: float | None = field(
        default=None, metadata={"help": "peak learning rate of the critic or value head; None: the policy's"}
    )
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "True would hide a divergence"})
    num_ppo_epochs: int = field(default=4, metadata={"help": "passes over each rollout batch"})
    num_mini_batches: int = field(default=1, metadata={"help": "optimiser steps per pass"})
    max_completion_length: int = field(default=256, metadata={"help": "most tokens of a completion, EOS included"})
    temperature: float = field(default=1.0, metadata={"help": "of sampling; the policy trained is the tempered one"})
    kl_weight: float = field(default=0.05, metadata={"help": "β, reward lost per nat of log π/π0; 0: no reference"})
    missing_eos_penalty: float = field(
        default=0.0, metadata={"help": "taken off the reward of a completion without EOS"}
    )
    gamma: float = field(default=1.0, metadata={"help": "discount per token"})
    gae_lambda: float = field(default=0.95, metadata={"help": "λ of generalised advantage estimation"})
    normalise_advantages: bool = field(
        default=True, metadata={"help": "shift and scale advantages over the rollout batch"}
    )
    clip_range: float = field(default=0.2, metadata={"help": "ε of the clipped surrogate"})
    value_clip_range: float | None = field(
        default=0.2, metadata={"help": "ε of value clipping, in units of reward; None: off"}
    )
    value_weight: float = field(default=0.1, metadata={"help": "weight of the value loss beside the policy's"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_ppo_epochs", "num_mini_batches", "max_completion_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}: it must be above 0")
