"""What a matrix comes to: tasks, models and methods with their settings, and the cells that they span."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError, nearest
from bench.contracts.plugin import Settings
from bench.contracts.stage_settings import Evaluation, Stages, TinyModel
from bench.contracts.task import Task
from bench.workbench.method import Method

if TYPE_CHECKING:
    from bench.contracts.measure import Measure

CLAIMS = Path(__file__).resolve().with_name("claims")
"""The bench's own files of claims."""

_ONLY = ("task", "model", "arm", "method", "seed")


@dataclass(frozen=True)
class TaskChoice:
    """A task with its settings, under the name that tables show."""

    label: str
    task: Task


@dataclass(frozen=True)
class ModelChoice:
    """A `tiny` model to make, a directory in transformers' format (absolute), or a hub name."""

    label: str
    source: TinyModel | Path | str


@dataclass(frozen=True)
class Arm:
    """A method with its hyper-parameters and the stages it rests on, under the name that tables show.

    Attributes:
        tasks: the labels of the tasks that it runs on; None for all.
    """

    label: str
    method: Method
    stages: Stages
    tasks: tuple[str, ...] | None = None

    @property
    def rests_on(self) -> set[str]:
        """The shared stages that the method trains on: what it needs, and what its reward model is made from."""
        needs = set(type(self.method).needs)
        return needs | {self.stages.reward_model.made_of} if "reward_model" in needs else needs


@dataclass(frozen=True)
class Cell:
    """One task × model × method × seed.

    Attributes:
        index: its place among all cells of the matrix, from 0.
        id: unique within the matrix (also where case is ignored) and safe as a file name, e.g.
            ``reviews-tiny-ppo_without_KL-seed0``.
    """

    index: int
    task: TaskChoice
    model: ModelChoice
    arm: Arm
    seed: int
    id: str


@dataclass(frozen=True)
class Matrix:
    """A validated matrix. Labels are unique, and so are settings: no two arms are the same method on the same stages.

    Attributes:
        stages: those of an arm that changes nothing (`Arm.stages`), and of the judge who is the same for all arms.
        plugins: the plug-in files, packages and folders that were named, absolute; what is installed is not named. A
            process that unpickles cells must have read them first (`plugins.methods`, `plugins.tasks`).
        measures: those of plug-ins, installed or named, which are computed besides the built-in ones.
        claims: the file of claims that the matrix is to test, absolute.
    """

    name: str
    tasks: tuple[TaskChoice, ...]
    models: tuple[ModelChoice, ...]
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    stages: Stages
    evaluation: Evaluation
    plugins: tuple[Path, ...] = ()
    claims: Path | None = None
    measures: tuple[type[Measure], ...] = ()

    def cells(self) -> list[Cell]:
        """All cells: by task, then model, arm and seed."""
        product = [
            (task, model, arm, seed)
            for task, model, arm, seed in itertools.product(self.tasks, self.models, self.arms, self.seeds)
            if arm.tasks is None or task.label in arm.tasks
        ]
        labels = [(task.label, model.label, arm.label, seed) for task, model, arm, seed in product]
        ids = ["-".join([*map(slug, names), f"seed{seed}"]) for *names, seed in labels]
        count = Counter(id.lower() for id in ids)
        return [
            Cell(i, *choice, id if count[id.lower()] == 1 else f"{id}-{_digest(label)}")
            for i, (choice, id, label) in enumerate(zip(product, ids, labels, strict=True))
        ]

    def select(self, only: Iterable[str] = ()) -> list[Cell]:
        """The cells that satisfy every ``KEY=VALUE``; one KEY twice means either value.

        KEY is task (its label or its name), model, arm (its label), method (its name) or seed.

        Raises:
            BenchError: an unknown key or value, with the nearest valid one; or no cell is left.
        """
        wanted: dict[str, set[str]] = {}
        cells = self.cells()
        conditions = list(only)
        for condition in conditions:
            key, equals, value = condition.partition("=")
            if not equals or key not in _ONLY:
                valid = nearest(key, _ONLY)
                raise BenchError(f"--only {condition!r}: {key!r} is not a key of KEY=VALUE{valid}")
            known = set().union(*(_names_of(cell)[key] for cell in cells))
            if value not in known:
                raise BenchError(f"--only {condition!r}: no {key} {value!r} in {self.name}{nearest(value, known)}")
            wanted.setdefault(key, set()).add(value)
        chosen = [cell for cell in cells if all(_names_of(cell)[key] & values for key, values in wanted.items())]
        if not chosen:
            raise BenchError(f"no cell of {self.name} satisfies --only {' and '.join(map(repr, conditions))}")
        return chosen

    def description(self, defaults: bool = True) -> dict[str, Any]:
        """The whole matrix, made of JSON's types; `parse_matrix` reads it.

        Args:
            defaults: write every default out, too.
        """

        def settings(of: Settings) -> dict[str, Any]:
            return of.model_dump(mode="json", exclude_unset=not defaults)

        def model(source: TinyModel | Path | str) -> dict[str, Any]:
            return {"model": "tiny", **settings(source)} if isinstance(source, TinyModel) else {"model": str(source)}

        def arm(of: Arm) -> dict[str, Any]:
            own: dict[str, Any] = {} if of.stages == self.stages else {"stages": settings(of.stages)}
            own |= {} if of.tasks is None else {"tasks": list(of.tasks)}
            return {"method": of.method.name, **settings(of.method), **own}

        return {
            "name": self.name,
            "tasks": {each.label: {"task": each.task.name, **settings(each.task)} for each in self.tasks},
            "models": {each.label: model(each.source) for each in self.models},
            "methods": {each.label: arm(each) for each in self.arms},
            "seeds": list(self.seeds),
            "stages": settings(self.stages),
            "evaluation": settings(self.evaluation),
            "plugins": [str(file) for file in self.plugins],
        } | ({} if self.claims is None else {"claims": _file_name(self.claims)})


def slug(label: str) -> str:
    """`label` as part of a file name; long or exotic ones are told apart by a digest."""
    clean = re.sub(r"[^A-Za-z0-9.-]+", "_", label).strip("_.-")
    return clean if 0 < len(clean) <= 60 else f"{clean[:50]}_{_digest(label)}".lstrip("_")


def _file_name(claims: Path) -> str:
    """As a matrix names them: the bench's own by their name, wherever it is installed."""
    return claims.stem if claims.parent == CLAIMS else str(claims)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]


def _names_of(cell: Cell) -> dict[str, set[str]]:
    """What a cell may be called by, under each key of ``--only``."""
    return {
        "task": {cell.task.label, cell.task.task.name},
        "model": {cell.model.label},
        "arm": {cell.arm.label},
        "method": {cell.arm.method.name},
        "seed": {str(cell.seed)},
    }
