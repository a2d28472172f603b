"""How many rows a pass takes at once: as many as their bytes allow, whatever the vocabulary and the lengths.

A constant number of rows that is right for a small model fills a machine with a large one: 128 rows of 200 tokens, each
with its logits over 50,000 words, are 5 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

BUDGET = 512 * 2**20
"""Bytes of working memory that a pass may take, beside the parameters."""

SINGLE = 4
"""Bytes of a number in single precision, in which logits are kept whatever the model's own precision."""

COPIES = 8
"""Arrays as large as the logits, at most, while completions are scored: logits and their log-softmax, of two models,
and what is made of them."""

DRAWING = 9
"""The same, counted in single precision, while a token is drawn: logits, log-softmax, and sums in double precision."""


def blocks(costs: Sequence[Sequence[int]], most: int) -> Iterator[slice]:
    """Consecutive rows that go through a model together: within `BUDGET`, at most `most`, and never fewer than one.

    Args:
        costs: the bytes of each row, for each thing that is padded by itself: a block's rows all take as much of each
            as its dearest row.
    """
    start, dearest = 0, list[int]()
    for row, cost in enumerate(costs):
        together = [max(pair) for pair in zip(dearest, cost, strict=True)] if row > start else [*cost]
        if row > start and (row - start == most or (row + 1 - start) * sum(together) > BUDGET):
            yield slice(start, row)
            start, together = row, [*cost]
        dearest = together
    if len(costs):
        yield slice(start, len(costs))


def vocabulary(model: Any) -> int:
    """The width of a language model's logits."""
    return int(model.get_input_embeddings().weight.shape[0])


def state_bytes(model: Any) -> int:
    """What a position takes on its way through a layer, without gradients: states, attention's parts, the wide middle.

    An estimate from the configuration, which is right for transformers and near enough for others.
    """
    config = model.config.get_text_config()
    width = config.hidden_size
    return int((8 * width + 3 * (getattr(config, "intermediate_size", None) or 4 * width)) * model.dtype.itemsize)


def cache_bytes(model: Any) -> int:
    """What a position takes in the cache: the keys and values of all layers."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None) or 1
    kept = getattr(config, "num_key_value_heads", None) or heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return int(2 * config.num_hidden_layers * kept * width * model.dtype.itemsize)


def sampling_cost(model: Any, prompt: int, new: int) -> tuple[int, int]:
    """Bytes of a row that is sampled, for `blocks`: its prompt and all of its cache, and its next token's logits."""
    positions = prompt * state_bytes(model) + (prompt + new) * cache_bytes(model)
    return positions, DRAWING * SINGLE * vocabulary(model)


def pass_cost(model: Any, positions: int, predicted: int | None = None) -> int:
    """Bytes of a row on its way through a model, where a gradient is wanted with what all layers have made of it.

    Args:
        predicted: positions at which there are logits; all of them by default.
    """
    import torch

    layers = model.config.get_text_config().num_hidden_layers if torch.is_grad_enabled() else 1
    logits = COPIES * SINGLE * vocabulary(model) * (positions if predicted is None else predicted)
    return int(positions * layers * state_bytes(model) + logits)


def micro_batch(model: Any, rows: int, prompt: int, new: int) -> int:
    """Of a training step on `rows` rows, how many go through `model` at once: the most that divide them and fit."""
    cost = pass_cost(model, prompt + new, new)
    return next(size for size in range(rows, 0, -1) if rows % size == 0 and (size == 1 or size * cost <= BUDGET))
