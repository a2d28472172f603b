"""Small models that have learned a little of a task, for tests that need more than random weights."""

from __future__ import annotations

import torch
from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase

from bench.contracts import Task
from bench.models import tiny_model
from bench.settings import TinyModel


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
