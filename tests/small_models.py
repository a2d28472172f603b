"""Models of a few thousand parameters: with random weights, or such as have learned a little of a task."""

from __future__ import annotations

import copy

import torch
from transformers import (
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerBase,
)

from bench.contracts.stage_settings import TinyModel
from bench.contracts.task import Task
from bench.models.tiny import tiny_model
from bench.models.tokenizers import word_tokenizer

WORDS = ["good", "bad", "film", "plot", "a", "the", "not"]


def tokenizer(pad_is_eos: bool = False):
    made = word_tokenizer(WORDS)
    if pad_is_eos:
        made.pad_token = made.eos_token
    return made


def gpt2(seed: int = 0, pad_is_eos: bool = False):
    settings = TinyModel(layers=1, width=16, heads=2, context=64)
    return tiny_model(settings, tokenizer(pad_is_eos), seed).eval()


def llama(seed: int = 0, pad_is_eos: bool = False):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer()),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=1 if pad_is_eos else 0,
    )
    return LlamaForCausalLM(config).eval()


def classifier_for(model, seed: int = 1):
    """A sequence classifier with one output, of the model's kind and size."""
    config = copy.deepcopy(model.config)
    config.num_labels = 1
    torch.manual_seed(seed)
    kinds = {"gpt2": GPT2ForSequenceClassification, "llama": LlamaForSequenceClassification}
    return kinds[config.model_type](config)


def trained(task: Task, tokenizer: PreTrainedTokenizerBase, seed: int, steps: int, width: int = 32) -> GPT2LMHeadModel:
    """A small model after some steps on the task's corpus: its strings are mostly valid, and no two such are alike."""
    model = tiny_model(TinyModel(layers=1, width=width, heads=2, context=16), tokenizer, seed)
    rows = [[*row, tokenizer.eos_token_id] for row in tokenizer(task.corpus(seed))["input_ids"]]
    ids = torch.tensor([row + [0] * (6 - len(row)) for row in rows])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        batch = ids[torch.randint(len(ids), (64,), generator=generator)]
        model(input_ids=batch, labels=batch.masked_fill(batch == 0, -100)).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return model.eval()
