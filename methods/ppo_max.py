"""`ppo_max`: the preset that "Secrets of RLHF in Large Language Models", part I, ends with (Zheng et al. 2023)."""

from __future__ import annotations

from methods.policy_gradient.method import Critic, PolicyGradient, changed


class PPOMax(PolicyGradient):
    """PPO with the tricks that the paper found to help, together (arXiv:2307.04964, section 5.4).

    Scores normalised and clipped by the moments of their history, then a token-level KL penalty; a separate critic that
    starts as the reward model and is trained alone first; pre-training gradients mixed in; the value loss clipped;
    gradients clipped over all parameters; a small buffer (one batch of completions).

    From the paper: KL weight 0.05, score clip 0.8, λ 0.9 and ε 0.2. Its learning rates are for models of 7B and the
    weight of ptx is not told; those here are the bench's. The scripts released with it differ: scores are scaled, not
    normalised or clipped, ptx is off, the KL weight is 0.01 and λ is 0.95.
    """

    reward_normalisation: bool = changed("reward_normalisation", True)
    reward_clip: float | None = changed("reward_clip", 0.8)
    kl_weight: float = changed("kl_weight", 0.05)
    gae_lambda: float = changed("gae_lambda", 0.9)
    normalise_advantages: bool = changed("normalise_advantages", False)
    ptx_weight: float = changed("ptx_weight", 0.1)
    critic: Critic = changed("critic", "separate")
    critic_learning_rate: float = changed("critic_learning_rate", 1e-3)
    critic_warmup: int = changed("critic_warmup", 5)
    value_clip_range: float | None = changed("value_clip_range", 0.2)
    value_weight: float = changed("value_weight", 1.0)
