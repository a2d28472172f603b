"""`trpo`: trust region policy optimisation (Schulman et al. 2015, arXiv:1502.05477)."""

from __future__ import annotations

from typing import ClassVar, Literal

from bench.contracts import Field
from bench.search_space import Range, SearchSpace
from methods.policy_gradient.method import PolicyGradient


class TRPO(PolicyGradient):
    """The natural gradient's direction by conjugate gradients, as far as a bound on KL(π_old ‖ π) allows.

    The policy moves once per batch, on the first pass; further passes train the critic.
    """

    search_space: ClassVar[SearchSpace] = {
        "max_step_kl": Range(0.002, 0.1, log=True),
        "kl_weight": PolicyGradient.search_space["kl_weight"],
    }

    optimiser: Literal["adamw", "sgd", "natural_gradient", "trpo"] = Field("trpo", description="of the policy")
    epochs: int = Field(2, ge=1, description="passes over each batch")
    minibatches: int = Field(1, ge=1, description="updates per pass; divides `rollouts`")
    clip_range: float | None = Field(None, gt=0, description="ε of the clipped surrogate; none for no clipping")
