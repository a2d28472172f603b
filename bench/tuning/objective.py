"""What a search is after: a measure, its direction, and a limit on KL; read from the records of a trial's cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError, nearest
from bench.contracts.measure import MeasureInfo
from bench.matrix.cells import Matrix
from bench.measures.registry import MEASURES
from bench.records.record import DIVERGED, FAILED, OK, SKIPPED

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trial:
    """One set of hyper-parameters, run on every tuning seed.

    Attributes:
        number: from 0; trial 0 has the method's defaults.
        settings: the hyper-parameters that are tuned, by name.
        status: ok, diverged, failed or skipped; ok only if all its cells are.
        value: of the objective, the mean over cells; the worst possible where the status is not ok.
        values: the measure in each cell, by the cell's id.
        kl: mean KL(π‖π0) in nats (for best-of-n its upper bound); None where nothing tells it.
        seconds, tokens_sampled, tokens_trained: sums of what the cells' records state, shared stages included.
    """

    number: int
    settings: Mapping[str, Any]
    status: str
    reason: str | None
    value: float
    values: Mapping[str, float] = field(default_factory=dict)
    kl: float | None = None
    seconds: float = 0.0
    tokens_sampled: int = 0
    tokens_trained: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For the study's storage: `Trial(**trial.as_dict())` is the trial."""
        return asdict(self)


@dataclass(frozen=True)
class Objective:
    """The best `measure` there is, at a KL of at most `max_kl` nats if that is given.

    Attributes:
        plugged: what the measure is, where a plug-in adds it.
        standardised: state the measure as its gain over π0's own, in standard deviations of π0's samples. Needed where
            one arm's settings serve several tasks or models, whose rewards are on different scales.
    """

    measure: str
    max_kl: float | None = None
    standardised: bool = False
    plugged: MeasureInfo | None = None

    @classmethod
    def of(cls, matrix: Matrix, measure: str | None, max_kl: float | None) -> Objective:
        """The objective for `matrix`; by default gold, or the judge where some task has no gold.

        Raises:
            BenchError: there is no such measure, it has no good direction, or a task does not know it.
        """
        without_gold = [task.label for task in matrix.tasks if not task.task.has_gold]
        measure = measure or ("judge" if without_gold else "gold")
        plugged = {each.name: each.info() for each in matrix.measures}
        directed = [name for name, info in (MEASURES | plugged).items() if info.better]
        if measure not in MEASURES | plugged:
            raise BenchError(f"no measure {measure!r}{nearest(measure, directed)}")
        if measure not in directed:
            raise BenchError(f"measure {measure!r}: neither more nor less of it is better; did you mean --max-kl?")
        if measure == "gold" and without_gold:
            raise BenchError(
                f"task {without_gold[0]!r} has no gold reward — did you mean 'judge', a held-out reward model?"
            )
        if max_kl is not None and not 0 < max_kl < math.inf:
            raise BenchError(f"max-kl: {max_kl} is not a number of nats above 0")
        several = len(matrix.tasks) * len(matrix.models) > 1
        scaled = several and f"reference_{measure}_sd" in MEASURES
        return cls(measure, max_kl, scaled, plugged.get(measure))

    @property
    def info(self) -> MeasureInfo:
        """The measure's label, unit and direction."""
        return self.plugged or MEASURES[self.measure]

    @property
    def maximise(self) -> bool:
        """Is more better?"""
        return self.info.better == "higher"

    @property
    def worst(self) -> float:
        """The value of a trial that did not end well."""
        return -math.inf if self.maximise else math.inf

    def __str__(self) -> str:
        scale = ", gain over π0 in its standard deviations" if self.standardised else ""
        limit = f", KL at most {self.max_kl:g} nats" if self.max_kl is not None else ""
        return f"{self.info.label} ({self.info.better} is better{scale}){limit}"

    def trial(self, number: int, settings: Mapping[str, Any], cells: pd.DataFrame) -> Trial:
        """What came of a trial.

        Args:
            cells: its rows of `RunFrames.records`. Those that the method cannot run on are left out; one that
                diverged or failed makes the trial a bad one: never are only the lucky seeds averaged.
        """
        ran = cells[cells["status"] != SKIPPED]
        if ran.empty:
            return Trial(number, settings, SKIPPED, cells["reason"].iloc[0], self.worst)
        cost: dict[str, Any] = {
            "seconds": round(_total(ran, "cost_seconds"), 2),
            "tokens_sampled": int(_total(ran, "cost_tokens_sampled")),
            "tokens_trained": int(_total(ran, "cost_tokens_trained")),
        }
        bad = ran[ran["status"] != OK]
        if not bad.empty:
            status = DIVERGED if (bad["status"] == DIVERGED).all() else FAILED
            reason = f"{len(bad)} of {len(ran)} cells: {bad['reason'].iloc[0]}"
            return Trial(number, settings, status, reason, self.worst, **cost)
        if self.measure not in ran:
            known = [name for name in ran if name in MEASURES and MEASURES[str(name)].better]
            raise BenchError(f"measure {self.measure!r} is not known in this world{nearest(self.measure, known)}")
        values = {str(cell): float(value) for cell, value in zip(ran["cell"], ran[self.measure], strict=True)}
        value = float(self._scaled(ran).mean(skipna=False))
        if not math.isfinite(value):
            return Trial(number, settings, FAILED, f"{self.measure} is not finite", self.worst, **cost)
        divergence = next((float(ran[name].mean()) for name in ("kl", "kl_bound") if name in ran), math.nan)
        kl = divergence if math.isfinite(divergence) else None
        return Trial(number, settings, OK, None, value, values, kl, **cost)

    def within_limit(self, trial: Trial) -> bool:
        """Is its KL at most `max_kl`? Unknown is not."""
        return self.max_kl is None or (trial.kl is not None and trial.kl <= self.max_kl)

    def best(self, trials: Iterable[Trial]) -> Trial | None:
        """The best trial that ended well within the limit, the earliest of equals; None if there is none."""
        good = [trial for trial in trials if trial.status == OK and self.within_limit(trial)]
        sign = -1 if self.maximise else 1
        return min(good, key=lambda trial: (sign * trial.value, trial.number), default=None)

    def _scaled(self, cells: pd.DataFrame) -> pd.Series[float]:
        values = cells[self.measure]
        if self.info.better == "zero":
            return values.abs()
        if self.standardised:
            return (values - cells[f"reference_{self.measure}"]) / cells[f"reference_{self.measure}_sd"]
        return values


def _total(cells: pd.DataFrame, column: str) -> float:
    return float(cells[column].sum()) if column in cells else 0.0
