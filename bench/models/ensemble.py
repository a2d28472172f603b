"""Several reward models as one, and the loading of whatever the `reward_model` stage wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.modeling_outputs import SequenceClassifierOutput

from bench.models.loading import load_classifier

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


ENSEMBLE = "ensemble.json"


class Ensemble(torch.nn.Module):
    """Several reward models as one: the mean of their scores, or the least of them.

    The least is the worst-case optimisation of Coste et al. 2023 ("Reward model ensembles help mitigate
    overoptimization", arXiv:2310.02743, section 3.2).

    Attributes:
        members: sequence classifiers with one output, of the same tokenizer.
        shifts: (members) what is taken from each member's score before the least is chosen, see `centre`.
    """

    def __init__(self, members: Sequence[PreTrainedModel], aggregate: str = "mean") -> None:
        super().__init__()
        self.members: Any = torch.nn.ModuleList(members)
        self.aggregate = aggregate
        self.shifts = [0.0] * len(members)

    def centre(self, means: Sequence[float]) -> None:
        """Take from each member its mean score: preferences do not tell where zero is, so only then compare members."""
        self.shifts = [float(mean) for mean in means]

    @property
    def config(self) -> PreTrainedConfig:
        """The first member's."""
        return self.members[0].config

    @property
    def device(self) -> torch.device:
        """The first member's."""
        return self.members[0].device

    @property
    def dtype(self) -> torch.dtype:
        """The first member's."""
        return self.members[0].dtype

    def forward(self, **inputs: torch.Tensor) -> SequenceClassifierOutput:
        """`logits`, (texts, 1): the ensemble's scores."""
        return SequenceClassifierOutput(logits=self.together([member(**inputs).logits for member in self.members]))

    def together(self, scores: Sequence[torch.Tensor]) -> torch.Tensor:
        """The ensemble's scores from those of each member, all of one shape."""
        stacked = torch.stack([score - shift for score, shift in zip(scores, self.shifts, strict=True)])
        return stacked.mean(0) if self.aggregate == "mean" else stacked.amin(0)

    def save_pretrained(self, directory: Path) -> None:
        """One folder per member, and how they are put together."""
        for number, member in enumerate(self.members):
            member.save_pretrained(directory / f"member_{number}")
        (directory / ENSEMBLE).write_text(json.dumps({"aggregate": self.aggregate, "shifts": self.shifts}))


def load_reward_model(directory: Path, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel | Ensemble:
    """What the `reward_model` stage wrote."""
    if not (directory / ENSEMBLE).exists():
        return load_classifier(directory, tokenizer)
    how = json.loads((directory / ENSEMBLE).read_text())
    members = [load_classifier(directory / f"member_{i}", tokenizer) for i in range(len(how["shifts"]))]
    ensemble = Ensemble(members, how["aggregate"])
    ensemble.centre(how["shifts"])
    return ensemble
