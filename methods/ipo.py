"""`ipo`: Identity Preference Optimisation (Azar et al. 2023, arXiv:2310.12036), trained by TRL."""

from __future__ import annotations

from typing import Any, ClassVar

from bench import Field, Range, SearchSpace
from methods.dpo import DPO


class IPO(DPO):
    """DPO with a squared loss, whose optimum stays near π0 even where every pair always has the same winner.

    TRL takes the mean of log π/π0 over a completion's tokens where eq. 17 has their sum, as IPO's authors did
    in their experiments: β is therefore a target per token, 1/(2β), and not to be compared with DPO's.
    """

    search_space: ClassVar[SearchSpace] = {**DPO.search_space, "beta": Range(0.1, 10, log=True)}

    beta: float = Field(
        1.0, gt=0, description="regularisation (τ of eq. 17): the margin sought is 1/(2β) nats per token"
    )

    def loss(self) -> dict[str, Any]:
        """See `DPO.loss`."""
        # (Δ − 1/(2β))², Azar et al. 2023, eq. 17, with Δ per token
        return {"loss_type": "ipo"}
