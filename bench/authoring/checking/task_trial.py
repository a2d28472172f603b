"""A task on trial: its demonstrations, texts, clear pairs and models, each made once for several checks."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.authoring.checking.artifacts import quiet_libraries, run_stage
from bench.authoring.checking.check import Broken, Unsuited
from bench.contracts.stage_settings import SFTStage, TinyModel
from bench.contracts.task import Completion, Prompt, Task
from bench.models.encoding import completion_like, text_of
from bench.models.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

MODEL = TinyModel(layers=1, width=16, heads=2, context=1024, steps=20, batch_size=8)
MOST_ROWS = 200
"""Of each data set that are looked at closely."""

CLEAR_PAIRS = 200


class TaskTrial:
    """A task with its settings, and what several checks look at."""

    def __init__(self, task: Task) -> None:
        self.task = task
        quiet_libraries()

    @cached_property
    def demonstrations(self) -> Dataset:
        """With seed 0."""
        return self.task.demonstrations(0)

    @cached_property
    def texts(self) -> tuple[list[Prompt], list[Completion]]:
        """Prompts and completions to be judged: demonstrations, others' completions, words turned round, and none."""
        rows = self.demonstrations.select(range(min(MOST_ROWS, len(self.demonstrations))))
        prompts, completions = list(rows["prompt"]), list(rows["completion"])
        shifted = [completions[(i + 1) % len(completions)] for i in range(len(completions))]
        reversed_words = [
            _words_reversed(prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)
        ]
        empty = [completion_like(prompts[0], "")]
        return [*prompts, *prompts, *prompts, prompts[0]], [*completions, *shifted, *reversed_words, *empty]

    @cached_property
    def clear_pairs(self) -> tuple[list[Prompt], list[Completion], list[Completion], list[bool]]:
        """The pairs of completions of one prompt whose gold differs most, in random order; is the first the better?"""
        if not self.task.has_gold:
            raise Unsuited("it has no gold reward to tell what is better")
        rng = np.random.default_rng(0)
        prompts, completions = self.texts
        rows = [(prompts[i], completions[i], completions[j]) for i, j in rng.integers(len(prompts), size=(2000, 2))]
        of_prompts, first, second = (list(column) for column in zip(*rows, strict=True))
        gaps = np.subtract(self.task.gold(of_prompts, first), self.task.gold(of_prompts, second))
        clear = [int(i) for i in np.argsort(-abs(gaps))[:CLEAR_PAIRS] if gaps[i]]
        if len(clear) < CLEAR_PAIRS:
            raise Broken("gold is the same for nearly all completions: let it tell good ones from bad ones")
        return (
            [of_prompts[i] for i in clear],
            [first[i] for i in clear],
            [second[i] for i in clear],
            list(gaps[clear] > 0),
        )

    @cached_property
    def models(self) -> dict[str, Path]:
        """A base and an SFT model of this task, each trained for a moment."""
        folder = Path(tempfile.mkdtemp(prefix="bench-check-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        stages: dict[str, Path] = {}
        stages["base"] = run_stage("base", self.task, folder, stages, model=MODEL)
        stages["sft"] = run_stage("sft", self.task, folder, stages, SFTStage(epochs=1, max_demonstrations=64))
        return stages

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base model's; Unsuited where no model can be trained, which `smoke` tells."""
        try:
            return load_tokenizer(self.models["base"])
        except Exception:
            raise Unsuited("no model can be trained on it, see above") from None


def _words_reversed(prompt: Prompt, completion: Completion) -> Completion:
    """The first word, then the others from the last to the second."""
    words = text_of(completion).split(" ")
    return completion_like(prompt, " ".join(words[:1] + words[:0:-1]))
