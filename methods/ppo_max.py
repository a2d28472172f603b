"""`ppo_max`: the preset that "Secrets of RLHF in Large Language Models", part I, ends with (Zheng et al. 2023)."""

from __future__ import annotations

from typing import Literal

from bench.contracts import Field
from methods.policy_gradient.method import PolicyGradient


class PPOMax(PolicyGradient):
    """PPO with the tricks that the paper found to help, together (arXiv:2307.04964, section 5.4).

    Scores normalised and clipped by the moments of their history, then a token-level KL penalty; a separate critic that
    starts as the reward model and is trained alone first; pre-training gradients mixed in; the value loss clipped;
    gradients clipped over all parameters; a small buffer (one batch of completions).

    From the paper: KL weight 0.05, score clip 0.8, λ 0.9 and ε 0.2. Its learning rates are for models of 7B and the
    weight of ptx is not told; those here are the bench's. The scripts released with it differ: scores are scaled, not
    normalised or clipped, ptx is off, the KL weight is 0.01 and λ is 0.95.
    """

    reward_normalisation: bool = Field(True, description="as scaling, and take their mean off")
    reward_clip: float | None = Field(0.8, gt=0, description="most that a score counts, either way")
    kl_weight: float = Field(0.05, ge=0, description="reward lost per nat of log π/π0; 0: no reference at all")
    gae_lambda: float = Field(0.9, ge=0, le=1, description="λ of generalised advantage estimation")
    normalise_advantages: bool = Field(False, description="whiten advantages over each batch of completions")
    ptx_weight: float = Field(0.1, ge=0, description="weight of the language-model loss on pre-training texts (γ)")
    critic: Literal["value_head", "separate"] = Field(
        "separate", description="a linear head on the policy, or a model of its own"
    )
    critic_learning_rate: float = Field(1e-3, gt=0, le=1, description="peak of the critic or value head (AdamW)")
    critic_warmup: int = Field(
        5, ge=0, description="batches of completions that train the critic alone, before `steps`"
    )
    value_clip_range: float | None = Field(0.2, gt=0, description="ε of value clipping, in units of reward")
    value_weight: float = Field(1.0, ge=0, description="weight of the value loss beside the policy's")
