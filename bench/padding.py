"""Rows of token ids of different lengths as one tensor, and the positions of what is no padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pad_left(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Left-padded ids and their attention mask (1 on tokens, 0 on padding), each of shape (rows, longest)."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def pad_right(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Right-padded ids and their attention mask, as `pad_left` gives them."""
    longest = max(map(len, rows))
    ids = torch.tensor([list(row) + [pad] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


def positions(mask: Tensor) -> Tensor:
    """The place of each token among those of its row that are no padding; 0 on padding. Shape as `mask`'s."""
    return (mask.cumsum(1) - 1).clamp(min=0)
