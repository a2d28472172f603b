"""The shared stages of the checking world, made once per process by the bench's own stages."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
from pyarrow import parquet
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.checking.world import CheckingWorld
from bench.models import load_model, load_reward_model, load_tokenizer
from bench.settings import PreferencesStage, RatingsStage, RewardModelStage, SFTStage, TinyModel
from bench.stages import base, preferences, ratings, reward_model, sft
from bench.stages.job import Job

if TYPE_CHECKING:
    from bench.contracts import Settings, Task

MODEL = TinyModel(layers=1, width=16, heads=2, context=32, steps=30)
SETTINGS: dict[str, Settings] = {
    "sft": SFTStage(epochs=1),
    "preferences": PreferencesStage(pairs=48, heldout=8),
    "ratings": RatingsStage(ratings=48, heldout=8),
    "reward_model": RewardModelStage(epochs=1, learning_rate=1e-2),
}
RUN = {
    "base": base.run,
    "sft": sft.run,
    "preferences": preferences.run,
    "ratings": ratings.run,
    "reward_model": reward_model.run,
}


@dataclass(frozen=True)
class Artifacts:
    """A folder with a subfolder per stage: ``base``, ``sft``, ``preferences``, ``ratings``, ``reward_model``."""

    folder: Path

    def tokenizer(self, pad_is_eos: bool) -> PreTrainedTokenizerBase:
        """The base model's tokenizer; with EOS for padding, its other ids are the same."""
        made = load_tokenizer(self.folder / "base")
        if pad_is_eos:
            made.pad_token = made.eos_token
        return made

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
    folder = Path(tempfile.mkdtemp(prefix="bench-check-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    quiet_libraries()
    made: dict[str, Path] = {}
    for stage in RUN:
        made[stage] = make(stage, CheckingWorld(), folder, made, SETTINGS.get(stage))
    return Artifacts(folder)


def make(
    stage: str,
    task: Task,
    folder: Path,
    parents: dict[str, Path],
    settings: Settings | None = None,
    model: TinyModel = MODEL,
) -> Path:
    """Run one stage of `task` in this process; the folder with its artifact."""
    spec = {
        "seed": 0,
        "device": "cpu",
        "model": model.model_dump(),
        "demonstrations_seed": 0,
        "settings": settings.model_dump(mode="json") if settings else {},
        "split": "train",
    }
    directory = folder / stage
    directory.mkdir()
    job = Job(spec, directory, dict(parents), folder / "scratch", lambda step, total: None)
    job.task = task
    with contextlib.redirect_stdout(None):
        RUN[stage](job)
    return directory


def quiet_libraries() -> None:
    """No progress bars, and no cache of data sets on disk, as in the runner's workers."""
    datasets.disable_caching()
    datasets.disable_progress_bars()
