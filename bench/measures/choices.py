"""What a model answers to multiple-choice questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.contracts import Probe
from bench.measures.scoring import completion_logits, token_logprobs

Array = NDArray[np.float64]


def choice_probabilities(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, probes: Sequence[Probe], batch_size: int
) -> list[Array]:
    """The model's probability of each choice, one array of shape (choices,) per probe, each summing to 1.

    A choice's weight is the product of its tokens' probabilities given the query, EOS not included,
    normalised over the choices. No length normalisation: longer choices have less weight, as they have in the
    model. Where every choice is one token, each distinct query runs once.
    """
    heads = _encode_each(tokenizer, {probe.query for probe in probes})
    texts = {probe.query + choice for probe in probes for choice in probe.choices}
    wholes = _encode_each(tokenizer, texts)
    split = [[_split(heads[p.query], wholes[p.query + choice]) for choice in p.choices] for p in probes]

    # the choices asked for after each context; where all are one token, one run of it serves them all
    wanted: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for context, choice in {pair for row in split for pair in row}:
        wanted.setdefault(context, []).append(choice)
    logp: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}

    single = [context for context, choices in wanted.items() if all(len(c) == 1 for c in choices)]
    for batch in completion_logits(model, single, [(0,)] * len(single), batch_size):
        contexts = [single[row] for row in batch.rows]
        pairs = [(i, context, c) for i, context in enumerate(contexts) for c in wanted[context]]
        rows, tokens = [i for i, _, _ in pairs], [c[0] for _, _, c in pairs]
        values = batch.logits[:, 0].log_softmax(-1)[rows, tokens].tolist()
        logp.update(zip([(context, c) for _, context, c in pairs], values, strict=True))

    rest = [(context, c) for context in wanted.keys() - set(single) for c in wanted[context]]
    for batch in completion_logits(model, [x for x, _ in rest], [c for _, c in rest], batch_size):
        sums = token_logprobs(batch.logits, batch.tokens).double().masked_fill(~batch.mask, 0.0).sum(1)
        logp.update(zip([rest[row] for row in batch.rows], sums.tolist(), strict=True))

    return [softmax(np.array([logp[pair] for pair in row])) for row in split]


def _encode_each(tokenizer: PreTrainedTokenizerBase, texts: set[str]) -> dict[str, tuple[int, ...]]:
    ordered = sorted(texts)
    encoded = tokenizer(ordered)["input_ids"]
    eos = tokenizer.eos_token_id  # some tokenizers end every text in it
    return {t: tuple(ids[:-1] if ids[-1] == eos else ids) for t, ids in zip(ordered, encoded, strict=True)}


def _split(head: tuple[int, ...], whole: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The choice starts where the tokens of query and whole diverge, as in `bench.encoding`."""
    start = next((i for i, (a, b) in enumerate(zip(head, whole, strict=False)) if a != b), len(head))
    if start >= len(whole):
        raise ValueError("a choice adds no token to its query")
    return whole[:start], whole[start:]
