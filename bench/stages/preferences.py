"""Stage `preferences`: training pairs and held-out pairs, the data set's own or annotated samples of π0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bench.annotator import Annotated
from bench.encoding import within_context
from bench.models import context_length
from bench.policy import ModelPolicy
from bench.settings import PreferencesStage
from bench.stages.job import Job, seed_everything

if TYPE_CHECKING:
    from datasets import Dataset

    from bench.contracts import Prompt, Task


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


def annotate(
    task: Task,
    policy: ModelPolicy,
    prompts: Sequence[Prompt],
    count: int,
    seed: int,
    prefers_first: Callable[..., list[bool]],
    progress: Callable[[int, int], None] = lambda done, count: None,
) -> tuple[Dataset, int]:
    """`count` pairs of different samples of `policy`, compared by the task's annotator; and the tokens sampled.

    Prompts are taken in turn, as often as needed. Two equal samples say nothing: they are not shown to the annotator
    but drawn again; a policy that cannot give enough different samples in ten rounds gives fewer pairs.

    Args:
        prefers_first: the annotator, called as `bench.Task.prefers_first`: the task's own, or one that is charged.
    """
    from datasets import Dataset

    columns: dict[str, list[Any]] = {"prompt": [], "chosen": [], "rejected": []}
    if isinstance(task, Annotated):
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
        rows = zip(asked, samples.completions[0::2], samples.completions[1::2], strict=True)
        differing = [row for row in rows if row[1] != row[2]]
        if not differing:
            continue
        texts, one, two = (list(column) for column in zip(*differing, strict=True))
        answers = prefers_first(texts, one, two, seed + 1000 * attempt)
        for (prompt, first, second), better in zip(differing, answers, strict=True):
            columns["prompt"].append(prompt)
            columns["chosen"].append(first if better else second)
            columns["rejected"].append(second if better else first)
        if isinstance(task, Annotated):
            columns["grade"] += map(abs, task.grades(texts, one, two, seed + 1000 * attempt))
        progress(min(count, len(columns["prompt"])), count)
    return Dataset.from_dict(columns), tokens
