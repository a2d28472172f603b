"""Stage `reference`: π0's own samples on the held-out prompts, scored. What every policy is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.encoding import within_context
from bench.models import context_length
from bench.policy import ModelPolicy
from bench.settings import Evaluation
from bench.stages.job import Job, seed_everything
from bench.stages.scoring import Scorer

if TYPE_CHECKING:
    from bench.contracts import Prompt


def heldout_prompts(job: Job, scorer: Scorer, count: int) -> list[Prompt]:
    """The first `count` held-out prompts that leave the model room for a completion: the same for every cell."""
    prompts, _ = within_context(
        job.task.prompts("test"),
        job.tokenizer,
        context_length(scorer.reference),
        job.task.max_completion_tokens,
    )
    return list(prompts["prompt"][:count])


def run(job: Job) -> dict[str, Any]:
    """Write ``samples.parquet``: one row per prompt and sample, in the order of every evaluation."""
    settings = Evaluation(**job.spec["settings"])
    seed_everything(job.seed)
    scorer = Scorer(job)
    prompts = heldout_prompts(job, scorer, settings.prompts)
    policy = ModelPolicy(scorer.reference, job.tokenizer, job.task.max_completion_tokens)
    samples = policy.sample(
        [prompt for prompt in prompts for _ in range(settings.samples)], job.seed, settings.temperature
    )
    frame = scorer.frame(samples, scorer.reference)
    frame.insert(0, "completion", pd.Series(samples.completions, dtype=object))
    frame.insert(1, "completion_ids", pd.Series(samples.completion_ids, dtype=object))
    frame.to_parquet(job.directory / "samples.parquet")
    return {"tokens_sampled": int(frame["length"].sum()), "judge": scorer.judge, "prompts": len(prompts)}
