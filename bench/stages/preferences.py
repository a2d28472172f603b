"""Stage `preferences`: training pairs and held-out pairs, the data set's own or annotated samples of π0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.contracts.stage_settings import PreferencesStage
from bench.models.encoding import within_context
from bench.models.loading import context_length
from bench.stages.job import Job, seed_everything
from bench.workbench.annotating import annotate
from bench.workbench.policy import ModelPolicy

if TYPE_CHECKING:
    from datasets import Dataset


def run(job: Job) -> dict[str, Any]:
    """Write ``train.parquet`` and ``heldout.parquet`` with columns `prompt`, `chosen`, `rejected`.

    Pairs that an annotator who grades has compared have a further column `grade`: how much better, 1 to 3.
    """
    settings = PreferencesStage(**job.spec["settings"])
    seed_everything(job.seed)
    info: dict[str, Any] = {}
    if job.task.has_pairs:
        context = context_length(job.load_sft())
        train, long_train = within_context(job.task.pairs("train"), job.tokenizer, context)
        heldout, long_heldout = within_context(job.task.pairs("test"), job.tokenizer, context)
        info["set_aside"] = {"pairs longer than the model's context": long_train + long_heldout}
        train = train.shuffle(seed=job.seed).select(range(min(settings.pairs, len(train))))
        heldout = heldout.select(range(min(settings.heldout, len(heldout))))
    else:
        policy = ModelPolicy(job.load_sft().to(job.device), job.tokenizer, job.task.max_completion_tokens)
        train, sampled = sampled_pairs(job, policy, "train", settings.pairs, job.seed)
        heldout, more = sampled_pairs(job, policy, "test", settings.heldout, job.seed + 1)
        info["tokens_sampled"] = sampled + more
    train.to_parquet(job.directory / "train.parquet")
    heldout.to_parquet(job.directory / "heldout.parquet")
    return info | {"gold_labels": len(train), "pairs": len(train), "heldout_pairs": len(heldout)}


def sampled_pairs(job: Job, policy: ModelPolicy, split: str, count: int, seed: int) -> tuple[Dataset, int]:
    """Pairs of samples of `policy` for the prompts of a split, and the tokens sampled: see `annotate`."""
    prompts = list(job.task.prompts(split)["prompt"])
    return annotate(job.task, policy, prompts, count, seed, job.task.prefers_first, job.progress)
