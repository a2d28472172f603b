"""Ordinal regression with one score and a threshold per step of the scale.

CORAL (Cao, Mirjalili and Raschka 2020, arXiv:1901.07884): P(rating > k) = σ(g(x) + b_k) for k = 1 … K − 1, the
cumulative-link model of McCullagh 1980, fitted as K − 1 binary tasks that share g. It supposes neither that the steps
of the scale are equally wide, as plain regression does, nor that they have no order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

from bench.models.encoding import encode_sequences
from bench.models.padding import pad_right
from bench.models.training.callbacks import FiniteCallback

if TYPE_CHECKING:
    from datasets import Dataset

LEVELS = 5


class CORAL(nn.Module):
    """A sequence classifier with one output g, and the K − 1 thresholds b.

    Args:
        module: a transformers sequence classifier, ``num_labels=1``; trained in place.
        thresholds: (K − 1) where b starts.
    """

    def __init__(self, module: PreTrainedModel, thresholds: Tensor) -> None:
        super().__init__()
        self.module = module
        self.thresholds = nn.Parameter(thresholds.clone())

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """`loss`, the mean over a batch of texts (N, T) with ratings `labels` (N)."""
        g = self.module(input_ids=input_ids, attention_mask=attention_mask).logits.float()
        return {"loss": ordinal_loss(g + self.thresholds, labels)}


def ordinal_loss(logits: Tensor, ratings: Tensor) -> Tensor:
    """−Σ_k [y_k log σ(g + b_k) + (1 − y_k) log(1 − σ(g + b_k))], y_k = 1 where rating > k (eq. 4, all weights 1).

    Args:
        logits: (N, K − 1) g + b_k.
        ratings: (N) 1 … K.
    """
    above = ratings[:, None] > torch.arange(1, logits.shape[1] + 1, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits, above.float(), reduction="none").sum(1).mean()


def starting_thresholds(ratings: Tensor) -> Tensor:
    """(K − 1) the log odds of a rating above k among `ratings`, with half a rating more on either side."""
    above = (ratings[:, None] > torch.arange(1, LEVELS)).float().sum(0)
    return ((above + 0.5) / (len(ratings) - above + 0.5)).log()


def train_on_ratings(
    module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ratings: Dataset, arguments: dict[str, Any]
) -> int:
    """Fit `module` in place; returns the tokens trained on.

    Args:
        ratings: columns `prompt`, `completion`, `score` (1 … 5).
        arguments: of `TrainingArguments`.
    """
    scores = torch.tensor(list(ratings["score"]))
    texts = encode_sequences(tokenizer, list(ratings["prompt"]), list(ratings["completion"]))
    rows = list(zip(texts, scores.tolist(), strict=True))

    def collate(batch: list[tuple[list[int], int]]) -> dict[str, Tensor]:
        ids, mask = pad_right([row for row, _ in batch], tokenizer.pad_token_id)
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([score for _, score in batch])}

    trainer = Trainer(
        CORAL(module, starting_thresholds(scores)),
        TrainingArguments(**arguments, remove_unused_columns=False),
        train_dataset=rows,
        data_collator=collate,
        callbacks=[FiniteCallback()],
    )
    trainer.train()
    return round(sum(len(ids) for ids, _ in rows) * trainer.state.epoch)
