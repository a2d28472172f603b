"""Completions of relaxed tokens: written by the policy, read by the reward model and the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from bench.contracts.errors import BenchError
from bench.models.loading import takes
from bench.models.padding import positions
from bench.models.sampling import ending_ids, has_key_values
from methods.reward_gradient.relaxation import survival

Relaxation: TypeAlias = Callable[[Tensor], Tensor]
"""Next-token logits → relaxed tokens, both (…, vocabulary): `methods.reward_gradient.relaxation.relax`, set."""


@dataclass
class Rollout:
    """A batch of relaxed completions of T steps.

    vectors: relaxed tokens x_t, (batch, T, vocabulary).
    logits: what they were made of, (batch, T, vocabulary).
    read: what the steps were written after, each behind the one before: `vectors` themselves, or the ids of the
        forced tokens, (batch, T). The last of them has been read by nobody.
    going: the weight of each step in the KL, (batch, T): how much of the completion is still going before it.
    """

    vectors: Tensor
    logits: Tensor
    read: Tensor
    going: Tensor


def check_shared_vocabulary(policy: Any, reward_module: Any) -> None:
    """Raise `BenchError` unless relaxed tokens of the policy mean the same to the reward model."""
    if not hasattr(reward_module, "score"):
        raise BenchError(
            f"reward_gradient needs a causal reward model with a `score` head, not {type(reward_module).__name__}"
        )
    policy_tokens, reward_tokens = (m.get_input_embeddings().weight.shape[0] for m in (policy, reward_module))
    if policy_tokens != reward_tokens:
        raise BenchError(
            f"reward_gradient needs one vocabulary: the policy has {policy_tokens} tokens, "
            f"the reward model {reward_tokens}"
        )


def embedding_table(model: Any) -> Tensor:
    """What each token is embedded as, (vocabulary, width); any scaling inside the model's embedding included."""
    embedding = model.get_input_embeddings()
    table: Tensor = embedding(torch.arange(embedding.weight.shape[0], device=embedding.weight.device))
    return table


def _embed(table: Tensor, tokens: Tensor) -> Tensor:
    """Ids or relaxed tokens, (batch, T) or (batch, T, vocabulary), as a model reads them: (batch, T, width)."""
    return tokens @ table if tokens.is_floating_point() else table[tokens]


def _forward(model: Any, attention_mask: Tensor, new: int, **inputs: Any) -> Any:
    """A forward pass over the last `new` columns of `attention_mask`, at the positions that it implies."""
    if takes(model, "position_ids"):
        inputs["position_ids"] = positions(attention_mask)[:, -new:]
    return model(attention_mask=attention_mask, **inputs)


def _longer(mask: Tensor, tokens: int) -> Tensor:
    return torch.cat([mask, mask.new_ones(len(mask), tokens)], 1)


def write(
    policy: Any,
    prompt_ids: Tensor,
    prompt_mask: Tensor,
    tokens: int,
    relaxation: Relaxation,
) -> Rollout:
    """Free running: the policy continues prompts with relaxed tokens, each embedded to give the next.

    The graph runs through the whole completion: key-value caches are concatenated, never written into.

    Args:
        prompt_ids, prompt_mask: left-padded, (batch, prompt).
        tokens: T.
        relaxation: next-token logits → relaxed tokens.

    Raises:
        BenchError: the policy has no such cache.
    """
    if not has_key_values(policy):
        raise BenchError(
            f"reward_gradient writes with a key–value cache, and {type(policy).__name__} keeps none: "
            "set rollout to teacher_forced"
        )
    table = embedding_table(policy)
    output = _forward(policy, prompt_mask, prompt_ids.shape[1], input_ids=prompt_ids, use_cache=True)
    steps, logits = [], []
    for step in range(tokens):
        logits.append(output.logits[:, -1])
        steps.append(relaxation(logits[-1]))
        if step + 1 < tokens:
            output = _forward(
                policy,
                _longer(prompt_mask, step + 1),
                1,
                inputs_embeds=(steps[-1] @ table).unsqueeze(1),
                past_key_values=output.past_key_values,
                use_cache=True,
            )
    read = torch.stack(steps, 1)
    vectors = with_one_end(read, ending_ids(policy))
    going = survival(vectors[..., policy.config.eos_token_id])[:, :-1]
    return Rollout(vectors, torch.stack(logits, 1), read, going)


def with_one_end(vectors: Tensor, ends: list[int]) -> Tensor:
    """The same relaxed tokens, (…, vocabulary), where all that ends a completion counts as the first of `ends`, EOS.

    So the reward model reads an EOS at the end, as it does in text, whichever token of several the policy ends with.
    """
    if len(ends) == 1:
        return vectors
    others = torch.zeros_like(vectors[0, 0])
    others[ends[1:]] = 1
    eos = torch.zeros_like(others)
    eos[ends[0]] = 1
    return vectors * (1 - others) + (vectors @ others).unsqueeze(-1) * eos


def force(
    policy: Any,
    prompt_ids: Tensor,
    prompt_mask: Tensor,
    forced_ids: Tensor,
    forced_mask: Tensor,
    relaxation: Relaxation,
) -> Rollout:
    """Teacher-forced: one pass over given tokens relaxes the next token at every position at once.

    The policy reads the given tokens and nothing of its own, so a relaxed token depends on the weights through its
    own logits alone. What follows the end of the given text is EOS, without a gradient: a relaxed completion ends
    there at the latest.

    Args:
        prompt_ids, prompt_mask: left-padded, (batch, prompt).
        forced_ids, forced_mask: right-padded, (batch, T); the mask is 1 up to and including the first EOS.
    """
    logits = next_logits(policy, prompt_ids, prompt_mask, forced_ids)
    end = torch.zeros_like(logits[0, 0])
    end[policy.config.eos_token_id] = 1
    relaxed = with_one_end(relaxation(logits), ending_ids(policy))
    vectors = torch.where(forced_mask.bool().unsqueeze(-1), relaxed, end)
    return Rollout(vectors, logits, forced_ids, forced_mask.to(logits.dtype))


def next_logits(model: Any, prompt_ids: Tensor, prompt_mask: Tensor, read: Tensor) -> Tensor:
    """A model's next-token logits before each of `read`, ids or relaxed tokens: (batch, T, vocabulary)."""
    table = embedding_table(model)
    embeds = torch.cat([table[prompt_ids], _embed(table, read[:, :-1])], 1)
    mask = _longer(prompt_mask, read.shape[1] - 1)
    output = _forward(model, mask, mask.shape[1], inputs_embeds=embeds, use_cache=False)
    logits: Tensor = output.logits[:, -read.shape[1] :]
    return logits


def score_every_end(module: Any, prompt_ids: Tensor, prompt_mask: Tensor, vectors: Tensor) -> Tensor:
    """The reward model's score of the completion as if it ended at each step, and, last, if it never did.

    One causal pass scores all prefixes. On one-hot tokens each score is the one that `learned_reward.RewardModel` gives
    the text: it is read at EOS (appended where the completion has none), or before it where EOS pads as well.

    Args:
        module: a causal sequence classifier with one output.
        vectors: (batch, tokens, vocabulary).

    Returns:
        (batch, tokens + 1).
    """
    table, eos, tokens = embedding_table(module), module.config.eos_token_id, vectors.shape[1]
    parts = [table[prompt_ids], _embed(table, vectors)]
    reads_eos = module.config.pad_token_id != eos
    if reads_eos:
        parts.append(table[eos].expand(len(vectors), 1, -1))
    embeds = torch.cat(parts, 1)
    mask = _longer(prompt_mask, embeds.shape[1] - prompt_mask.shape[1])
    hidden = _forward(module.base_model, mask, mask.shape[1], inputs_embeds=embeds, use_cache=False).last_hidden_state
    scores: Tensor = module.score(hidden[:, -tokens - 1 :]).squeeze(-1)
    return scores
