"""Sampling from a causal language model at a given temperature, with nothing cut off the distribution.

A loop of its own rather than `model.generate`, which spends much of its time on options that are off here, and a cache
whose room is known beforehand, so that nothing is copied at every token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from bench.models.loading import takes
from bench.models.padding import positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def generate(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample from `model` with no truncation (no top-k, no top-p), from the global random state.

    Args:
        input_ids, attention_mask: left-padded prompts, shape (batch, prompt length).

    Returns:
        tokens (batch, new), mask (batch, new; 1 up to and including the first of `ending_ids`), and the
        log-probabilities of the sampled tokens under the tempered model (batch, new; nats; 0 where the mask is 0).
        `new` is the length of the longest completion.
    """
    with torch.inference_mode():
        tokens, mask, logprobs = _generate(model, input_ids, attention_mask, max_new_tokens, temperature)
    return tokens.clone(), mask.clone(), logprobs.clone()  # autograd may keep copies, not what inference made


def ending_ids(model: PreTrainedModel) -> list[int]:
    """The ids that end a completion of `model`: its EOS, and what else its generation settings declare as one."""
    declared = [model.config.eos_token_id, model.generation_config.eos_token_id if model.generation_config else None]
    ids = [i for each in declared if each is not None for i in (each if isinstance(each, list) else [each])]
    return list(dict.fromkeys(ids))


def _generate(
    model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, max_new_tokens: int, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    pad, stops = model.config.pad_token_id, torch.tensor(ending_ids(model), device=input_ids.device)
    was_training = model.training
    model.eval()
    inputs = _Inputs(model, input_ids, attention_mask, max_new_tokens)
    going = torch.ones(len(input_ids), dtype=torch.bool, device=input_ids.device)
    tokens: list[Tensor] = []
    masks: list[Tensor] = []
    logprobs: list[Tensor] = []
    for _ in range(max_new_tokens):
        logits = model(**inputs.next(tokens[-1] if tokens else None)).logits[:, -1].float()
        step = (logits / temperature if temperature != 1 else logits).log_softmax(-1)
        token = torch.where(going, draw(step), pad)
        masks.append(going)
        logprobs.append(step.gather(-1, token.unsqueeze(-1)).squeeze(-1).masked_fill(~going, 0.0))
        tokens.append(token)
        going = going & ~torch.isin(token, stops)
        if not bool(going.any()):
            break
    model.train(was_training)
    return torch.stack(tokens, 1), torch.stack(masks, 1).long(), torch.stack(logprobs, 1)


def draw(logprobs: Tensor) -> Tensor:
    """One token per row by inverting the distribution function: (batch, vocabulary) → (batch).

    One uniform number per row, where `torch.multinomial` draws one per token of the vocabulary.
    """
    cumulative = logprobs.exp().double().cumsum(-1)
    uniform = torch.rand((len(logprobs), 1), dtype=torch.float64, device=logprobs.device)
    # the first token whose sum is above u · total: never one of probability 0, as u is below 1
    return torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True).squeeze(-1)


class _Inputs:
    """What the model is called with: first the prompts, then token after token."""

    def __init__(self, model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, new: int) -> None:
        self.mask = torch.cat([attention_mask, attention_mask.new_ones(len(input_ids), new)], 1)
        self.positions = positions(self.mask) if takes(model, "position_ids") else None
        self.always: dict[str, Any] = {"use_cache": True, "past_key_values": _cache(model, self.mask.shape[1])}
        if takes(model, "logits_to_keep"):
            self.always["logits_to_keep"] = 1
        self.prompt, self.length = input_ids, 0

    def next(self, token: Tensor | None) -> dict[str, Any]:
        """Keyword arguments of the next forward pass."""
        ids = self.prompt if token is None else token.unsqueeze(1)
        start, self.length = self.length, self.length + ids.shape[1]
        inputs = self.always | {"input_ids": ids, "attention_mask": self.mask[:, : self.length]}
        if self.positions is not None:
            inputs["position_ids"] = self.positions[:, start : self.length]
        return inputs


def _cache(model: PreTrainedModel, room: int) -> DynamicCache:
    """The model's own kind of cache, with `room` made beforehand in layers that attend to everything."""
    cache = DynamicCache(config=model.config)
    cache.layers = [_Roomy(room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class _Roomy(DynamicLayer):
    """Keys and values in a buffer of known length: written in place, where the parent copies all at every token."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make the buffers."""
        super().lazy_initialization(key_states, value_states)
        self._keys, self._values = (
            states.new_empty(*states.shape[:2], self.room, states.shape[3]) for states in (key_states, value_states)
        )

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append; returns everything so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        self._keys[:, :, start:end] = key_states
        self._values[:, :, start:end] = value_states
        self.keys, self.values = self._keys[:, :, :end], self._values[:, :, :end]
        return self.keys, self.values
