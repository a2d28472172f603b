"""Training a language model on a loss of one's own: behind `Workbench.fit`, `logprobs` and `sample_logprobs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor
from transformers import Trainer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Rows: TypeAlias = dict[str, list[Any]]
"""A batch by column, one entry per row."""


class LossTrainer(Trainer):
    """A transformers Trainer whose loss is a function of (batch, step); the batch reaches it as it is, by column."""

    def __init__(self, model: PreTrainedModel, loss: Callable[[Rows, int], Tensor], **kwargs: Any) -> None:
        self.loss_of_batch = loss
        super().__init__(model=model, data_collator=columns, **kwargs)
        self.model_accepts_loss_kwargs = False  # the loss is a mean over its batch

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Rows,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The loss of a batch."""
        return self.loss_of_batch(inputs, self.state.global_step)

    def floating_point_ops(self, inputs: Rows) -> int:
        """Not known: what the loss does with a batch is its own affair."""
        return 0


def columns(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """Rows as one list per column."""
    return {name: [row[name] for row in rows] for name in rows[0]}
