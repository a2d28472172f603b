"""Supervised fine-tuning on completions of prompts, by TRL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl import SFTConfig, SFTTrainer

from bench.models.training.trl_rows import supervised_rows

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    demonstrations: Dataset,
    arguments: dict[str, Any],
    callbacks: list[TrainerCallback],
) -> int:
    """Maximise the log-likelihood of completions given their prompts, in place; returns the tokens trained on.

    Args:
        demonstrations: columns `prompt` and `completion`; others are ignored.
        arguments: of TRL's `SFTConfig`.
    """
    trainer = SFTTrainer(
        model,
        SFTConfig(**arguments, max_length=None),
        train_dataset=supervised_rows(tokenizer, demonstrations),
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    trainer.train()
    return int(max((entry.get("num_tokens", 0) for entry in trainer.state.log_history), default=0))
