"""`trpo`: trust region policy optimisation (Schulman et al. 2015, arXiv:1502.05477)."""

from __future__ import annotations

from typing import ClassVar

from bench.contracts.search_space import Range, SearchSpace
from methods.policy_gradient.method import Optimiser, PolicyGradient, changed


class TRPO(PolicyGradient):
    """The natural gradient's direction by conjugate gradients, as far as a bound on KL(π_old ‖ π) allows.

    The policy moves once per batch, on the first pass; further passes train the critic.
    """

    search_space: ClassVar[SearchSpace] = {
        "max_step_kl": Range(0.002, 0.1, log=True),
        "kl_weight": PolicyGradient.search_space["kl_weight"],
    }

    optimiser: Optimiser = changed("optimiser", "trpo")
    minibatches: int = changed("minibatches", 1)
    clip_range: float | None = changed("clip_range", None)
