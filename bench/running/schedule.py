"""Which stages must run, in what order, and what came of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    _stages: dict[str, Stage] = field(default_factory=dict)
    _pending: dict[str, Mapping[str, Stage]] = field(default_factory=dict)
    _built: int = 0
    _labels: Counter[str] = field(default_factory=Counter)

    def run(self, cells: Mapping[str, Mapping[str, Stage]]) -> int:
        """Decide every cell; returns the number of stages that had to run."""
        self._pending = dict(cells)
        for stages in cells.values():
            self._require(stages["evaluation"])
        self._labels = Counter(stage.label for stage in self._stages.values())
        self._settle()
        if self._pending:
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
        # an ancestor that is known to have diverged decides this stage as well
        if all(self._outcome(parent).status == OK for parent in stage.parents.values() if self._known(parent)):
            self._stages[stage.key] = stage

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
        running: dict[int, Stage] = {}
        decided: dict[int, Outcome] = {}
        submitted: set[str] = set()
        while self._pending:
            for stage in self._ready(submitted)[: self.jobs - len(running)]:
                number = len(submitted)
                submitted.add(stage.key)
                running[number] = stage
                self.reporter.stage_started(self._shown(stage))
                pool.submit(self._job(number, stage))
            try:
                event = pool.event(timeout=0.5)
            except WorkerDied:
                for stage in running.values():
                    self._decide(stage, Outcome(FAILED, f"the worker process died; see {pool.log}"))
                for stage in [*self._stages.values()]:
                    self._decide(stage, Outcome(FAILED, f"not run: the worker process died; see {pool.log}"))
                return
            if event is None or event["event"] == "ready":
                continue
            number, stage = event["id"], running[event["id"]]
            if event["event"] == "progress":
                self.reporter.stage_progress(self._shown(stage), event["step"], event["total"])
            elif event["event"] == "exit":
                del running[number]
                outcome = decided.pop(number, None) or Outcome(FAILED, self._death(event["code"]))
                self._decide(stage, outcome)
            elif event["event"] == "done":
                decided[number] = self._read(stage)
                self._built += bool(event["built"])
            else:
                status: Status = SKIPPED if event["event"] == "skipped" else FAILED
                decided[number] = Outcome(status, event["reason"])

    def _ready(self, submitted: set[str]) -> list[Stage]:
        ready = [
            stage
            for stage in self._stages.values()
            if stage.key not in submitted and all(self._known(parent) for parent in stage.parents.values())
        ]
        # evaluations first, so that records come early; then whatever lies furthest upstream
        return sorted(ready, key=lambda stage: (stage.kind != "evaluation", STAGES.index(stage.kind)))

    def _job(self, number: int, stage: Stage) -> dict[str, Any]:
        return {
            "id": number,
            "kind": stage.kind,
            "key": stage.key,
            "spec": dict(stage.spec),
            "parents": {role: [parent.kind, parent.key] for role, parent in stage.parents.items()},
            "store": str(self.store.root),
            "log": str(log_file(self.logs, stage)),
        }

    @staticmethod
    def _death(code: int) -> str:
        if code == -9:
            return "killed (signal 9), most likely out of memory"
        return f"ended by signal {-code}" if code < 0 else f"ended with exit status {code}"

    # -- deciding --------------------------------------------------------------------------------------------------

    def _known(self, stage: Stage) -> bool:
        return stage.key in self.outcomes

    def _outcome(self, stage: Stage) -> Outcome:
        return self.outcomes[stage.key]

    def _decide(self, stage: Stage, outcome: Outcome) -> None:
        self._stages.pop(stage.key, None)
        self.outcomes[stage.key] = outcome
        self.reporter.stage_finished(self._shown(stage), outcome.status if outcome.status != OK else "done")
        if outcome.status != OK:
            self._drop_dependents()
        self._settle()

    def _drop_dependents(self) -> None:
        for key, stage in list(self._stages.items()):
            if any(self._known(p) and self._outcome(p).status != OK for p in stage.parents.values()):
                del self._stages[key]

    def _settle(self) -> None:
        """Report every cell whose fate is known."""
        for name, stages in list(self._pending.items()):
            known = {role: self._outcome(stage) for role, stage in stages.items() if self._known(stage)}
            bad = next(((role, outcome) for role, outcome in known.items() if outcome.status != OK), None)
            if bad is None and "evaluation" not in known:
                continue
            del self._pending[name]
            verdict = Outcome(OK)
            if bad is not None:
                role, outcome = bad
                where = "" if role == "policy" else f"{role}: "
                verdict = Outcome(outcome.status, f"{where}{outcome.reason}", outcome.step)
            self.on_cell(name, verdict, known)


def log_file(logs: Path, stage: Stage) -> Path:
    """Where everything that the stage and its libraries print goes."""
    readable = "-".join(stage.label.replace("·", " ").split())
    clean = "".join(letter if letter.isalnum() or letter in "-_.=" else "_" for letter in readable)
    return logs / f"{clean[:80]}-{stage.key[:8]}.log"
