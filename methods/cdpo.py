"""`cdpo`: conservative DPO, for pairs of which a known share is labelled the wrong way round (Mitchell 2023).

E. Mitchell, "A note on DPO with noisy preferences and relationship to IPO", 2023; trained by TRL.
"""

from __future__ import annotations

from typing import Any

from bench import Field
from methods.dpo import DPO


class CDPO(DPO):
    """DPO with smoothed labels: any pair may be labelled wrongly, with probability ε, so no margin grows for ever."""

    label_smoothing: float = Field(0.1, gt=0, lt=0.5, description="ε, the share of labels thought to be wrong")

    def loss(self) -> dict[str, Any]:
        """(1 − ε) A + ε B, with A = −log σ(βΔ) for the label as given and B = −log σ(−βΔ) for it turned round (eq. 3).

        TRL has A ("sigmoid") and Chowdhury et al.'s unbiased loss R = ((1 − ε) A − ε B) / (1 − 2ε) ("robust",
        arXiv:2403.00409), but does not smooth A itself. Solved for B, what is wanted is 2 (1 − ε) A − (1 − 2ε) R.
        """
        smoothing = self.label_smoothing
        return {
            "loss_type": ["sigmoid", "robust"],
            "loss_weights": [2 * (1 - smoothing), 2 * smoothing - 1],
            "label_smoothing": smoothing,
        }
