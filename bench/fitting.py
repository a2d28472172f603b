"""Training a language model on a loss of one's own: behind `Workbench.fit`, `logprobs` and `sample_logprobs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Trainer

from bench.padding import pad_right

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Rows: TypeAlias = dict[str, list[Any]]
"""A batch by column, one entry per row."""


def token_logprobs(
    model: PreTrainedModel, prompt_ids: Sequence[Sequence[int]], completion_ids: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """log π of the tokens of completions, given what stands before them; with gradients where the model has them.

    Returns:
        (N, T) nats, 0 where no completion stands, and (N, T) true where one does. Rows start with their prompts, so
        that T is the length of the longest prompt with its completion, less one; the masks come from lengths alone,
        so that pad = eos makes no difference.

    Raises:
        ValueError: an empty prompt, after which nothing predicts the first token.
    """
    if not all(map(len, prompt_ids)):
        raise ValueError("an empty prompt: nothing predicts the completion's first token")
    rows = list(zip(prompt_ids, completion_ids, strict=True))
    ids, attention = pad_right([[*head, *tail] for head, tail in rows], 0)
    counts, _ = pad_right([[0] * len(head) + [1] * len(tail) for head, tail in rows], 0)
    ids, mask = ids.to(model.device), counts[:, 1:].bool().to(model.device)
    logits = model(input_ids=ids, attention_mask=attention.to(model.device), use_cache=False).logits.float()
    logprobs = -F.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    return logprobs.masked_fill(~mask, 0.0), mask


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
