"""Preference pairs of a policy's own samples, compared by an annotator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bench.contracts.annotator import Annotated
from bench.workbench.policy import ModelPolicy

if TYPE_CHECKING:
    from datasets import Dataset

    from bench.contracts.task import Prompt, Task


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
        batch = [prompts[(drawn + i) % len(prompts)] for i in range(missing)]
        drawn += missing
        samples = policy.sample([prompt for prompt in batch for _ in range(2)], seed + 1000 * attempt)
        tokens += sum(map(len, samples.completion_ids))
        rows = zip(batch, samples.completions[0::2], samples.completions[1::2], strict=True)
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
