"""Stage `preferences`: training pairs and held-out pairs, the data set's own or annotated samples of π0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.annotator import Annotated
from bench.encoding import within_context
from bench.models import context_length
from bench.policy import ModelPolicy
from bench.settings import PreferencesStage
from bench.stages.job import Job, seed_everything

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
        train, sampled = annotate(job, policy, "train", settings.pairs, job.seed)
        heldout, more = annotate(job, policy, "test", settings.heldout, job.seed + 1)
        info["tokens_sampled"] = sampled + more
    train.to_parquet(job.directory / "train.parquet")
    heldout.to_parquet(job.directory / "heldout.parquet")
    return info | {"gold_labels": len(train), "pairs": len(train), "heldout_pairs": len(heldout)}


def annotate(job: Job, policy: ModelPolicy, split: str, count: int, seed: int) -> tuple[Dataset, int]:
    """`count` pairs of different samples of `policy`, compared by the task's annotator; and the tokens sampled.

    Prompts are taken in turn, as often as needed. Two equal samples say nothing and are drawn again; a policy that
    cannot give enough different samples in ten rounds gives fewer pairs.
    """
    from datasets import Dataset

    prompts = list(job.task.prompts(split)["prompt"])
    columns: dict[str, list[Any]] = {"prompt": [], "chosen": [], "rejected": []}
    if isinstance(job.task, Annotated):
        columns["grade"] = []
    tokens = drawn = 0
    for attempt in range(10):
        missing = count - len(columns["prompt"])
        if missing <= 0:
            break
        asked = [prompts[(drawn + i) % len(prompts)] for i in range(missing)]
        drawn += missing
        samples = policy.sample([prompt for prompt in asked for _ in range(2)], seed + 1000 * attempt)
        tokens += sum(map(len, samples.completion_ids))
        first, second = samples.completions[0::2], samples.completions[1::2]
        answers = job.task.prefers_first(asked, first, second, seed + 1000 * attempt)
        differ = [i for i in range(missing) if first[i] != second[i]]
        columns["prompt"] += [asked[i] for i in differ]
        columns["chosen"] += [first[i] if answers[i] else second[i] for i in differ]
        columns["rejected"] += [second[i] if answers[i] else first[i] for i in differ]
        if isinstance(job.task, Annotated):
            grades = job.task.grades(asked, first, second, seed + 1000 * attempt)
            columns["grade"] += [abs(grades[i]) for i in differ]
        job.progress(min(count, len(columns["prompt"])), count)
    return Dataset.from_dict(columns), tokens
