"""All settings of the policy-gradient family in one place, and how a workbench becomes a trainer."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import model_validator

from bench.contracts.plugin import Field
from bench.contracts.search_space import Range, SearchSpace
from bench.contracts.task import Task
from bench.models.learned_reward import RewardModel
from bench.workbench.method import Method

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainerCallback

    from bench.workbench.policy import Policy
    from bench.workbench.workbench import Workbench
    from methods.policy_gradient.acting import Reward

Baseline: TypeAlias = Literal["critic", "none", "batch", "leave_one_out"]
Optimiser: TypeAlias = Literal["adamw", "sgd", "natural_gradient", "trpo"]
Critic: TypeAlias = Literal["value_head", "separate"]

LOGGED = 60  # points of the training log, at most

OF_THE_METHOD = {"start", "steps", "rollouts", "reward", "dense_reward", "optimiser", "epochs", "minibatches"}
OF_THE_METHOD |= {"critic", "critic_start"}
"""Settings that the trainer knows by another name or not at all. All others are those of `PolicyGradientConfig`."""


class PolicyGradient(Method):
    """What `ppo` and its relatives have in common. Each ingredient is a setting of its own; the defaults are PPO's.

    A step samples `rollouts` completions and updates `epochs × minibatches` times on them; training curves count
    updates. Three constraints that are easily confused are kept apart: KL to the reference (`kl_…`), KL to the policy
    before an update (`step_kl_…`, `max_step_kl`), and clipping (`clip_range`).
    """

    needs: ClassVar[set[str]] = {"reward_model"}
    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(1e-4, 3e-3, log=True),
        "kl_weight": Range(0.03, 0.5, log=True),
    }

    # acting
    start: Literal["sft", "base"] = Field("sft", description="the model that training starts from; KL is to π0 always")
    steps: int = Field(60, ge=1, description="batches of completions sampled and learned from")
    rollouts: int = Field(128, ge=1, description="completions per batch")
    samples_per_prompt: int = Field(1, ge=1, description="completions of one prompt in a batch; divides `rollouts`")
    temperature: float = Field(1.0, gt=0, le=10, description="of sampling while training")
    # reward
    reward: Literal["reward_model", "gold"] = Field("reward_model", description="gold costs a label per completion")
    dense_reward: bool = Field(False, description="reward each token by how much it changed the reward model's score")
    missing_eos_penalty: float = Field(0.0, ge=0, description="taken off the reward where EOS is missing")
    reward_scaling: bool = Field(False, description="divide scores by the standard deviation of all so far")
    reward_normalisation: bool = Field(False, description="as scaling, and take their mean off")
    reward_clip: float | None = Field(None, gt=0, description="most that a score counts, either way")
    # constraint to the reference
    kl_weight: float = Field(0.1, ge=0, description="reward lost per nat of log π/π0; 0: no reference at all")
    kl_level: Literal["token", "sequence"] = Field("token", description="charged at each token, or with the score")
    kl_in: Literal["reward", "loss"] = Field("reward", description="part of the return, or differentiated")
    kl_target: float | None = Field(None, gt=0, description="nats per completion that the weight is adapted to reach")
    kl_gain: float = Field(0.1, gt=0, le=5, description="how fast the weight is adapted (K_β, per batch)")
    # advantages
    baseline: Baseline = Field(
        "critic",
        description="what is taken off the return: V, nothing, or a mean over the batch or the prompt's others",
    )
    gae_lambda: float = Field(0.95, ge=0, le=1, description="λ of generalised advantage estimation")
    gamma: float = Field(1.0, ge=0, le=1, description="discount per token")
    normalise_advantages: bool = Field(True, description="whiten advantages over each batch of completions")
    advantage_clip: float | None = Field(None, gt=0, description="most that an advantage counts, either way")
    # policy update
    optimiser: Optimiser = Field("adamw", description="of the policy")
    epochs: int = Field(2, ge=1, description="passes over each batch")
    minibatches: int = Field(2, ge=1, description="updates per pass; divides `rollouts`")
    learning_rate: float = Field(5e-4, gt=0, le=10, description="peak of the policy's; linear decay")
    max_grad_norm: float = Field(1.0, ge=0, description="gradient clipping; 0 for none")
    importance_sampling: bool = Field(True, description="weigh tokens by π / π_old")
    clip_range: float | None = Field(0.2, gt=0, description="ε of the clipped surrogate; none for no clipping")
    step_kl_weight: float = Field(0.0, ge=0, description="penalty per nat of KL(π_old ‖ π), token mean")
    step_kl_target: float | None = Field(None, gt=0, description="nats per token that its weight is adapted to")
    max_step_kl: float = Field(0.01, gt=0, description="δ of TRPO: most KL(π_old ‖ π) of an update, token mean")
    cg_iterations: int = Field(10, ge=1, description="conjugate-gradient steps of TRPO and the natural gradient")
    cg_damping: float = Field(0.1, ge=0, description="added to the Fisher matrix's diagonal, likewise")
    fisher_share: float = Field(0.1, gt=0, le=1, description="of a batch's rows, that make the Fisher matrix")
    entropy_weight: float = Field(0.0, ge=0, description="bonus per nat of entropy, token mean")
    ptx_weight: float = Field(0.0, ge=0, description="weight of the language-model loss on pre-training texts (γ)")
    # critic
    critic: Critic = Field("value_head", description="a linear head on the policy, or a model of its own")
    critic_start: Literal["reward_model", "sft"] = Field("reward_model", description="where a separate critic starts")
    critic_learning_rate: float = Field(3e-3, gt=0, le=1, description="peak of the critic or value head (AdamW)")
    critic_warmup: int = Field(
        0, ge=0, description="batches of completions that train the critic alone, before `steps`"
    )
    value_clip_range: float | None = Field(None, gt=0, description="ε of value clipping, in units of reward")
    value_weight: float = Field(0.1, ge=0, description="weight of the value loss beside the policy's")

    @model_validator(mode="after")
    def _fits_together(self) -> PolicyGradient:
        if self.rollouts % self.minibatches:
            raise ValueError(f"rollouts ({self.rollouts}) must be a multiple of minibatches ({self.minibatches})")
        if self.rollouts % self.samples_per_prompt:
            raise ValueError(
                f"rollouts ({self.rollouts}) must be a multiple of samples_per_prompt ({self.samples_per_prompt})"
            )
        if self.baseline == "leave_one_out" and self.samples_per_prompt < 2:
            raise ValueError("baseline leave_one_out needs samples_per_prompt of 2 or more")
        if self.optimiser in ("natural_gradient", "trpo") and self.minibatches > 1:
            raise ValueError(f"optimiser {self.optimiser} takes a step per batch: minibatches must be 1")
        if self.reward_scaling and self.reward_normalisation:
            raise ValueError("reward_normalisation scales as well: leave reward_scaling off")
        if self.dense_reward and self.reward == "gold":
            raise ValueError("dense_reward reads the reward model at every token: it cannot go with reward gold")
        if self.baseline != "critic" and self.critic_warmup:
            raise ValueError(f"critic_warmup needs a critic, and baseline is {self.baseline}")
        for target, weight in (("kl_target", self.kl_weight), ("step_kl_target", self.step_kl_weight)):
            if getattr(self, target) is not None and not weight:
                raise ValueError(f"{target} adapts a weight: {target.replace('target', 'weight')} must be above 0")
        return self

    def unfit_for(self, task: Task) -> str | None:
        """A task without a gold reward cannot give it."""
        if self.reward == "gold" and not task.has_gold:
            return f"reward is gold, and task {task.name} has no gold reward"
        return None

    def train(self, workbench: Workbench) -> Policy:
        """Run the trainer from `start`; the reference is the workbench's."""
        model = workbench.base_model() if self.start == "base" else workbench.sft_model()
        learned = workbench.reward_model
        self.optimise(workbench, model, workbench.gold if self.reward == "gold" else learned)
        return workbench.policy(model)

    def optimise(
        self,
        workbench: Workbench,
        model: PreTrainedModel,
        reward: Reward,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        """Maximise `reward` (called on prompts and completions) in place, from `model`, on the workbench's account.

        `callbacks` are called before the workbench's own.
        """
        from methods.policy_gradient.rewards import prefix_scores
        from methods.policy_gradient.trainer import PolicyGradientTrainer

        prefix_reward = None
        if self.dense_reward:
            scorer = reward if isinstance(reward, RewardModel) else workbench.reward_model
            prefix_reward = partial(prefix_scores, scorer.module)
        trainer = PolicyGradientTrainer(
            model=model,
            reward=reward,
            args=self._arguments(workbench, model),
            train_dataset=workbench.prompts,
            processing_class=workbench.tokenizer,
            ref_model=workbench.reference if self.kl_weight else None,
            critic=self._critic(workbench) if self.critic == "separate" and self.baseline == "critic" else None,
            prefix_reward=prefix_reward,
            corpus=workbench.corpus if self.ptx_weight else None,
            callbacks=[*callbacks, *workbench.callbacks()],
        )
        trainer.train()
        workbench.cost.tokens_sampled += trainer.actor.tokens_sampled
        if self.dense_reward:
            workbench.cost.reward_model_calls += self.rollouts * (self.steps + self.critic_warmup)

    def _critic(self, workbench: Workbench) -> Any:
        """A copy of the reward model (Ouyang et al. 2022, arXiv:2203.02155, appendix C.4), or π0 with a new head."""
        critic = copy.deepcopy(workbench.reward_model.module).requires_grad_(True)
        if self.critic_start == "sft":
            critic.base_model.load_state_dict(workbench.reference.base_model.state_dict())
            critic.score.weight.data.zero_()
        return critic

    def _arguments(self, workbench: Workbench, model: PreTrainedModel) -> Any:
        from bench.models.encoding import encode_prompts
        from bench.models.memory import micro_batch
        from methods.policy_gradient.config import PolicyGradientConfig

        longest = max(map(len, encode_prompts(workbench.tokenizer, workbench.prompts["prompt"])))
        rows = self.rollouts // self.minibatches
        at_once = micro_batch(model, rows, longest, workbench.max_completion_tokens)
        batches, updates = self.steps + self.critic_warmup, self.epochs * self.minibatches
        bounded = self.optimiser in ("natural_gradient", "trpo")
        # a name that the trainer does not have is a TypeError here, never a default in silence
        shared = PolicyGradient.model_fields.keys() - OF_THE_METHOD
        arguments = workbench.training_arguments() | {name: getattr(self, name) for name in shared}
        return PolicyGradientConfig(
            **arguments
            | {
                "optim": "sgd" if self.optimiser == "sgd" else arguments["optim"],
                "update": self.optimiser if bounded else "gradient",
                "max_grad_norm": 0.0 if bounded else self.max_grad_norm,
                "max_steps": batches * updates,
                "logging_steps": updates * math.ceil(batches / LOGGED),
                "per_device_train_batch_size": at_once,
                "gradient_accumulation_steps": rows // at_once,
                "num_mini_batches": self.minibatches,
                "num_ppo_epochs": self.epochs,
                "max_completion_length": workbench.max_completion_tokens,
            }
        )


def changed(name: str, default: Any) -> Any:
    """The field `name` of `PolicyGradient` with another default, for a preset; bounds and description stay."""
    field = copy.copy(PolicyGradient.model_fields[name])
    field.default = default
    return field
