"""A method: no training, only sharper probabilities."""

from __future__ import annotations

from typing import ClassVar

from bench import Choice, Field, Method, Policy, Workbench
from traffic_world.scaling import scale_logits


class Sharpened(Method):
    """The SFT model at a lower temperature: its logits times a factor."""

    contract: ClassVar[int] = 1
    search_space: ClassVar = {"factor": Choice(1.0, 2.0, 4.0)}
    factor: float = Field(2.0, gt=0, description="what the logits are multiplied by: 1 / temperature")

    def train(self, workbench: Workbench) -> Policy:
        """Train nothing."""
        return workbench.policy(scale_logits(workbench.sft_model(), self.factor))
