"""`a2c`: advantage actor-critic (Mnih et al. 2016, arXiv:1602.01783, in its synchronous form)."""

from __future__ import annotations

from bench.contracts import Field
from methods.policy_gradient.method import PolicyGradient


class A2C(PolicyGradient):
    """The vanilla policy gradient with a critic: one update per batch along A ∇log π, with an entropy bonus."""

    normalise_advantages: bool = Field(False, description="whiten advantages over each batch of completions")
    epochs: int = Field(1, ge=1, description="passes over each batch")
    minibatches: int = Field(1, ge=1, description="updates per pass; divides `rollouts`")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="peak of the policy's; linear decay")
    importance_sampling: bool = Field(False, description="weigh tokens by π / π_old")
    clip_range: float | None = Field(None, gt=0, description="ε of the clipped surrogate; none for no clipping")
    entropy_weight: float = Field(0.01, ge=0, description="bonus per nat of entropy, token mean")
