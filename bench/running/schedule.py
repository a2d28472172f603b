"""Which stages must run, in what order, and what came of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contracts.errors import BenchError
from bench.contracts.stage_settings import STAGES
from bench.records.record import DIVERGED, FAILED, OK, SKIPPED, Status
from bench.running.pool import Pool, WorkerDied
from bench.running.progress import Reporter
from bench.stages.artifact import INFO
from bench.stages.graph import Stage
from bench.store.store import Store


@dataclass(frozen=True)
class Outcome:
    """What came of a stage: a status, and if not ok the reason and, for a divergence, the step."""

    status: Status
    reason: str | None = None
    step: int | None = None
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Schedule:
    """Runs the stages that the given cells need, each once, as many at a time as `jobs`.

    Args:
        store: where artifacts are looked up and written.
        jobs: how many processes.
        open_pool: starts the worker; called only if something has to run.
        logs: the folder of the stages' logs.
        on_cell: called with (cell name, its status, outcomes by role) as soon as a cell is decided.
    """

    store: Store
    jobs: int
    open_pool: Callable[[], Pool]
    reporter: Reporter
    logs: Path
    on_cell: Callable[[str, Outcome, Mapping[str, Outcome]], None]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    _cells: dict[str, Mapping[str, Stage]] = field(default_factory=dict)
    _stages: dict[str, Stage] = field(default_factory=dict)
    _running: dict[str, Stage] = field(default_factory=dict)
    _submitted: set[str] = field(default_factory=set)
    _reported: dict[str, Outcome] = field(default_factory=dict)
    _labels: Counter[str] = field(default_factory=Counter)
    _built: int = 0

    def run(self, cells: Mapping[str, Mapping[str, Stage]]) -> int:
        """Decide every cell; returns the number of stages that had to run."""
        self._cells = dict(cells)
        for stages in cells.values():
            self._require(stages["evaluation"])
        self._labels = Counter(stage.label for stage in self._stages.values())
        self._settle_cells()
        if self._cells:
            if reason := self.store.unwritable():
                lacks = next(iter(self._stages.values())).label
                raise BenchError(
                    f"the store at {self.store.root} cannot be written to ({reason}), and it lacks "
                    f"{len(self._stages)} stages of {len(self._cells)} cells, e.g. {lacks}: name another by --store"
                )
            pool = self.open_pool()
            try:
                self._work(pool)
            finally:
                pool.close()
        return self._built

    # -- what is there already -------------------------------------------------------------------------------------

    def _require(self, stage: Stage) -> None:
        """Note `stage`, and what it builds on if it has to run."""
        if stage.key in self._stages or stage.key in self.outcomes:
            return
        found = self._look_up(stage)
        if found is not None:
            self.outcomes[stage.key] = found
            return
        for parent in stage.parents.values():
            self._require(parent)
        if not self._hopeless(stage):
            self._stages[stage.key] = stage

    def _hopeless(self, stage: Stage) -> bool:
        """Is there a parent that ended badly? A divergence may be known from an earlier run."""
        outcomes = [self.outcomes[parent.key] for parent in stage.parents.values() if parent.key in self.outcomes]
        return any(outcome.status != OK for outcome in outcomes)

    def _look_up(self, stage: Stage) -> Outcome | None:
        if not self.store.has(stage.kind, stage.key):
            return None
        if damage := self.store.damage(stage.kind, stage.key):
            self.reporter.say(f"damaged artifact ({damage}), making it again: {stage.label}")
            self.store.discard(stage.kind, stage.key)
            return None
        return self._read(stage)

    def _read(self, stage: Stage) -> Outcome:
        info = json.loads((self.store.path(stage.kind, stage.key) / INFO).read_text(encoding="utf-8"))
        if "diverged" in info:
            return Outcome(DIVERGED, info["diverged"], info["step"], info)
        return Outcome(OK, info=info)

    def _shown(self, stage: Stage) -> str:
        """Its label; the key as well where other settings of the same stage run, too."""
        return f"{stage.label} ({stage.key[:4]})" if self._labels[stage.label] > 1 else stage.label

    # -- running ---------------------------------------------------------------------------------------------------

    def _work(self, pool: Pool) -> None:
        """Keep the pool busy until every cell is decided."""
        try:
            while self._cells:
                for stage in self._ready()[: self.jobs - len(self._running)]:
                    self._submitted.add(stage.key)
                    self._running[stage.key] = stage
                    self.reporter.stage_started(self._shown(stage))
                    pool.submit(self._job(stage))
                if event := pool.event(timeout=0.5):
                    self._heed(event, self._running[event["key"]])
        except WorkerDied:
            reason = f"the worker process died; see {pool.log}"
            for stage in [*self._running.values()]:
                self._decide(stage, Outcome(FAILED, reason))
            for stage in [*self._stages.values()]:
                self._decide(stage, Outcome(FAILED, f"not run: {reason}"))

    def _ready(self) -> list[Stage]:
        """What can start now: evaluations first, so that records come early; then whatever lies furthest upstream."""
        ready = [
            stage
            for key, stage in self._stages.items()
            if key not in self._submitted and all(parent.key in self.outcomes for parent in stage.parents.values())
        ]
        return sorted(ready, key=lambda stage: (stage.kind != "evaluation", STAGES.index(stage.kind)))

    def _heed(self, event: Mapping[str, Any], stage: Stage) -> None:
        """What `stage` reports decides it once its process has ended: only then is its memory free for another."""
        match event["event"]:
            case "progress":
                self.reporter.stage_progress(self._shown(stage), event["step"], event["total"])
            case "done":
                self._reported[stage.key] = self._read(stage)
                self._built += bool(event["built"])
            case "skipped":
                self._reported[stage.key] = Outcome(SKIPPED, event["reason"])
            case "failed":
                self._reported[stage.key] = Outcome(FAILED, event["reason"])
            case "exit":
                del self._running[stage.key]
                self._decide(stage, self._reported.pop(stage.key, Outcome(FAILED, _death(event["code"]))))

    def _job(self, stage: Stage) -> dict[str, Any]:
        return {
            "kind": stage.kind,
            "key": stage.key,
            "spec": dict(stage.spec),
            "parents": {role: [parent.kind, parent.key] for role, parent in stage.parents.items()},
            "store": str(self.store.root),
            "log": str(log_file(self.logs, stage)),
        }

    # -- deciding --------------------------------------------------------------------------------------------------

    def _decide(self, stage: Stage, outcome: Outcome) -> None:
        self._stages.pop(stage.key, None)
        self.outcomes[stage.key] = outcome
        self.reporter.stage_finished(self._shown(stage), outcome.status if outcome.status != OK else "done")
        if outcome.status != OK:
            self._stages = {key: other for key, other in self._stages.items() if not self._hopeless(other)}
        self._settle_cells()

    def _settle_cells(self) -> None:
        """Report every cell whose fate is known."""
        for name, stages in list(self._cells.items()):
            outcomes = {role: self.outcomes[stage.key] for role, stage in stages.items() if stage.key in self.outcomes}
            if verdict := _verdict(outcomes):
                del self._cells[name]
                self.on_cell(name, verdict, outcomes)


def _verdict(outcomes: Mapping[str, Outcome]) -> Outcome | None:
    """Of a cell, from those of its stages by role: the first that ended badly decides; None while it is open."""
    for role, outcome in outcomes.items():
        if outcome.status != OK:
            where = "" if role == "policy" else f"{role}: "
            return Outcome(outcome.status, f"{where}{outcome.reason}", outcome.step)
    return Outcome(OK) if "evaluation" in outcomes else None


def _death(code: int) -> str:
    """Why a process ended that did not say so itself."""
    if code == -9:
        return "killed (signal 9), most likely out of memory"
    return f"ended by signal {-code}" if code < 0 else f"ended with exit status {code}"


def log_file(logs: Path, stage: Stage) -> Path:
    """Where everything that the stage and its libraries print goes."""
    readable = "-".join(stage.label.replace("·", " ").split())
    clean = "".join(letter if letter.isalnum() or letter in "-_.=" else "_" for letter in readable)
    return logs / f"{clean[:80]}-{stage.key[:8]}.log"
