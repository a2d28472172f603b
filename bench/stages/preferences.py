"""Stage `preferences`: training pairs and held-out pairs, the data set's own or annotated samples of π0; or, of data
without pairs, its labelled answers."""

from __future__ import annotations

from collections import Counter
from statistics import median_high
from typing import TYPE_CHECKING, Any

from bench.contracts.stage_settings import PreferencesStage
from bench.models.encoding import encode_sequences, within_context
from bench.models.legible import aside, legible
from bench.models.loading import context_length
from bench.stages.job import Job, seed_everything
from bench.workbench.annotating import annotate
from bench.workbench.policy import ModelPolicy

if TYPE_CHECKING:
    from datasets import Dataset


def run(job: Job) -> dict[str, Any]:
    """Write ``train.parquet`` and ``heldout.parquet`` with columns `prompt`, `chosen`, `rejected`.

    Pairs that an annotator who grades has compared have a further column `grade`: how much better, 1 to 3. Labelled
    answers have the columns `prompt`, `completion`, `label`. A split of which nothing fits is empty, and said to be so:
    see `Job.lacks`.
    """
    settings = PreferencesStage(**job.spec["settings"])
    seed_everything(job.seed)
    info: dict[str, Any] = {}
    if job.task.has_pairs or not job.task.has_preferences:
        what, own = ("pair", job.task.pairs) if job.task.has_pairs else ("labelled answer", job.task.labelled)
        context = context_length(job.load_sft())
        read = {"train": legible(own("train"), job.tokenizer), "heldout": legible(own("test"), job.tokenizer)}
        given = {split: rows for split, (rows, _) in read.items()}
        fitting = {split: within_context(rows, job.tokenizer, context) for split, rows in given.items()}
        info["set_aside"] = {f"{what}s longer than the model's context": sum(more for _, more in fitting.values())}
        info["set_aside"] |= aside(f"{what}s", Counter(read["train"][1]) + Counter(read["heldout"][1]))
        info["lacks"] = {
            split: _none_fits(f"{'training' if split == 'train' else 'held-out'} {what}", given[split], job, context)
            for split, (rows, _) in fitting.items()
            if len(rows) == 0
        }
        train, heldout = (rows for rows, _ in fitting.values())
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


def _none_fits(what: str, rows: Dataset, job: Job, context: int) -> str:
    """What to say where none of `rows` fits the context: how long a one would do."""
    if len(rows) == 0:
        return f"there is no {what}"
    answers = [name for name in ("completion", "chosen", "rejected") if name in rows.column_names]
    by_column = [map(len, encode_sequences(job.tokenizer, rows["prompt"], rows[name])) for name in answers]
    lengths = [max(each) for each in zip(*by_column, strict=True)]
    enough = f"{min(lengths):,} would take the shortest, {median_high(lengths):,} half of them"
    return f"no {what} fits the model's context of {context:,} tokens: {enough}"


def sampled_pairs(job: Job, policy: ModelPolicy, split: str, count: int, seed: int) -> tuple[Dataset, int]:
    """Pairs of samples of `policy` for the prompts of a split, and the tokens sampled: see `annotate`."""
    prompts = list(legible(job.task.prompts(split), job.tokenizer)[0]["prompt"])
    return annotate(job.task, policy, prompts, count, seed, job.task.prefers_first, job.progress)
