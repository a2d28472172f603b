"""`vpg`: the vanilla policy gradient, REINFORCE (Williams 1992; Sutton et al. 2000)."""

from __future__ import annotations

from typing import Literal

from bench.contracts import Field
from methods.policy_gradient.method import PolicyGradient


class VPG(PolicyGradient):
    """REINFORCE: one update per batch along A ∇log π, with no, a batch or a leave-one-out baseline and no critic."""

    baseline: Literal["critic", "none", "batch", "leave_one_out"] = Field(
        "batch", description="what is taken off the return: V, nothing, or a mean over the batch or the prompt's others"
    )
    normalise_advantages: bool = Field(False, description="whiten advantages over each batch of completions")
    epochs: int = Field(1, ge=1, description="passes over each batch")
    minibatches: int = Field(1, ge=1, description="updates per pass; divides `rollouts`")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="peak of the policy's; linear decay")
    importance_sampling: bool = Field(False, description="weigh tokens by π / π_old")
    clip_range: float | None = Field(None, gt=0, description="ε of the clipped surrogate; none for no clipping")
