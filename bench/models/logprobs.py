"""Log-probabilities of given tokens under a model.

What divergence, perplexity and calibration are built on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from bench.models.padding import pad_right


class Batch(NamedTuple):
    """A batch of completions, B rows of at most L tokens.

    rows: their places in the caller's order, (B,).
    logits: what predicts each completion token, float32 (B, L, vocabulary).
    tokens: the completion tokens, (B, L), 0 behind the end.
    mask: True on completion tokens, (B, L). Made from lengths, so that pad = eos makes no difference.
    """

    rows: list[int]
    logits: Tensor
    tokens: Tensor
    mask: Tensor


@torch.no_grad()
def completion_logits(
    model: PreTrainedModel,
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    batch_size: int,
) -> Iterator[Batch]:
    """Run `model` (in evaluation mode, on its own device) over prompts and completions, shortest first.

    Sequences are padded on the right: with causal attention no real token sees a padding token, and positions
    count from the first real one. A caller holds one batch of logits at a time.

    Raises:
        ValueError: an empty prompt, after which nothing predicts the first token.
    """
    if any(len(prompt) == 0 for prompt in prompt_ids):
        raise ValueError("an empty prompt: nothing predicts the completion's first token")
    model.eval()
    sequences = [[*p, *c] for p, c in zip(prompt_ids, completion_ids, strict=True)]
    order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]))  # little padding
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        ids, attention = pad_right([sequences[row] for row in rows], 0)
        tokens, mask = pad_right([completion_ids[row] for row in rows], 0)
        # the token at position t is predicted at t − 1; behind the end, where any index will do, rows are
        # masked
        first = torch.tensor([[len(prompt_ids[row]) - 1] for row in rows])
        places = (first + torch.arange(tokens.shape[1])).clamp(max=ids.shape[1] - 1)
        logits = model(input_ids=ids.to(model.device), attention_mask=attention.to(model.device)).logits
        picked = logits[torch.arange(len(rows))[:, None].to(model.device), places.to(model.device)]
        yield Batch(rows, picked.float(), tokens.to(model.device), mask.bool().to(model.device))


def token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of each token in nats: logits (…, vocabulary), tokens (…) → (…)."""
    return at_tokens(logits.log_softmax(-1), tokens)


def at_tokens(values: Tensor, tokens: Tensor) -> Tensor:
    """The entry of each token: values (…, vocabulary), tokens (…) → (…)."""
    return values.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def completion_logprobs(
    model: PreTrainedModel, prompt_ids: Sequence[Sequence[int]], completion_ids: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """log π of the tokens of completions, given what stands before them; with gradients where the model has them.

    Returns:
        (N, T) nats, 0 where no completion stands, and (N, T) true where one does. Rows start with their prompts, so
        that T is the length of the longest prompt with its completion, less one; the masks come from lengths alone,
        so that pad = eos makes no difference.

    Raises:
        ValueError: an empty prompt, after which nothing predicts the first token.
    """
    if not all(map(len, prompt_ids)):
        raise ValueError("an empty prompt: nothing predicts the completion's first token")
    rows = list(zip(prompt_ids, completion_ids, strict=True))
    ids, attention = pad_right([[*prompt, *completion] for prompt, completion in rows], 0)
    counts, _ = pad_right([[0] * len(prompt) + [1] * len(completion) for prompt, completion in rows], 0)
    ids, mask = ids.to(model.device), counts[:, 1:].bool().to(model.device)
    logits = model(input_ids=ids, attention_mask=attention.to(model.device), use_cache=False).logits.float()
    logprobs = -F.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    return logprobs.masked_fill(~mask, 0.0), mask
