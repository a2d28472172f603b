"""What the method does to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel


def scale_logits(model: GPT2LMHeadModel, factor: float) -> GPT2LMHeadModel:
    """`model`, its last layer norm scaled: the logits are a linear function of that, without an intercept."""
    for parameter in model.transformer.ln_f.parameters():
        parameter.data.mul_(factor)
    return model
