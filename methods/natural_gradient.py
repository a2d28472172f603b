"""`natural_gradient`: the policy gradient in the metric of the Fisher matrix (Kakade 2001)."""

from __future__ import annotations

from typing import ClassVar

from bench.contracts.search_space import Range, SearchSpace
from methods.policy_gradient.method import Optimiser, PolicyGradient, changed


class NaturalGradient(PolicyGradient):
    """Steps of a fixed rate along F⁻¹ ∇J, by conjugate gradients: TRPO without its bound and its line search.

    The policy moves once per batch, on the first pass; further passes train the critic.
    """

    search_space: ClassVar[SearchSpace] = {
        "learning_rate": Range(0.01, 1, log=True),
        "kl_weight": PolicyGradient.search_space["kl_weight"],
    }

    optimiser: Optimiser = changed("optimiser", "natural_gradient")
    minibatches: int = changed("minibatches", 1)
    learning_rate: float = changed("learning_rate", 0.1)
    clip_range: float | None = changed("clip_range", None)
