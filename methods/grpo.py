"""`grpo`: Group Relative Policy Optimisation (Shao et al. 2024, arXiv:2402.03300), trained by TRL."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from bench import Field, Range, SearchSpace
from methods.rloo import RLOO


class GRPO(RLOO):
    """Policy gradient without a critic: rewards are standardised within the completions of a prompt (GRPO).

    Unlike RLOO's, the KL to π0 is a term of the loss, per token, by the k3 estimator (eq. 4), and is weighed against
    rewards that have lost their scale: as a prompt's completions grow alike, the pull towards π0 weakens by comparison.
    Dividing by the group's standard deviation also favours prompts whose completions hardly differ, and the mean per
    completion favours short good ones and long bad ones (Liu et al. 2025, arXiv:2503.20783): `scale_rewards: none` and
    `loss: dr_grpo` take the two away.
    """

    search_space: ClassVar[SearchSpace] = {**RLOO.search_space, "beta": Range(0.03, 3, log=True)}

    num_generations: int = Field(8, ge=2, description="completions per prompt; divides `rollouts`")
    beta: float = Field(0.3, ge=0, description="weight of the KL to π0 in the loss; 0: no reference at all")
    loss: Literal["grpo", "dr_grpo", "bnpo", "dapo"] = Field(
        "grpo", description="how token losses are aggregated: per completion (eq. 3), by the longest possible, by batch"
    )
    scale_rewards: Literal["group", "batch", "none"] = Field(
        "group", description="whose standard deviation the advantages are divided by"
    )

    def trainer(self) -> tuple[Any, Any, dict[str, Any]]:
        """TRL's trainer, its config, and the settings that RLOO does not have."""
        from trl import GRPOConfig, GRPOTrainer

        return GRPOTrainer, GRPOConfig, {"loss_type": self.loss, "scale_rewards": self.scale_rewards}
