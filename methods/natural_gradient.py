"""`natural_gradient`: the policy gradient in the metric of the Fisher matrix (Kakade 2001)."""

from __future__ import annotations

from typing import ClassVar, Literal

from bench.contracts import Field
from bench.search_space import Range, SearchSpace
from methods.policy_gradient.method import PolicyGradient


class NaturalGradient(PolicyGradient):
    """Steps of a fixed rate along F⁻¹ ∇J, by conjugate gradients: TRPO without its bound and its line search.

    The policy moves once per batch, on the first pass; further passes train the critic.
    """

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(0.01, 1, log=True),
        "kl_weight": PolicyGradient.search_space["kl_weight"],
    }

    optimiser: Literal["adamw", "sgd", "natural_gradient", "trpo"] = Field(
        "natural_gradient", description="of the policy"
    )
    epochs: int = Field(2, ge=1, description="passes over each batch")
    minibatches: int = Field(1, ge=1, description="updates per pass; divides `rollouts`")
    learning_rate: float = Field(0.1, gt=0, le=10, description="peak of the policy's; linear decay")
    clip_range: float | None = Field(None, gt=0, description="ε of the clipped surrogate; none for no clipping")
