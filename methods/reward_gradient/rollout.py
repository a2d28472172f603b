"""Completions of relaxed tokens: written by the policy, read by the reward model and the reference."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from bench.errors import BenchError
from methods.reward_gradient.relaxation import Estimator, relax


def embedding_table(model: Any) -> Tensor:
    """What each token is embedded as, (vocabulary, width); any scaling inside the model's embedding included."""
    embedding = model.get_input_embeddings()
    table: Tensor = embedding(torch.arange(embedding.weight.shape[0], device=embedding.weight.device))
    return table


def check_shared_vocabulary(policy: Any, reward_module: Any) -> None:
    """Raise `BenchError` unless relaxed tokens of the policy mean the same to the reward model."""
    if not hasattr(reward_module, "score"):
        raise BenchError(
            f"reward_gradient needs a causal reward model with a `score` head, not {type(reward_module).__name__}"
        )
    mine, theirs = (m.get_input_embeddings().weight.shape[0] for m in (policy, reward_module))
    if mine != theirs:
        raise BenchError(
            f"reward_gradient needs one vocabulary: the policy has {mine} tokens, the reward model {theirs}"
        )


def _forward(model: Any, attention_mask: Tensor, new: int, **inputs: Any) -> Any:
    """A forward pass over the last `new` columns of `attention_mask`, at the positions that it implies."""
    if "position_ids" in inspect.signature(model.forward).parameters:
        inputs["position_ids"] = (attention_mask.cumsum(1) - 1).clamp(min=0)[:, -new:]
    return model(attention_mask=attention_mask, **inputs)


def _longer(mask: Tensor, tokens: int) -> Tensor:
    return torch.cat([mask, mask.new_ones(len(mask), tokens)], 1)


def write(
    policy: Any,
    prompt_ids: Tensor,
    prompt_mask: Tensor,
    tokens: int,
    estimator: Estimator,
    temperature: float,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Let the policy continue prompts freely with relaxed tokens, each embedded to give the next.

    Args:
        prompt_ids, prompt_mask: left-padded, (batch, prompt).

    Returns:
        Relaxed tokens and the logits that they were made of, each (batch, tokens, vocabulary). The graph runs through
        the whole completion: key-value caches are concatenated, never written into.
    """
    table = embedding_table(policy)
    output = _forward(policy, prompt_mask, prompt_ids.shape[1], input_ids=prompt_ids, use_cache=True)
    vectors, logits = [], []
    for step in range(tokens):
        logits.append(output.logits[:, -1])
        vectors.append(relax(logits[-1], estimator, temperature, generator))
        if step + 1 < tokens:
            output = _forward(
                policy,
                _longer(prompt_mask, step + 1),
                1,
                inputs_embeds=(vectors[-1] @ table).unsqueeze(1),
                past_key_values=output.past_key_values,
                use_cache=True,
            )
    return torch.stack(vectors, 1), torch.stack(logits, 1)


def score_every_end(module: Any, prompt_ids: Tensor, prompt_mask: Tensor, vectors: Tensor) -> Tensor:
    """The reward model's score of the completion as if it ended at each step, and, last, if it never did.

    One causal pass scores all prefixes. On one-hot tokens each score is the one that `bench.reward.RewardModel` gives
    the text: it is read at EOS (appended where the completion has none), or before it where EOS pads as well.

    Args:
        module: a causal sequence classifier with one output.
        vectors: (batch, tokens, vocabulary).

    Returns:
        (batch, tokens + 1).
    """
    table, eos, tokens = embedding_table(module), module.config.eos_token_id, vectors.shape[1]
    parts = [table[prompt_ids], vectors @ table]
    reads_eos = module.config.pad_token_id != eos
    if reads_eos:
        parts.append(table[eos].expand(len(vectors), 1, -1))
    embeds = torch.cat(parts, 1)
    mask = _longer(prompt_mask, embeds.shape[1] - prompt_mask.shape[1])
    hidden = _forward(module.base_model, mask, mask.shape[1], inputs_embeds=embeds, use_cache=False).last_hidden_state
    scores: Tensor = module.score(hidden[:, -tokens - 1 :]).squeeze(-1)
    return scores


def reference_logits(reference: Any, prompt_ids: Tensor, prompt_mask: Tensor, vectors: Tensor) -> Tensor:
    """The reference's next-token logits at every step of a relaxed completion, (batch, tokens, vocabulary)."""
    table = embedding_table(reference)
    embeds = torch.cat([table[prompt_ids], vectors[:, :-1] @ table], 1)
    mask = _longer(prompt_mask, vectors.shape[1] - 1)
    output = _forward(reference, mask, mask.shape[1], inputs_embeds=embeds, use_cache=False)
    logits: Tensor = output.logits[:, -vectors.shape[1] :]
    return logits
