"""Stage `ratings`: samples of π0, each rated once, 1 to 5, by the task's annotator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.contracts.stage_settings import RatingsStage
from bench.stages.job import Job, seed_everything
from bench.workbench.policy import ModelPolicy

if TYPE_CHECKING:
    from datasets import Dataset


def run(job: Job) -> dict[str, Any]:
    """Write ``train.parquet`` and ``heldout.parquet`` with columns `prompt`, `completion`, `rater`, `score`."""
    settings = RatingsStage(**job.spec["settings"])
    seed_everything(job.seed)
    policy = ModelPolicy(job.load_sft().to(job.device), job.tokenizer, job.task.max_completion_tokens)
    train, sampled = rate(job, policy, "train", settings.ratings, settings.per_prompt, job.seed)
    heldout, more = rate(job, policy, "test", settings.heldout, settings.per_prompt, job.seed + 1)
    train.to_parquet(job.directory / "train.parquet")
    heldout.to_parquet(job.directory / "heldout.parquet")
    return {"tokens_sampled": sampled + more, "gold_labels": len(train), "ratings": len(train)}


def rate(job: Job, policy: ModelPolicy, split: str, count: int, per_prompt: int, seed: int) -> tuple[Dataset, int]:
    """`count` rated samples of `policy`, and the tokens sampled.

    Prompts are taken in turn, as often as needed, each with `per_prompt` completions, which may be equal.
    """
    from datasets import Dataset

    of_split = list(job.task.prompts(split)["prompt"])
    prompts = [of_split[i // per_prompt % len(of_split)] for i in range(count)]
    samples = policy.sample(prompts, seed)
    ratings = job.task.ratings(prompts, samples.completions, seed)
    rows = {
        "prompt": prompts,
        "completion": samples.completions,
        "rater": [rating.rater for rating in ratings],
        "score": [rating.score for rating in ratings],
    }
    return Dataset.from_dict(rows), sum(map(len, samples.completion_ids))
