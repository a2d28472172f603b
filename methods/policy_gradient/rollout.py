"""What policy gradients train on: completions with everything that is known of them when they are sampled."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor


def packed(prompt_ids: Tensor, prompt_mask: Tensor, completion_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that start with their prompt's first token, from prompts padded on the left: all padding is on the right,
    behind every token that counts, so that causal attention needs no mask.

    Args:
        prompt_ids, prompt_mask: (batch, prompt); completion_ids: (batch, tokens), padded on the right.

    Returns:
        input_ids (batch, prompt + tokens), and where in each row the completion starts (batch).
    """
    input_ids = torch.cat([prompt_ids, completion_ids], 1)
    starts = prompt_mask.sum(1)
    places = torch.arange(input_ids.shape[1], device=input_ids.device) + (prompt_mask.shape[1] - starts).unsqueeze(1)
    return input_ids.gather(1, places.clamp(max=input_ids.shape[1] - 1)), starts


@dataclass
class Rollouts:
    """A batch of completions, each right behind its prompt (see `packed`).

    input_ids: (batch, prompt + tokens); starts: (batch), where completions start.
    completion_ids, mask: (batch, tokens); mask is 1 up to and including the first EOS.
    logprobs: log π_old of the sampled tokens (nats); values: V_old of the state before each token; advantages: A;
        returns: the critic's targets; reference: log π0 of the tokens, where the loss needs it. Each (batch, tokens).
    """

    input_ids: Tensor
    starts: Tensor
    completion_ids: Tensor
    mask: Tensor
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    reference: Tensor | None = None

    def rows(self, rows: Tensor) -> dict[str, Tensor]:
        """The given rows as a batch, with the padding that all of them share cut off."""
        starts, lengths = self.starts[rows], self.mask[rows].sum(1)
        tokens = int(lengths.max())
        known = {name: tensor for name, tensor in vars(self).items() if tensor is not None}
        batch = {name: tensor[rows, :tokens] for name, tensor in known.items() if name not in ("input_ids", "starts")}
        return batch | {"input_ids": self.input_ids[rows, : int((starts + lengths).max())], "starts": starts}

    def save(self, file: Path) -> None:
        """Write as safetensors."""
        known = {name: tensor.contiguous() for name, tensor in vars(self).items() if tensor is not None}
        save_file(known, file)

    @classmethod
    def load(cls, file: Path, device: torch.device) -> Rollouts:
        """Read what `save` wrote."""
        return cls(**{name: tensor.to(device) for name, tensor in load_file(file).items()})


def seed_of(purpose: str, *parts: int) -> int:
    """A seed for one purpose and place, such as ("sampling", seed, rollout, process), independent of all others."""
    return int(np.random.SeedSequence([zlib.crc32(purpose.encode()), *parts]).generate_state(1)[0])


def permutation(size: int, seed: int) -> Tensor:
    """A random order of `size` things that depends on `seed` alone."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed))


@lru_cache(maxsize=2)
def _shuffled(size: int, seed: int, number: int) -> list[int]:
    return permutation(size, seed_of("prompts", seed, number)).tolist()


def prompts_at(positions: Sequence[int], size: int, seed: int) -> list[int]:
    """Which of `size` prompts stand at `positions` of an endless stream of shuffled passes over all of them."""
    return [_shuffled(size, seed, position // size)[position % size] for position in positions]


class Averages:
    """Weighted means of figures that come in pieces, kept on the device until someone asks."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add(self, weight: Tensor, **sums: Tensor) -> None:
        """Add sums over something (tokens, completions) of which there were `weight`; all are scalars."""
        for name, value in sums.items():
            piece = torch.stack([value.detach().float(), weight.float()])
            self._sums[name] = self._sums[name] + piece if name in self._sums else piece

    def flush(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """The means since the last call; `reduce` adds a tensor up over processes."""
        if not self._sums:
            return {}
        names, rows = list(self._sums), reduce(torch.stack(list(self._sums.values()))).tolist()
        self._sums = {}
        return {name: total / weight for name, (total, weight) in zip(names, rows, strict=True)}
