"""`ppo_penalty`: PPO with a penalty on the KL of an update in place of clipping (Schulman et al. 2017, section 4)."""

from __future__ import annotations

from methods.policy_gradient.method import PolicyGradient, changed


class PPOPenalty(PolicyGradient):
    """PPO whose updates are held by KL(π_old ‖ π), with an adaptive weight (a fixed one: `step_kl_target: null`)."""

    clip_range: float | None = changed("clip_range", None)
    step_kl_weight: float = changed("step_kl_weight", 1.0)
    step_kl_target: float | None = changed("step_kl_target", 0.01)
