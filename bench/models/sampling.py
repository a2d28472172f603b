"""Sampling from a causal language model at a given temperature, with nothing cut off the distribution.

A loop of its own rather than `model.generate`, which spends much of its time on options that are off here, and a cache
whose room is known beforehand, so that nothing is copied at every token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from bench.models.loading import takes
from bench.models.logprobs import logits_at
from bench.models.memory import blocks, sampling_cost
from bench.models.padding import positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WITHOUT_CACHE = "sampled_without_cache"
"""An entry of a model's configuration: true where its cache is not to be relied on."""

KEY_VALUES, STATE = "past_key_values", "cache_params"
"""The arguments by which models take what they have read: keys and values, or a recurrent state (Mamba)."""


def generate(
    model: PreTrainedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample from `model` with no truncation (no top-k, no top-p), from the global random state.

    Args:
        input_ids, attention_mask: left-padded prompts, shape (batch, prompt length); memory may have them sampled in
            several blocks, see `bench.models.memory`.

    Returns:
        tokens (batch, new), mask (batch, new; 1 up to and including the first of `ending_ids`), and the
        log-probabilities of the sampled tokens under the tempered model (batch, new; nats; 0 where the mask is 0).
        `new` is the length of the longest completion.
    """
    cost = sampling_cost(model, input_ids.shape[1], max_new_tokens)
    with torch.inference_mode():
        parts = [
            _generate(model, input_ids[rows], attention_mask[rows], max_new_tokens, temperature)
            for rows in blocks([cost] * len(input_ids), len(input_ids))
        ]
    longest = max(part[0].shape[1] for part in parts)
    fills = (model.config.pad_token_id, 0, 0.0)
    padded = [
        [F.pad(each, (0, longest - each.shape[1]), value=fill) for each in column]
        for column, fill in zip(zip(*parts, strict=True), fills, strict=True)
    ]
    tokens, mask, logprobs = map(torch.cat, padded)
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
    source = _Cached if cached(model) else _Whole
    states = source(model, input_ids, attention_mask, max_new_tokens)
    going = torch.ones(len(input_ids), dtype=torch.bool, device=input_ids.device)
    tokens: list[Tensor] = []
    masks: list[Tensor] = []
    logprobs: list[Tensor] = []
    for _ in range(max_new_tokens):
        logits = states.next_logits(tokens[-1] if tokens else None).float()
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


class _Cached:
    """Logits of the next token by a cache: the model reads the prompts, then token after token."""

    def __init__(self, model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, new: int) -> None:
        self.model = model
        self.mask = torch.cat([attention_mask, attention_mask.new_ones(len(input_ids), new)], 1)
        self.positions = positions(self.mask) if takes(model, "position_ids") else None
        self.always: dict[str, Any] = {"use_cache": True}
        self.key_values = takes(model, KEY_VALUES)
        if self.key_values:
            self.always[KEY_VALUES] = _cache(model, self.mask.shape[1])
        if takes(model, "logits_to_keep"):
            self.always["logits_to_keep"] = 1
        if takes(model, "output_router_logits"):  # which TRL switches on, for a loss that has no meaning here
            self.always["output_router_logits"] = False
        self.prompt, self.length = input_ids, 0

    def next_logits(self, token: Tensor | None) -> Tensor:
        """(batch, vocabulary), after the prompts or after `token`, (batch), behind what has been read."""
        ids = self.prompt if token is None else token.unsqueeze(1)
        start, self.length = self.length, self.length + ids.shape[1]
        # keys and values of padding are kept, and masked; a recurrent state has never seen it
        mask = self.mask[:, : self.length] if self.key_values else self.mask[:, start : self.length]
        inputs = self.always | {"input_ids": ids, "attention_mask": mask}
        if self.positions is not None:
            inputs["position_ids"] = self.positions[:, start : self.length]
        output = self.model(**inputs)
        if not self.key_values:
            self.always[STATE] = getattr(output, STATE)
        logits: Tensor = output.logits[:, -1]
        return logits


class _Whole:
    """Logits of the next token without a cache: the model reads everything again for every token.

    Rows are padded on the right, behind all that counts, as where completions are scored.
    """

    def __init__(self, model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, new: int) -> None:
        self.model, self.ends = model, attention_mask.sum(1, keepdim=True)
        self.ids = input_ids.new_full((len(input_ids), input_ids.shape[1] + new), model.config.pad_token_id)
        for row, (ids, mask) in enumerate(zip(input_ids, attention_mask.bool(), strict=True)):
            self.ids[row, : int(mask.sum())] = ids[mask]

    def next_logits(self, token: Tensor | None) -> Tensor:
        """As `_Cached.next_logits`."""
        if token is not None:
            self.ids.scatter_(1, self.ends, token.unsqueeze(1))
            self.ends = self.ends + 1
        read = int(self.ends.max())
        mask = (torch.arange(read, device=self.ids.device) < self.ends).long()
        ids = self.ids[:, :read]
        return logits_at(self.model, self.ends - 1, input_ids=ids, attention_mask=mask, use_cache=False)[:, 0]


def cached(model: PreTrainedModel) -> bool:
    """Whether `model` is sampled with a cache: not one that has none, nor one that is known to say something else with
    it than without, see `bench.models.self_check`."""
    return has_key_values(model) or (takes(model, STATE) and not _without(model))


def has_key_values(model: PreTrainedModel) -> bool:
    """Whether what `model` has read is kept as keys and values, so that rows of a cache can be copied and cut."""
    return takes(model, KEY_VALUES) and not _without(model)


def _without(model: PreTrainedModel) -> bool:
    return bool(getattr(model.config, WITHOUT_CACHE, False))


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
