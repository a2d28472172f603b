"""`vpg`: the vanilla policy gradient, REINFORCE (Williams 1992; Sutton et al. 2000)."""

from __future__ import annotations

from methods.policy_gradient.method import Baseline, PolicyGradient, changed


class VPG(PolicyGradient):
    """REINFORCE: one update per batch along A ∇log π, with no, a batch or a leave-one-out baseline and no critic."""

    baseline: Baseline = changed("baseline", "batch")
    normalise_advantages: bool = changed("normalise_advantages", False)
    epochs: int = changed("epochs", 1)
    minibatches: int = changed("minibatches", 1)
    learning_rate: float = changed("learning_rate", 1e-3)
    importance_sampling: bool = changed("importance_sampling", False)
    clip_range: float | None = changed("clip_range", None)
