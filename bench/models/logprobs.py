"""Log-probabilities of given tokens under a model.

What divergence, perplexity and calibration are built on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from bench.models.memory import COPIES, SINGLE, blocks, pass_cost, state_bytes, vocabulary
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
    beside: PreTrainedModel | None = None,
) -> Iterator[Batch]:
    """Run `model` (in evaluation mode, on its own device) over prompts and completions, shortest first.

    Sequences are padded on the right: with causal attention no real token sees a padding token, and positions
    count from the first real one. A caller holds one batch of logits at a time.

    Args:
        batch_size: the most rows of a batch; there are fewer where more memory would be needed, see `bench.models.
            memory`.
        beside: another model that goes over the same completions: what is given the same pair in the other order makes
            the same batches.

    Raises:
        ValueError: an empty prompt, after which nothing predicts the first token.
    """
    if any(len(prompt) == 0 for prompt in prompt_ids):
        raise ValueError("an empty prompt: nothing predicts the completion's first token")
    model.eval()
    sequences = [[*p, *c] for p, c in zip(prompt_ids, completion_ids, strict=True)]
    order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]))  # little padding
    models = [model] if beside is None else [model, beside]
    state, logit = max(map(state_bytes, models)), COPIES * SINGLE * max(map(vocabulary, models))
    costs = [(len(sequences[row]) * state, len(completion_ids[row]) * logit) for row in order]
    for block in blocks(costs, batch_size):
        rows = order[block]
        ids, attention = pad_right([sequences[row] for row in rows], 0)
        tokens, mask = pad_right([completion_ids[row] for row in rows], 0)
        # the token at position t is predicted at t − 1; behind the end, where any index will do, rows are
        # masked
        first = torch.tensor([[len(prompt_ids[row]) - 1] for row in rows])
        places = (first + torch.arange(tokens.shape[1])).clamp(max=ids.shape[1] - 1)
        logits = logits_at(model, places, input_ids=ids, attention_mask=attention, use_cache=False)
        yield Batch(rows, logits.float(), tokens.to(model.device), mask.bool().to(model.device))


def logits_at(model: PreTrainedModel, places: Tensor, **inputs: Tensor | bool) -> Tensor:
    """The logits at some places of each row: a forward pass whose head runs there alone.

    Args:
        places: (B, L), numbers of positions; `inputs`: of a forward pass over B rows, brought to the model's device.

    Returns:
        (B, L, vocabulary). Whatever the model does to its logits (a cap, a scale) is done as it does it.
    """
    places = places.to(model.device)
    rows = torch.arange(len(places), device=model.device).unsqueeze(1)
    given = {name: each.to(model.device) if isinstance(each, Tensor) else each for name, each in inputs.items()}
    head: Any = model.get_output_embeddings()
    if head is None:
        everywhere: Tensor = model(**given).logits
        return everywhere[rows, places]
    with _before(head, lambda states: states[rows, places]):
        logits: Tensor = model(**given).logits
    return logits


@contextmanager
def _before(module: torch.nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within it, `change` is made to what the module is called with."""
    hook = module.register_forward_pre_hook(lambda _, args: (change(args[0]), *args[1:]))
    try:
        yield
    finally:
        hook.remove()


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
    attention = attention.to(model.device)
    logprobs = in_blocks(
        lambda rows: _all_logprobs(model, ids[rows], attention[rows]), len(rows), pass_cost(model, ids.shape[1])
    )
    return logprobs.masked_fill(~mask, 0.0), mask


def in_blocks(of_rows: Callable[[slice], Tensor], rows: int, cost: int) -> Tensor:
    """What `of_rows` says of all rows, of `cost` bytes each: at once, or of some at a time where that is too much.

    Then a block is run again for its gradient, so that what a gradient needs is kept of one block at a time.
    """
    parts = list(blocks([(cost,)] * rows, rows))
    if len(parts) == 1 or not torch.is_grad_enabled():
        return torch.cat([of_rows(part) for part in parts])
    return torch.cat([checkpoint(of_rows, part, use_reentrant=False) for part in parts])


def _all_logprobs(model: PreTrainedModel, ids: Tensor, attention: Tensor) -> Tensor:
    """(N, T) log π of all tokens of rows of T + 1 but their first."""
    logits = model(input_ids=ids, attention_mask=attention, use_cache=False).logits.float()
    return -F.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
