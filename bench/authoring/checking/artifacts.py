"""The shared stages of the checking world, made once per process by the bench's own stages."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
from pyarrow import parquet
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.authoring.checking.world import CheckingWorld
from bench.contracts.stage_settings import (
    Evaluation,
    PreferencesStage,
    RatingsStage,
    RewardModelStage,
    SFTStage,
    Stages,
    TinyModel,
)
from bench.models.ensemble import load_reward_model
from bench.models.loading import load_model
from bench.models.tokenizers import load_tokenizer
from bench.stages.all_stages import RUN
from bench.stages.artifact import INFO
from bench.stages.evaluation import evaluate
from bench.stages.job import Job
from bench.workbench.method import Method
from bench.workbench.policy import Policy
from bench.workbench.workbench import Workbench

if TYPE_CHECKING:
    from bench.contracts.plugin import Settings
    from bench.contracts.task import Task

MODEL = TinyModel(layers=1, width=16, heads=2, context=32, steps=30)
SHARED = ("base", *Stages.model_fields)
_EVALUATION = Evaluation(samples=8, curve_points=0)
SETTINGS: dict[str, Settings] = {
    "sft": SFTStage(epochs=1),
    "preferences": PreferencesStage(pairs=48, heldout=8),
    "ratings": RatingsStage(ratings=48, heldout=8),
    "reward_model": RewardModelStage(epochs=1, learning_rate=1e-2),
    "reference": _EVALUATION,
    "policy": _EVALUATION,
    "evaluation": _EVALUATION,
}


@dataclass(frozen=True)
class Artifacts:
    """A folder with a subfolder per stage: ``base``, ``sft``, ``preferences``, ``ratings``, ``reward_model``."""

    folder: Path

    def tokenizer(self, pad_is_eos: bool) -> PreTrainedTokenizerBase:
        """The base model's tokenizer; with EOS for padding, its other ids are the same."""
        tokenizer = load_tokenizer(self.folder / "base")
        if pad_is_eos:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    def rows(self, stage: str) -> datasets.Dataset:
        """The training split of ``preferences`` or ``ratings``."""
        return datasets.Dataset(parquet.read_table(self.folder / stage / "train.parquet"))

    def model(self, stage: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
        """A fresh copy of the model of ``base`` or ``sft``."""
        return load_model(self.folder / stage, tokenizer)

    def reward_model(self, tokenizer: PreTrainedTokenizerBase) -> Any:
        """A fresh copy of the reward model."""
        return load_reward_model(self.folder / "reward_model", tokenizer)

    def copy_to(self, folder: Path) -> Artifacts:
        """A copy that may be damaged."""
        shutil.copytree(self.folder, folder)
        return Artifacts(folder)


@cache
def artifacts() -> Artifacts:
    """Those of `CheckingWorld`, in a temporary folder that goes when the process ends."""
    temporary = Path(tempfile.mkdtemp(prefix="bench-check-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    folder = temporary / "shared"
    parents: dict[str, Path] = {}
    for stage in SHARED:
        parents[stage] = run_stage(stage, CheckingWorld(), folder, parents)
    return Artifacts(folder)


@cache
def columns() -> dict[str, Any]:
    """What the evaluation of the base model hands to measures, by column."""
    shared = artifacts().folder
    folder = shared.with_name("evaluated")
    parents = {stage: shared / stage for stage in SHARED}
    for stage in ("reference", "policy"):
        parents[stage] = run_stage(stage, CheckingWorld(), folder, parents)
    return evaluate(_job("evaluation", CheckingWorld(), folder, parents), _EVALUATION).columns


class _BaseModel(Method):
    """The base model as it is."""

    def train(self, workbench: Workbench) -> Policy:
        """Nothing to train."""
        return workbench.policy(workbench.base_model())


@dataclass(kw_only=True)
class _JobAtHand(Job):
    """A stage at work on a task at hand, under whatever name, with the base model as its policy."""

    task_at_hand: Task

    @cached_property
    def task(self) -> Task:
        """The task at hand."""
        return self.task_at_hand

    @cached_property
    def method(self) -> Method:
        """The base model as it is."""
        return _BaseModel()


def run_stage(
    stage: str,
    task: Task,
    folder: Path,
    parents: dict[str, Path],
    settings: Settings | None = None,
    model: TinyModel = MODEL,
) -> Path:
    """Run one stage of `task` in this process, and return the folder with its artifact, ``<folder>/<stage>``.

    Args:
        settings: the stage's; by default those of `SETTINGS`.
    """
    job = _job(stage, task, folder, parents, settings, model)
    info = RUN[stage](job)
    (job.directory / INFO).write_text(json.dumps(info), encoding="utf-8")
    return job.directory


def _job(
    stage: str,
    task: Task,
    folder: Path,
    parents: dict[str, Path],
    settings: Settings | None = None,
    model: TinyModel = MODEL,
) -> Job:
    """The stage's job, in the new folder ``<folder>/<stage>``; libraries are quiet from here on."""
    quiet_libraries()
    own = settings or SETTINGS.get(stage)
    spec = {
        "seed": 0,
        "device": "cpu",
        "model": model.model_dump(),
        "demonstrations_seed": 0,
        "corpus_seed": 0,
        "settings": own.model_dump(mode="json") if own else {},
        "split": "train",
    }
    directory = folder / stage
    directory.mkdir(parents=True)
    scratch = folder / "scratch"
    return _JobAtHand(spec, directory, dict(parents), scratch, lambda step, total: None, task_at_hand=task)


def quiet_libraries() -> None:
    """No progress bars, and no cache of data sets on disk, as in the runner's workers."""
    datasets.disable_caching()
    datasets.disable_progress_bars()
