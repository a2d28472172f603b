"""One stage at work: what it is given, and where it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bench.catalogue import plugins
from bench.contracts.errors import BenchError
from bench.contracts.task import Task
from bench.models.ends import PLAIN_CHAT_TEMPLATE, end_turns
from bench.models.ensemble import Ensemble, load_reward_model
from bench.models.learned_reward import RewardModel
from bench.models.loading import load_model
from bench.models.sampling import WITHOUT_CACHE
from bench.models.tokenizers import load_tokenizer
from bench.stages.artifact import INFO, POINTER
from bench.store.folder_digest import folder_digest
from bench.workbench.method import Method

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from bench.contracts.measure import Measure


@dataclass
class Job:
    """A stage at work.

    Attributes:
        spec: the stage's description, as `bench.stages.graph.Stage.spec` gives it.
        directory: the empty folder to write the artifact to.
        parents: the artifacts this stage builds on, by role.
        scratch: a folder that is thrown away afterwards.
        progress: to be told (step, total).
    """

    spec: dict[str, Any]
    directory: Path
    parents: dict[str, Path]
    scratch: Path
    progress: Callable[[int, int], None]

    @property
    def seed(self) -> int:
        """The stage's own seed."""
        return int(self.spec["seed"])

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda"``."""
        return str(self.spec["device"])

    @property
    def _plugins(self) -> list[Path]:
        return [Path(file) for file in self.spec["plugins"]]

    @cached_property
    def task(self) -> Task:
        """The world."""
        named = self.spec["task"]
        return plugins.tasks(self._plugins)[named["name"]](**named["settings"])

    @cached_property
    def method(self) -> Method:
        """The method, in the stages that have one."""
        named = self.spec["method"]
        return plugins.methods(self._plugins)[named["name"]](**named["settings"])

    @cached_property
    def measures(self) -> list[type[Measure]]:
        """The plug-in measures, in the stage `evaluation`."""
        known = plugins.measures(self._plugins)
        return [known[name] for name in self.spec.get("measures", ())]

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base model's tokenizer, shared by all that is built on it; where prompts are conversations its EOS ends a
        turn. BenchError if its chat template ends none."""
        tokenizer = load_tokenizer(self.parents["base"])
        if tokenizer.chat_template == PLAIN_CHAT_TEMPLATE or isinstance(self.task.prompts("train")["prompt"][0], str):
            return tokenizer
        return end_turns(tokenizer)

    @property
    def base_source(self) -> str | Path:
        """Where the base model is: a folder, or a hub name. BenchError if the folder is not what the key names."""
        pointer = self.parents["base"] / POINTER
        if not pointer.exists():
            return self.parents["base"]
        base = json.loads(pointer.read_text())
        require_unchanged(base["source"], base["digest"])
        return str(base["source"])

    def load_base(self) -> PreTrainedModel:
        """A fresh copy of the base model."""
        model = load_model(self.base_source, self.tokenizer)
        _ = self.base_source  # it may have been changed while it was read
        pointer = self.parents["base"] / POINTER
        if pointer.exists() and not json.loads(pointer.read_text()).get("cached", True):
            setattr(model.config, WITHOUT_CACHE, True)  # saved with every model that is made of it
        return model

    def load_sft(self) -> PreTrainedModel:
        """A fresh copy of π0."""
        return load_model(self.parents["sft"], self.tokenizer)

    def load_reward_model(self, role: str = "reward_model") -> PreTrainedModel | Ensemble:
        """The proxy reward model, or the one trained on held-out pairs (role ``"judge"``)."""
        return load_reward_model(self.parents[role], self.tokenizer)

    def lacks(self, role: str, split: str) -> str | None:
        """Why the artifact of `role` has nothing of a split (``"train"`` or ``"heldout"``); None where it has.

        No pair may fit the model's context: then there is no reward model fitted on them either, and what needs
        neither goes on without.
        """
        info = self.parents[role] / INFO
        said: dict[str, str] = json.loads(info.read_text(encoding="utf-8")).get("lacks", {}) if info.exists() else {}
        return said.get(split)

    def reward_model(self, role: str = "reward_model") -> RewardModel:
        """The same as a callable, on this job's device; its calls are not charged to anybody."""
        return RewardModel(self.load_reward_model(role).to(self.device), self.tokenizer)

    def pairs(self, split: str) -> Dataset:
        """Preference pairs of the `preferences` stage: ``"train"`` or ``"heldout"``."""
        return self._rows("preferences", split)

    def ratings(self, split: str) -> Dataset:
        """Rated completions of the `ratings` stage: ``"train"`` or ``"heldout"``."""
        return self._rows("ratings", split)

    def _rows(self, role: str, split: str) -> Dataset:
        from datasets import Dataset
        from pyarrow.parquet import ParquetFile

        # opened here: a library that is given the path takes `[`, `?` and `*` in it for a pattern
        with (self.parents[role] / f"{split}.parquet").open("rb") as file:
            return Dataset(ParquetFile(file).read())


def require_unchanged(model: str, digest: str) -> None:
    """Raise a BenchError if the folder of `model` is no longer what `digest` was made from; "" tells a hub name."""
    if digest and folder_digest(Path(model)) != digest:
        raise BenchError(f"the model in {model} was changed while this ran: run again")


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch, as a Trainer will do again."""
    from transformers import set_seed

    set_seed(seed)
    torch.set_num_threads(1)
