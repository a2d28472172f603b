"""A control code as a vector in embedding space, and how it disappears into the model in use."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.contracts.errors import BenchError
from methods.completion_groups.trainer import CompletionTrainer


def quantile_of(scores: Sequence[float], quantiles: int) -> list[int]:
    """For each score its quantile, 0 for the lowest: equally many scores in each, up to one."""
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.argsort(scores, kind="stable")] = np.arange(len(scores))
    return (ranks * quantiles // len(scores)).tolist()


class Controlled(nn.Module):
    """A causal language model and one vector per level, added to the embeddings of all tokens; zero at first.

    Args:
        model: trained in place.
        levels: the last is the best.
    """

    def __init__(self, model: PreTrainedModel, levels: int) -> None:
        super().__init__()
        embedding = model.get_input_embeddings()
        if type(embedding) is not nn.Embedding:
            raise BenchError(f"{type(embedding).__name__} is not a plain embedding table: no control can be folded in")
        self.model = model
        self.control = nn.Embedding(levels, embedding.embedding_dim, device=model.device, dtype=model.dtype)
        nn.init.zeros_(self.control.weight)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, levels: Tensor) -> Any:
        """The language model's output for rows (N, T) at `levels` (N)."""
        embedded = self.model.get_input_embeddings()(input_ids) + self.control(levels)[:, None]
        return self.model(inputs_embeds=embedded, attention_mask=attention_mask, use_cache=False)

    @property
    def policy(self) -> PreTrainedModel:
        """A copy of the language model that answers every prompt at the best level; also what curves measure."""
        return fold(self.model, self.control.weight[-1])


def fold(model: PreTrainedModel, vector: Tensor) -> PreTrainedModel:
    """A copy of `model` with `vector` added to each row of its input embeddings; the output layer stays as it was."""
    folded = copy.deepcopy(model)
    table, head = folded.get_input_embeddings(), folded.get_output_embeddings()
    if head.weight is table.weight:
        config = copy.deepcopy(model.config)
        config.tie_word_embeddings = False
        folded = type(model)(config).to(model.device, model.dtype)
        folded.load_state_dict(model.state_dict())
        folded.generation_config = copy.deepcopy(model.generation_config)
        table = folded.get_input_embeddings()
    with torch.no_grad():
        table.weight += vector
    return folded


class ControlledTrainer(CompletionTrainer):
    """Reads the level of a completion from its value."""

    @property
    def language_model(self) -> Any:
        """That which is controlled."""
        return self.model.model

    def logits(self, model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
        """(N, T + 1, vocabulary)."""
        output = model(inputs["input_ids"], inputs["attention_mask"], inputs["values"].long())
        return output.logits.float()
