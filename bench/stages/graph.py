"""What depends on what: the stages of a cell, each named by a key, so that cells share what they have in common."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.contracts.plugin import Plugin, Settings
from bench.contracts.stage_settings import RewardModelStage, Stages
from bench.contracts.task import Task
from bench.matrix.reading import Cell, Matrix
from bench.store.source import source_digest

LIBRARIES = ("torch", "transformers", "trl", "tokenizers", "datasets", "accelerate")
"""Part of every key: another release may train another model."""


@dataclass(frozen=True)
class Stage:
    """One step whose artifact others share.

    Attributes:
        kind: the module of `bench.stages` that runs it.
        label: what a person sees in the progress display.
        spec: all a worker needs to run it, as JSON.
        parents: the stages it builds on, by role.
        key: a hash of settings, seed, source, library versions and the parents' keys.
    """

    kind: str
    label: str
    spec: Mapping[str, Any]
    parents: Mapping[str, Stage] = field(default_factory=dict)
    key: str = ""


@cache
def library_versions() -> dict[str, str]:
    """Installed releases of the libraries that results depend on."""
    return {name: version(name) for name in LIBRARIES}


def derive_seed(kind: str, seed: int) -> int:
    """A stage's own seed: stages of one cell differ, cells that share a stage share its seed."""
    return int.from_bytes(hashlib.sha256(f"{kind}/{seed}".encode()).digest()[:4], "big") // 2


def named(plugin: Plugin) -> dict[str, Any]:
    """A method or task as JSON: its name and all its settings."""
    return {"name": plugin.name, "settings": plugin.model_dump(mode="json")}


def stages_of(cell: Cell, matrix: Matrix, device: str) -> dict[str, Stage]:
    """The stages of one cell by role; `evaluation` is the last."""
    task = cell.task.task
    common = {
        "task": named(task),
        "device": device,
        "demonstrations_seed": derive_seed("demonstrations", cell.seed),
        "corpus_seed": derive_seed("base", cell.seed),
        "plugins": [str(file) for file in matrix.plugins],
    }
    world = f"{cell.task.label} {cell.model.label}"

    def stage(kind: str, parents: dict[str, Stage], who: str = "", **own: Any) -> Stage:
        sources = [Path(__file__).with_name(f"{kind}.py"), _file(type(task))]
        if "method" in own:
            sources.append(_file(type(cell.arm.method)))
        if "measures" in own:
            sources += [_file(measure) for measure in matrix.measures]
        return _keyed(
            kind,
            f"{kind} · {world} {who}· seed {cell.seed}".replace("  ", " "),
            common | own | {"seed": derive_seed(kind, cell.seed)},
            dict(parents),
            task,
            sources,
        )

    def foundations(settings: Stages) -> dict[str, Stage]:
        sft = stage("sft", {"base": base}, settings=settings.sft.model_dump(mode="json"))
        models = {"base": base, "sft": sft}
        if not task.has_preferences:
            return models
        pairs = settings.preferences.model_dump(mode="json")
        return models | {"preferences": stage("preferences", models, settings=pairs)}

    def reward_model(parents: dict[str, Stage], settings: RewardModelStage, split: str, who: str = "") -> Stage:
        return stage("reward_model", parents, who, settings=settings.model_dump(mode="json"), split=split)

    settings = cell.arm.stages
    source = cell.model.source
    model = source.model_dump(mode="json") if isinstance(source, Settings) else str(source)
    base = stage("base", {}, model=model, model_digest=_model_digest(model))
    models = foundations(settings)
    made_of = settings.reward_model.made_of
    if task.has_ratings and "ratings" in {made_of, *cell.arm.rests_on}:
        beneath = {role: models[role] for role in ("base", "sft")}
        models["ratings"] = stage("ratings", beneath, settings=settings.ratings.model_dump(mode="json"))
    if task.has_preferences and made_of in models:
        parents = {role: models[role] for role in ("base", "sft", "preferences", made_of)}
        models["reward_model"] = reward_model(parents, settings.reward_model, "train")
    if task.has_preferences and not task.has_gold:  # one judge for all arms, whatever their own stages
        judge = matrix.stages.reward_model.model_copy(update={"fit": "pairs"})
        models["judge"] = reward_model(foundations(matrix.stages), judge, "heldout", "judge ")
    evaluation = matrix.evaluation.model_dump(mode="json")
    scorers: dict[str, Stage] = {
        role: models[role] for role in ("base", "sft", "reward_model", "judge") if role in models
    }
    reference = stage("reference", scorers, settings=evaluation)
    arm = f"{cell.arm.label} "
    method = named(cell.arm.method)
    policy = stage("policy", models, arm, method=method, settings=_while_training(evaluation))
    last = stage(
        "evaluation",
        models | {"policy": policy, "reference": reference},
        arm,
        method=method,
        settings=evaluation,
        # without any, the key is as if there were no such thing
        **({"measures": [measure.name for measure in matrix.measures]} if matrix.measures else {}),
    )
    return models | {"reference": reference, "policy": policy, "evaluation": last}


def _while_training(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a policy's training curve depends on: changing another must not train it again."""
    return {name: evaluation[name] for name in ("curve_points", "curve_prompts", "temperature")}


def _keyed(
    kind: str,
    label: str,
    spec: dict[str, Any],
    parents: dict[str, Stage],
    task: Task,
    sources: list[Path],
) -> Stage:
    digest = source_digest(sources)
    identity = {
        "kind": kind,
        "spec": {name: value for name, value in spec.items() if name != "plugins"},
        "data": task.content_digest(),
        "parents": {role: parent.key for role, parent in sorted(parents.items())},
        "source": digest,
        "libraries": library_versions(),
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    return Stage(kind, label, spec | {"sources": [*map(str, sources)], "source_digest": digest}, parents, key)


def _file(plugin: type[Plugin]) -> Path:
    return Path(inspect.getfile(plugin))


@cache
def _directory_digest(directory: Path) -> str:
    parts = [
        f"{file.relative_to(directory)} {file.stat().st_size} {file.stat().st_mtime_ns}"
        for file in sorted(directory.rglob("*"))
        if file.is_file()
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _model_digest(model: Any) -> str:
    """Tells one state of a local model directory from another; empty for a model made here or on the hub."""
    return _directory_digest(Path(model)) if isinstance(model, str) and Path(model).is_dir() else ""
