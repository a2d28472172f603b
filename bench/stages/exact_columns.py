"""What the evaluation needs for exact measures, where the task can be enumerated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bench.contracts.task import Task
from bench.models.closed_forms import entropy, kl
from bench.models.enumeration import rows_of
from bench.workbench.policy import ModelPolicy, Policy, Samples

PROMPTS = 4  # held-out prompts that exact measures sum over: a quarter of a second each


def exact_columns(task: Task, policy: Policy, reference: ModelPolicy) -> dict[str, Any]:
    """Every completion of the first held-out prompts, one row each; nothing where they are too many or π is not known.

    `exact_prompt` (the prompt's number), `exact_logp` and `exact_reference_logp` (log-probabilities under π and π0 at
    temperature 1, nats), `exact_gold`.
    """
    columns: dict[str, list[Any]] = {}
    prompts = task.prompts("test")["prompt"][:PROMPTS] if task.has_enumeration else []
    for number, prompt in enumerate(prompts):
        gold = task.enumerated_gold(reference.tokenizer, prompt)
        logp = policy.exact_logp(prompt) if gold is not None else None
        if gold is None or logp is None:
            return {}
        parts = {
            "exact_prompt": np.full(len(gold), number),
            "exact_logp": logp.numpy(),
            "exact_reference_logp": reference.exact_logp(prompt).numpy(),
            "exact_gold": gold,
        }
        for name, values in parts.items():
            columns.setdefault(name, []).append(values)
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def exact_scores(policy: Policy, reference: ModelPolicy, samples: Samples) -> pd.DataFrame:
    """`logp`, `kl` and `entropy` of each sample of a policy without a model that knows all its probabilities.

    `logp` is the completion's own; `kl` and `entropy` are those of π at the completion's prompt, sums over all
    completions: their mean over samples is KL(π ‖ π0) and H(π) with the prompts as the only source of error.
    """
    frame = pd.DataFrame(index=range(len(samples)), columns=["logp", "kl", "entropy"], dtype=float)
    vocabulary, eos = len(reference.tokenizer), reference.tokenizer.eos_token_id
    groups: dict[str, list[int]] = {}
    for row, prompt in enumerate(samples.prompts):
        groups.setdefault(repr(prompt), []).append(row)
    for rows in groups.values():
        logp = policy.exact_logp(samples.prompts[rows[0]])
        if logp is None:
            continue
        ids = [samples.completion_ids[row] for row in rows]
        places = rows_of(ids, vocabulary, eos, reference.max_new_tokens)
        frame.loc[rows, "logp"] = logp[places].numpy()
        frame.loc[rows, "kl"] = kl(logp, reference.exact_logp(samples.prompts[rows[0]])).item()
        frame.loc[rows, "entropy"] = entropy(logp).item()
    return frame
