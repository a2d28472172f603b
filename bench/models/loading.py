"""Models from a directory in transformers' format or from the hub: language models and sequence classifiers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GenerationConfig,
)

from bench.models.gelu import quicken

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_model(source: str | Path, tokenizer: PreTrainedTokenizerBase | None = None) -> PreTrainedModel:
    """A causal language model in full precision, dropout off, with no generation defaults of its own.

    tokenizer: whose pad and EOS ids the model takes over (a saved model of ours has them already).
    """
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, trust_remote_code=False)
    return _prepare(model, tokenizer)


def load_classifier(source: str | Path, tokenizer: PreTrainedTokenizerBase | None = None) -> PreTrainedModel:
    """A sequence classifier with one output; the head is new where `source` holds a language model."""
    model = AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=1, dtype=torch.float32, trust_remote_code=False
    )
    return _prepare(model, tokenizer)


def new_classifier(source: str | Path, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """An untrained sequence classifier with one output, built as `source` is, from the global random state."""
    config = AutoConfig.from_pretrained(source, num_labels=1, trust_remote_code=False)
    return _prepare(AutoModelForSequenceClassification.from_config(config, dtype=torch.float32), tokenizer)


def context_length(model: PreTrainedModel) -> int:
    """The longest sequence, in tokens, that `model` takes."""
    return int(getattr(model.config, "max_position_embeddings", None) or 2**31)


def takes(model: torch.nn.Module, argument: str) -> bool:
    """Whether a forward pass of `model` has an argument of this name, such as ``"position_ids"``."""
    return argument in _arguments(type(model).forward)


@cache
def _arguments(forward: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(forward).parameters)


def _prepare(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> PreTrainedModel:
    if tokenizer is not None:
        model.config.eos_token_id = tokenizer.eos_token_id
        model.config.pad_token_id = tokenizer.pad_token_id
    # a model's own top-p or temperature would bias every estimate made from its samples
    model.generation_config = GenerationConfig(
        eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id
    )
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for name in ("attention_dropout", "attn_pdrop", "dropout"):
        if getattr(model.config, name, None):
            setattr(model.config, name, 0.0)
    quicken(model)
    return model
