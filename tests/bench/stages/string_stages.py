"""A stage at work in the world of strings, without the runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.contracts.stage_settings import Settings, TinyModel
from bench.models.tiny import tiny_model
from bench.models.tokenizers import word_tokenizer
from bench.stages.job import Job
from tasks.strings import Strings


def untrained_model(folder: Path) -> Path:
    """An untrained model of strings, base and π0 in one."""
    tokenizer = word_tokenizer(Strings().vocabulary())
    tiny_model(TinyModel(layers=1, width=16, heads=2, context=16), tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def job(directory: Path, settings: Settings | None, task: Strings, split: str = "train", **parents: Path) -> Job:
    """A job that writes to `directory`, a new folder."""
    spec: dict[str, Any] = {
        "task": {"name": "strings", "settings": task.model_dump(mode="json")},
        "seed": 1,
        "device": "cpu",
        "plugins": [],
        "settings": settings.model_dump(mode="json") if settings else {},
        "split": split,
    }
    directory.mkdir(exist_ok=True)
    return Job(spec, directory, parents, directory / "scratch", lambda step, total: None)
