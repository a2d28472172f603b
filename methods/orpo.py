"""`orpo`: Odds Ratio Preference Optimisation (Hong et al. 2024, arXiv:2403.07691), trained by TRL."""

from __future__ import annotations

from typing import ClassVar

from bench import Field, Method, Policy, Range, SearchSpace, Workbench
from methods.simpo import train_without_reference


class ORPO(Method):
    """SFT on the chosen completions and a penalty on the odds of the rejected ones, in one stage from the base model.

    No reference and no SFT stage of its own: the pairs are all that it learns from. TRL takes the SFT part over
    prompt and completion, as the paper's own code does.
    """

    needs: ClassVar[set[str]] = {"preferences"}
    search_space: ClassVar[SearchSpace] = {
        "beta": Range(0.03, 3, log=True),
        "epochs": Range(1, 6, step=1),
        "learning_rate": Range(3e-5, 3e-3, log=True),
    }

    beta: float = Field(0.5, ge=0, description="weight of the odds-ratio loss (λ, eq. 6)")
    epochs: float = Field(3, gt=0, description="passes over the pairs")
    batch_size: int = Field(32, ge=1, description="pairs per step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Train from the base model: NLL of the chosen − λ log σ(log odds(y_w)/odds(y_l)), eq. 6 and 7."""
        from trl.experimental.orpo import ORPOConfig, ORPOTrainer

        return train_without_reference(
            workbench,
            workbench.base_model(),
            ORPOTrainer,
            ORPOConfig,
            {"beta": self.beta},
            {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.learning_rate},
        )
