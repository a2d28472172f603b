"""`a2c`: advantage actor-critic (Mnih et al. 2016, arXiv:1602.01783, in its synchronous form)."""

from __future__ import annotations

from typing import ClassVar

from methods.policy_gradient.method import PolicyGradient, changed


class A2C(PolicyGradient):
    """The vanilla policy gradient with a critic: one update per batch along A ∇log π, with an entropy bonus."""

    name: ClassVar[str] = "a2c"

    normalise_advantages: bool = changed("normalise_advantages", False)
    epochs: int = changed("epochs", 1)
    minibatches: int = changed("minibatches", 1)
    learning_rate: float = changed("learning_rate", 1e-3)
    importance_sampling: bool = changed("importance_sampling", False)
    clip_range: float | None = changed("clip_range", None)
    entropy_weight: float = changed("entropy_weight", 0.01)
