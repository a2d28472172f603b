"""Stage `reference`: what every policy is measured with: π0's own samples on the held-out prompts, scored, and the
multiple-choice questions in tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.contracts.stage_settings import Evaluation
from bench.models.encoding import within_context
from bench.models.legible import aside, legible
from bench.models.loading import context_length
from bench.models.multiple_choice import encode_questions
from bench.stages.job import Job, seed_everything
from bench.stages.scoring import Scorer
from bench.workbench.policy import ModelPolicy

if TYPE_CHECKING:
    from bench.contracts.task import Prompt


def heldout_prompts(job: Job, scorer: Scorer, count: int) -> list[Prompt]:
    """The first `count` held-out prompts that leave the model room for a completion: the same for every cell."""
    return _with_room(job, scorer)[0][:count]


def _with_room(job: Job, scorer: Scorer) -> tuple[list[Prompt], dict[str, int]]:
    """The held-out prompts that leave the model room for a completion, and how many others there are, by reason."""
    prompts, illegible = legible(job.task.prompts("test"), job.tokenizer)
    prompts, without = within_context(
        prompts,
        job.tokenizer,
        context_length(scorer.reference),
        job.task.max_completion_tokens,
    )
    counts = {"without room for a completion": without} | illegible
    return list(prompts["prompt"]), aside("held-out prompts", counts)


def run(job: Job) -> dict[str, Any]:
    """Write ``samples.parquet``: one row per prompt and sample, in the order of every evaluation; and the questions."""
    settings = Evaluation(**job.spec["settings"])
    seed_everything(job.seed)
    scorer = Scorer(job)
    with_room, left_out = _with_room(job, scorer)
    prompts = with_room[: settings.prompts]
    policy = ModelPolicy(scorer.reference, job.tokenizer, job.task.max_completion_tokens)
    samples = policy.sample(
        [prompt for prompt in prompts for _ in range(settings.samples)], job.seed, settings.temperature
    )
    frame = scorer.frame(samples, scorer.reference)
    frame.insert(0, "completion", pd.Series(samples.completions, dtype=object))
    frame.insert(1, "completion_ids", pd.Series(samples.completion_ids, dtype=object))
    frame.to_parquet(job.directory / "samples.parquet")
    set_aside = write_questions(job, scorer, settings.probes) if job.task.has_probes else 0
    return {
        "tokens_sampled": int(frame["length"].sum()),
        "judge": scorer.judge,
        "prompts": len(prompts),
        "prompts_asked": min(settings.prompts, len(job.task.prompts("test"))),
        "set_aside": {"questions longer than the model's context": set_aside} | left_out,
    }


def write_questions(job: Job, scorer: Scorer, count: int) -> int:
    """Of the first `count` questions write those that fit into the context of π0; return how many do not."""
    probes = job.task.probes()[:count]
    questions = encode_questions(job.tokenizer, probes, context_length(scorer.reference))
    questions.save(job.directory)
    return len(probes) - len(questions)
