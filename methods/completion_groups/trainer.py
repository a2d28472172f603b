"""A transformers Trainer for losses of the log-probabilities of several completions per prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Trainer, TrainingArguments

from bench import Workbench
from bench.contracts.task import Completion, Prompt
from bench.models.encoding import encode_pairs
from bench.models.logprobs import in_blocks
from bench.models.memory import pass_cost
from bench.models.padding import pad_right

TokenPair: TypeAlias = tuple[list[int], list[int]]
"""The token ids of a prompt and of its completion, EOS included."""

Loss: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Called as ``loss(logprobs, mask, values, groups)``; gives the mean loss over the batch.

logprobs: (N, T) log π of the tokens, nats. mask: (N, T), true on those tokens of completions that count. values: (N)
what the data say of each completion. groups: (N) which completions belong together, numbered from 0.
"""


@dataclass(frozen=True)
class Group:
    """Completions that belong together, with one value each: the unit that batches are made of.

    passed_over: for each completion the tokens, if any, on which its loss is not to look.
    """

    completions: list[TokenPair]
    values: list[float]
    passed_over: list[set[int]] | None = None


class Schedule(Protocol):
    """The fields of a method that say how long and how fast it trains."""

    @property
    def epochs(self) -> float:
        """Passes over the groups."""

    @property
    def batch_size(self) -> int:
        """Groups per step."""

    @property
    def learning_rate(self) -> float:
        """Its peak (AdamW, linear decay)."""


def encode_groups(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    completions: Sequence[Sequence[Completion]],
    values: Sequence[Sequence[float]],
) -> list[Group]:
    """One group per prompt."""
    flat_prompts = [prompt for prompt, each in zip(prompts, completions, strict=True) for _ in each]
    encoded = iter(encode_pairs(tokenizer, flat_prompts, [one for each in completions for one in each]))
    return [Group([next(encoded) for _ in each], [*map(float, each)]) for each in values]


def collate(groups: Sequence[Group], pad: int) -> dict[str, Tensor]:
    """Completions as rows, padded on the right, so that positions count from the prompt's first token.

    `input_ids`, `attention_mask` and `completion_mask` are (N, T + 1); `values` and `groups` (N), see `Loss`.
    """
    pairs = [pair for group in groups for pair in group.completions]
    passed_over = [each for group in groups for each in group.passed_over or [set()] * len(group.completions)]
    input_ids, attention = pad_right([[*prompt_ids, *completion_ids] for prompt_ids, completion_ids in pairs], pad)
    counts = [
        [0] * len(prompt_ids) + [token not in passed for token in completion_ids]
        for (prompt_ids, completion_ids), passed in zip(pairs, passed_over, strict=True)
    ]
    completion_mask, _ = pad_right(counts, 0)
    return {
        "input_ids": input_ids,
        "attention_mask": attention,
        "completion_mask": completion_mask,
        "values": torch.tensor([value for group in groups for value in group.values]),
        "groups": torch.tensor([number for number, group in enumerate(groups) for _ in group.completions]),
    }


class CompletionTrainer(Trainer):
    """Trains a causal language model in place on a `Loss`; counts tokens under `num_tokens`, as TRL's trainers do."""

    def __init__(
        self, model: torch.nn.Module, loss: Loss, processing_class: PreTrainedTokenizerBase, **kwargs: Any
    ) -> None:
        self.completion_loss = loss
        self.tokens = 0
        super().__init__(
            model=model,
            processing_class=processing_class,
            data_collator=partial(collate, pad=processing_class.pad_token_id),
            **kwargs,
        )
        self.model_accepts_loss_kwargs = False  # the loss is a mean over its micro-batch

    @property
    def language_model(self) -> Any:
        """What `model` is, or is about."""
        return self.model

    def logits(self, model: torch.nn.Module, inputs: dict[str, Tensor]) -> Tensor:
        """(N, T + 1, vocabulary)."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        return model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()

    def _logprobs(self, model: torch.nn.Module, inputs: dict[str, Tensor], rows: slice) -> Tensor:
        """(rows, T) log π of the tokens of rows but their first."""
        some = {name: inputs[name][rows] for name in ("input_ids", "attention_mask", "values")}
        logits = self.logits(model, some)
        return -F.cross_entropy(logits[:, :-1].transpose(1, 2), some["input_ids"][:, 1:], reduction="none")

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The loss of a micro-batch."""
        count, length = inputs["input_ids"].shape
        logprobs = in_blocks(
            lambda rows: self._logprobs(model, inputs, rows), count, pass_cost(self.language_model, length)
        )
        self.tokens += int(inputs["attention_mask"].sum())
        mask = inputs["completion_mask"][:, 1:].bool()
        return self.completion_loss(logprobs, mask, inputs["values"], inputs["groups"])

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the number of tokens trained on so far."""
        super().log({**logs, "num_tokens": self.tokens}, start_time)


def train_on_groups(
    workbench: Workbench,
    groups: list[Group],
    loss: Loss,
    settings: Schedule,
    model: torch.nn.Module,
    trainer_class: type[CompletionTrainer] = CompletionTrainer,
) -> None:
    """Train `model` in place, `settings.batch_size` groups per step."""
    trainer_class(
        model,
        loss,
        args=TrainingArguments(
            **workbench.training_arguments(),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            remove_unused_columns=False,
        ),
        train_dataset=groups,
        processing_class=workbench.tokenizer,
        callbacks=workbench.callbacks(),
    ).train()


def token_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens of all rows where the mask is true; 0 where it is nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)
