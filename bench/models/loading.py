"""Models from a directory in transformers' format or from the hub: language models and sequence classifiers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GenerationConfig,
)

from bench.contracts.errors import BenchError
from bench.models.ends import stop_ids
from bench.models.gelu import quicken
from bench.models.score_head import ensure_classifier
from bench.models.weights_on_disk import encoder_decoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BUFFERS = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")
"""Endings of what older releases saved and newer ones compute: masks and frequencies, no weights."""


def load_model(source: str | Path, tokenizer: PreTrainedTokenizerBase | None = None) -> PreTrainedModel:
    """A causal language model in full precision, dropout off, with no generation defaults of its own.

    tokenizer: whose pad and EOS ids the model takes over (a saved model of ours has them already).

    Raises:
        BenchError: `source` holds no such model, or not all of its weights, or others besides.
    """
    return _prepare(_whole(AutoModelForCausalLM, source), tokenizer)


def load_classifier(source: str | Path, tokenizer: PreTrainedTokenizerBase | None = None) -> PreTrainedModel:
    """A sequence classifier with one output; the head is new where `source` holds a language model.

    Raises:
        BenchError: as `load_model` does.
    """
    return _read_at_eos(_prepare(_whole(AutoModelForSequenceClassification, source, num_labels=1), tokenizer))


def load_judge(source: str | Path) -> PreTrainedModel:
    """A sequence classifier as somebody trained it, its head included. Raises as `load_model` does."""
    return _whole(AutoModelForSequenceClassification, source, new_head=False)


def new_classifier(source: str | Path, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """An untrained sequence classifier with one output, built as `source` is, from the global random state."""
    config = AutoConfig.from_pretrained(source, num_labels=1, trust_remote_code=False)
    ensure_classifier(config)
    new = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    return _read_at_eos(_prepare(new, tokenizer))


def context_length(model: PreTrainedModel) -> int:
    """The longest sequence, in tokens, that `model` takes."""
    return int(getattr(model.config, "max_position_embeddings", None) or 2**31)


def takes(model: torch.nn.Module, argument: str) -> bool:
    """Whether a forward pass of `model` has an argument of this name, such as ``"position_ids"``."""
    return argument in _arguments(type(model).forward)


@cache
def _arguments(forward: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(forward).parameters)


def _whole(kind: Any, source: str | Path, new_head: bool = True, **settings: Any) -> PreTrainedModel:
    """A model of `kind`, all of whose weights were read; a classifier's head may be new if `source` has another head.

    Transformers fills what is missing with random numbers, and leaves out what it has no place for.
    """
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        if kind is AutoModelForSequenceClassification:
            ensure_classifier(config)
        elif config.is_encoder_decoder:
            raise BenchError(encoder_decoder(source, config.model_type))
        model, found = kind.from_pretrained(
            source,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,  # a pickle runs code when it is read
            ignore_mismatched_sizes=True,  # to be told of them
            output_loading_info=True,
            **settings,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise BenchError(f"no model can be read from {source}: {' '.join(str(error).split())[:500]}") from None
    missing, unexpected = set(found["missing_keys"]), set(found["unexpected_keys"])
    unexpected = {name for name in unexpected if not name.endswith(_BUFFERS)}
    trained_as = getattr(config, "architectures", None) or [""]
    if kind is AutoModelForSequenceClassification and new_head and "Classification" not in trained_as[0]:
        body = f"{model.base_model_prefix}."
        missing = {name for name in missing if name.startswith(body)}
        unexpected = {name for name in unexpected if name.startswith(body)}
    for names, fault in (
        (missing, "are missing"),
        ({each[0] for each in found["mismatched_keys"]}, "have another shape than config.json says"),
        (unexpected, f"have no place in {type(model).__name__}"),
    ):
        if names:
            raise BenchError(f"the model in {source} is not whole: {len(names)} weights {fault}, such as {min(names)}")
    return model


def _read_at_eos(classifier: PreTrainedModel) -> PreTrainedModel:
    """The score is read at the last token that is not the padding token: before EOS, where that is what pads.

    There, whatever the attention mask leaves out becomes another token to the classifier.
    """
    if classifier.config.pad_token_id == classifier.config.eos_token_id:
        classifier.config.pad_token_id = _other_than(classifier.config.eos_token_id)
        classifier.register_forward_pre_hook(_pad_by_the_mask, with_kwargs=True)
    return classifier


def _other_than(token: int) -> int:
    return 0 if token else 1


def _pad_by_the_mask(module: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    # every trainer sets the tokenizer's padding again
    module.config.pad_token_id = _other_than(module.config.eos_token_id)
    ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
    if ids is not None and mask is not None:
        inputs["input_ids"] = ids.masked_fill(mask == 0, module.config.pad_token_id)
    return args, inputs


def _prepare(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> PreTrainedModel:
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None) or model.config.eos_token_id
    if tokenizer is not None:
        model.config.eos_token_id = tokenizer.eos_token_id
        model.config.pad_token_id = tokenizer.pad_token_id
        several = stop_ids(tokenizer)
        ends = several if len(several) > 1 else several[0]
    model.get_input_embeddings().padding_idx = None  # its row is not learned: an EOS that pads would stay as it is
    # a model's own top-p or temperature would bias every estimate made from its samples
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=model.config.pad_token_id)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for name in ("attention_dropout", "attn_pdrop", "dropout"):
        if getattr(model.config, name, None):
            setattr(model.config, name, 0.0)
    quicken(model)
    return model
