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
from bench.contracts.stage_settings import Stages
from bench.matrix.cells import Cell, Matrix
from bench.store.folder_digest import folder_digest
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


def stages_of(cell: Cell, matrix: Matrix, device: str) -> dict[str, Stage]:
    """The stages of one cell by role; `evaluation` is the last."""
    task, arm = cell.task.task, cell.arm
    new = _StageMaker(cell, matrix, device)
    stages = new.up_to_preferences(arm.stages)

    labels = arm.stages.reward_model.made_of
    if task.has_ratings and "ratings" in {labels, *arm.rests_on}:
        stages["ratings"] = new("ratings", _some(stages, "base", "sft"), settings=_json(arm.stages.ratings))
    if "preferences" in stages and labels in stages:
        parents = _some(stages, "base", "sft", "preferences", labels)
        stages["reward_model"] = new("reward_model", parents, settings=_json(arm.stages.reward_model), split="train")
    if "preferences" in stages and not task.has_gold:
        stages["judge"] = new.judge(matrix.stages)

    evaluation = _json(matrix.evaluation)
    scorers = _some(stages, "base", "sft", "reward_model", "judge")
    reference = new("reference", scorers, settings=evaluation)

    method = _json_of(arm.method)
    # the settings that a training curve depends on: changing another must not train the policy again
    while_training = {name: evaluation[name] for name in ("curve_points", "curve_prompts", "temperature")}
    policy = new("policy", stages, arm.label, method=method, settings=while_training)

    # without measures of plug-ins, the key is as if there were no such thing
    plugged = {"measures": [measure.name for measure in matrix.measures]} if matrix.measures else {}
    parents = stages | {"policy": policy, "reference": reference}
    last = new("evaluation", parents, arm.label, method=method, settings=evaluation, **plugged)
    return stages | {"reference": reference, "policy": policy, "evaluation": last}


class _StageMaker:
    """Makes stages of one cell."""

    def __init__(self, cell: Cell, matrix: Matrix, device: str) -> None:
        self.cell, self.matrix = cell, matrix
        self.common = {
            "task": _json_of(cell.task.task),
            "device": device,
            "demonstrations_seed": derive_seed("demonstrations", cell.seed),
            "corpus_seed": derive_seed("base", cell.seed),
            "plugins": [str(file) for file in matrix.plugins],
        }

    def __call__(self, kind: str, parents: Mapping[str, Stage], who: str = "", **own: Any) -> Stage:
        """A stage whose spec has `own` besides what all have; `who` is the arm or the judge that it is made for."""
        cell, task = self.cell, self.cell.task.task
        sources = [Path(__file__).with_name(f"{kind}.py"), _file(type(task))]
        if "method" in own:
            sources.append(_file(type(cell.arm.method)))
        if "measures" in own:
            sources += [_file(measure) for measure in self.matrix.measures]
        digest, data = source_digest(sources), task.content_digest()
        spec = self.common | own | {"seed": derive_seed(kind, cell.seed)}
        identity = {
            "kind": kind,
            "spec": {name: value for name, value in spec.items() if name != "plugins"},
            "data": data,
            "parents": {role: parent.key for role, parent in sorted(parents.items())},
            "source": digest,
            "libraries": library_versions(),
        }
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
        label = f"{kind} · {cell.task.label} {cell.model.label} {who} · seed {cell.seed}".replace("  ", " ")
        spec |= {"sources": [*map(str, sources)], "source_digest": digest, "data_digest": data}
        return Stage(kind, label, spec, dict(parents), key)

    def up_to_preferences(self, settings: Stages) -> dict[str, Stage]:
        """`base` and `sft`, and `preferences` where the task has any."""
        source = self.cell.model.source
        model = _json(source) if isinstance(source, Settings) else str(source)
        base = self("base", {}, model=model, model_digest=_model_digest(model))
        stages = {"base": base, "sft": self("sft", {"base": base}, settings=_json(settings.sft))}
        if self.cell.task.task.has_preferences or self.cell.task.task.has_labelled:
            stages["preferences"] = self("preferences", stages, settings=_json(settings.preferences))
        return stages

    def judge(self, settings: Stages) -> Stage:
        """The reward model on held-out pairs: one for all arms, whatever their own stages."""
        on_pairs = settings.reward_model.model_copy(update={"fit": "pairs"})
        parents = self.up_to_preferences(settings)
        return self("reward_model", parents, "judge", settings=_json(on_pairs), split="heldout")


def _some(stages: Mapping[str, Stage], *roles: str) -> dict[str, Stage]:
    """Those of `stages` that have one of `roles`."""
    return {role: stages[role] for role in roles if role in stages}


def _json(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json")


def _json_of(plugin: Plugin) -> dict[str, Any]:
    """A method or task: its name and all its settings."""
    return {"name": plugin.name, "settings": _json(plugin)}


def _file(plugin: type[Plugin]) -> Path:
    return Path(inspect.getfile(plugin))


def _model_digest(model: Any) -> str:
    """Tells one state of a local model directory from another; empty for a model made here or on the hub."""
    return folder_digest(Path(model)) if isinstance(model, str) and Path(model).is_dir() else ""
