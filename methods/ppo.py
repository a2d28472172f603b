"""`ppo`: proximal policy optimisation with a clipped surrogate (Schulman et al. 2017, arXiv:1707.06347)."""

from __future__ import annotations

from methods.policy_gradient.method import PolicyGradient


class PPO(PolicyGradient):
    """Clipped policy gradient on the reward model's score, less a penalty per nat of KL to the reference (PPO).

    The rest of the family is reached from here by settings, one ingredient at a time.
    """
