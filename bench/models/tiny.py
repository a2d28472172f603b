"""The `tiny` model: a small GPT-2 made here, to be pre-trained on a task's own text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
)

from bench.contracts.stage_settings import TinyModel
from bench.models.gelu import quicken

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tiny_model(settings: TinyModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> GPT2LMHeadModel:
    """An untrained GPT-2 without dropout, initialised from `seed`."""
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=settings.context,
        n_embd=settings.width,
        n_layer=settings.layers,
        n_head=settings.heads,
        initializer_range=settings.initializer_range,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
    quicken(model)
    return model
