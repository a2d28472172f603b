"""The search of one arm: Optuna proposes, the bench runs, an SQLite file remembers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from pydantic import ValidationError

from bench.contracts.search_space import Choice, Range
from bench.matrix.cells import Arm, Matrix
from bench.records.record import FAILED, OK
from bench.stages.graph import derive_seed, stages_of
from bench.tuning.objective import Objective, Trial
from bench.workbench.method import Method

M = TypeVar("M", bound=Method)

STARTUP_TRIALS = 4
"""The defaults, then random ones, before the sampler models what it has seen."""


def open_storage(file: Path) -> RDBStorage:
    """The studies in `file`. SQLite, as its transactions survive a kill; a journal file may keep a torn line."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file.parent.mkdir(parents=True, exist_ok=True)
    return RDBStorage(f"sqlite:///{file}")


def with_settings(method: M, settings: Mapping[str, Any]) -> M:
    """`method` with further hyper-parameters set; those that a matrix set stay so."""
    set_by_matrix = {name: getattr(method, name) for name in method.model_fields_set}
    return type(method)(**{**set_by_matrix, **settings})


@dataclass(frozen=True)
class Proposal:
    """Hyper-parameters to try; `refusal` says why the method does not take them together."""

    settings: dict[str, Any]
    arm: Arm
    refusal: str | None = None


class Search:
    """The search for one arm's hyper-parameters.

    The study is named by the label and a digest of all that its values depend on (the keys of the cells' stages, so
    also the source), so that a changed method starts a search of its own, and an unchanged one carries on.

    Args:
        tuning: the matrix with its seeds replaced by those for tuning.
        seed: of the sampler. Each trial has a sampler of its own, seeded by arm and number: a search that was
            interrupted proposes what it would have proposed.
    """

    def __init__(
        self, arm: Arm, tuning: Matrix, objective: Objective, storage: RDBStorage, seed: int, device: str
    ) -> None:
        self.arm, self.objective, self.seed = arm, objective, seed
        self.space = arm.method.tunable()
        self.defaults = {name: getattr(arm.method, name) for name in self.space}
        cells = replace(tuning, arms=(arm,)).cells()
        keys = [stages_of(cell, tuning, device)["evaluation"].key for cell in cells]
        space = {name: [type(knob).__name__, asdict(knob)] for name, knob in self.space.items()}
        identity = json.dumps([keys, space, asdict(objective), seed, STARTUP_TRIALS], sort_keys=True)
        self._study = optuna.create_study(
            storage=storage,
            study_name=f"{arm.label} {hashlib.sha256(identity.encode()).hexdigest()[:16]}",
            direction="maximize" if objective.maximise else "minimize",
            load_if_exists=True,
        )
        if not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial(self.defaults)
        self._proposed: optuna.trial.Trial | None = None

    @property
    def trials(self) -> list[Trial]:
        """The trials that are over, by number."""
        complete = self._study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        return [Trial(**trial.user_attrs["trial"]) for trial in complete]

    def propose(self) -> Proposal:
        """What to try next; the same again if that was asked before and never told."""
        running = self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        number = running[0].number if running else len(self.trials)
        self._study.sampler = TPESampler(
            seed=derive_seed(f"tune/{self.arm.label}/{number}", self.seed),
            n_startup_trials=STARTUP_TRIALS,
            constant_liar=False,  # trials of one arm never overlap
        )
        trial = optuna.trial.Trial(self._study, running[0]._trial_id) if running else self._study.ask()
        self._proposed = trial
        settings = {name: self._suggest(trial, name, knob) for name, knob in self.space.items()}
        try:
            return Proposal(settings, replace(self.arm, method=with_settings(self.arm.method, settings)))
        except ValidationError as error:
            return Proposal(settings, self.arm, error.errors()[0]["msg"])

    def refused(self, proposal: Proposal) -> Trial:
        """The trial of hyper-parameters that the method does not take together."""
        return Trial(len(self.trials), proposal.settings, FAILED, proposal.refusal, self.objective.worst)

    def tell(self, trial: Trial) -> None:
        """What came of the proposal."""
        assert self._proposed is not None
        self._proposed.set_user_attr("trial", trial.as_dict())
        if self.objective.max_kl is not None:
            excess = trial.kl - self.objective.max_kl if trial.status == OK and trial.kl is not None else math.inf
            self._proposed.set_constraint("kl", excess)
        self._study.tell(self._proposed, trial.value)
        self._proposed = None

    def _suggest(self, trial: optuna.trial.Trial, name: str, knob: Range | Choice) -> Any:
        default = self.defaults[name]
        if isinstance(knob, Choice):
            return trial.suggest_categorical(name, knob.values)
        if isinstance(default, int):
            return trial.suggest_int(name, int(knob.low), int(knob.high), step=int(knob.step or 1), log=knob.log)
        value = trial.suggest_float(name, knob.low, knob.high, step=knob.step, log=knob.log)
        return value if value == default else float(f"{value:.3g}")  # as the matrix will state it
