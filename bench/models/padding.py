"""Rows of token ids of different lengths as one tensor, and the positions of what is no padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pad_left(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Left-padded ids and their attention mask (1 on tokens, 0 on padding), each of shape (rows, longest)."""
    lengths, longest = _lengths(rows)
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows])
    return ids, (torch.arange(longest) >= longest - lengths).long()


def pad_right(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Right-padded ids and their attention mask, as `pad_left` gives them."""
    lengths, longest = _lengths(rows)
    ids = torch.tensor([list(row) + [pad] * (longest - len(row)) for row in rows])
    return ids, (torch.arange(longest) < lengths).long()


def _lengths(rows: Sequence[Sequence[int]]) -> tuple[Tensor, int]:
    lengths = [len(row) for row in rows]
    return torch.tensor(lengths).unsqueeze(1), max(lengths)


def positions(mask: Tensor) -> Tensor:
    """The place of each token among those of its row that are no padding; 0 on padding. Shape as `mask`'s."""
    return (mask.cumsum(1) - 1).clamp(min=0)
