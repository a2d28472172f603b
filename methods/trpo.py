"""`trpo`: trust region policy optimisation (Schulman et al. 2015, arXiv:1502.05477)."""

from __future__ import annotations

from typing import Literal

from bench.contracts import Field
from methods.policy_gradient.method import PolicyGradient


class TRPO(PolicyGradient):
    """The natural gradient's direction by conjugate gradients, as far as a bound on KL(π_old ‖ π) allows.

    The policy moves once per batch, on the first pass; further passes train the critic.
    """

    optimiser: Literal["adamw", "sgd", "natural_gradient", "trpo"] = Field("trpo", description="of the policy")
    epochs: int = Field(4, ge=1, description="passes over each batch")
    minibatches: int = Field(1, ge=1, description="updates per pass; divides `rollouts`")
    clip_range: float | None = Field(None, gt=0, description="ε of the clipped surrogate; none for no clipping")
