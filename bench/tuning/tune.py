"""Tuning a matrix: every arm gets the same number of trials, on seeds that the results do not use.

Trial k of all arms is one ordinary run of the matrix with the proposed hyper-parameters on the tuning seeds, so that
artifacts are shared, cells run side by side, and what the store has is not run again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.contracts.errors import BenchError
from bench.contracts.search_space import Choice, Range
from bench.matrix.cells import Arm, Matrix
from bench.records.files import SEARCH
from bench.records.record import SKIPPED
from bench.running.progress import Reporter
from bench.running.run import RESULTS, device_of_runs, read_matrix, run
from bench.tuning.objective import Objective, Trial
from bench.tuning.search import Proposal, Search, open_storage, with_settings

FIRST_TUNING_SEED = 1000
MOST = 10_000


@dataclass(frozen=True)
class TunedArm:
    """An arm after its search.

    Attributes:
        arm: as the matrix has it.
        space: what was tuned, by hyper-parameter; empty if nothing was.
        trials: all of them; the first has the defaults.
        best: the chosen one; None if nothing was tuned, or no trial ended well within the limit on KL.
    """

    arm: Arm
    space: Mapping[str, Range | Choice]
    trials: tuple[Trial, ...] = ()
    best: Trial | None = None

    @property
    def chosen(self) -> Arm:
        """The arm with the hyper-parameters that were found; as it was, if none were."""
        return replace(self.arm, method=with_settings(self.arm.method, self.best.settings)) if self.best else self.arm


@dataclass(frozen=True)
class Tuned:
    """A finished search.

    Attributes:
        matrix: as it was given.
        seeds: those that were tuned on; none of the matrix's.
        sampler_seed: of the proposals.
    """

    matrix: Matrix
    objective: Objective
    trials: int
    seeds: tuple[int, ...]
    sampler_seed: int
    arms: tuple[TunedArm, ...]


def tune(
    matrix: str | Path | Mapping[str, Any] | Matrix,
    out: str | Path | None = None,
    trials: int = 12,
    seeds: int = 2,
    measure: str | None = None,
    max_kl: float | None = None,
    sampler_seed: int = 0,
    jobs: int | None = None,
    store: str | Path | None = None,
    plugins: Iterable[str | Path] = (),
    reporter_of: Callable[[], Reporter] = Reporter,
) -> Tuned:
    """Search every arm's hyper-parameters; a search that was interrupted carries on.

    A hyper-parameter that the matrix sets stays as it is set, the others of a method's search space are tuned. One
    setting serves all tasks and models of the matrix. The choice depends neither on `jobs` nor on interruptions.

    Args:
        matrix: as for `bench.run`.
        out: folder for studies and for the trials' records; ``results/<name of the matrix>-tuned`` by default.
        trials: for every arm; the first is its defaults.
        seeds: how many tuning seeds, from 1000 upwards without those of the matrix.
        measure: what to improve; by default gold, or the judge where a task has no gold reward.
        max_kl: choose among trials with at most so many nats of KL(π‖π0).
        sampler_seed: of the proposals.
        reporter_of: makes what tells a person about one round of trials.

    Raises:
        BenchError: a mistake in the matrix, a search space or an argument, before anything runs.
    """
    matrix = read_matrix(matrix, plugins)
    for name, number in (("trials", trials), ("seeds", seeds)):
        if not 1 <= number <= MOST:
            raise BenchError(f"{name}: {number} is not a number of {name} — from 1 to {MOST:,}")
    objective = Objective.of(matrix, measure, max_kl)
    spaces = {arm.label: arm.method.tunable() for arm in matrix.arms}
    if not any(spaces.values()):
        raise BenchError(f"nothing to tune: no arm of {matrix.name} ({', '.join(spaces)}) has a free search space")
    tuning = replace(matrix, seeds=tuning_seeds(matrix, seeds))
    directory = (Path(out) if out is not None else tuned_directory(matrix)).absolute()
    storage = open_storage(directory / SEARCH)
    device = device_of_runs()
    searches = [
        Search(arm, tuning, objective, storage, sampler_seed, device) for arm in matrix.arms if spaces[arm.label]
    ]
    for number in range(trials):
        folder = directory / "trials" / f"{number:02d}"
        _round(number, trials, searches, tuning, folder, jobs, store, reporter_of)
    trials_of: dict[str, tuple[Trial, ...]] = {arm.label: () for arm in matrix.arms}
    trials_of |= {search.arm.label: tuple(search.trials[:trials]) for search in searches}
    arms = tuple(
        TunedArm(arm, spaces[arm.label], trials_of[arm.label], objective.best(trials_of[arm.label]))
        for arm in matrix.arms
    )
    return Tuned(matrix, objective, trials, tuning.seeds, sampler_seed, arms)


def tuned_directory(matrix: Matrix) -> Path:
    """Where a search goes by default: also where `bench run` puts the records of the matrix that it writes."""
    return RESULTS / f"{matrix.name}-tuned"


def tuning_seeds(matrix: Matrix, count: int) -> tuple[int, ...]:
    """`count` seeds from 1000 upwards, none of which is the matrix's."""
    free = (seed for seed in itertools.count(FIRST_TUNING_SEED) if seed not in matrix.seeds)
    return tuple(itertools.islice(free, count))


def _round(
    number: int,
    trials: int,
    searches: list[Search],
    tuning: Matrix,
    folder: Path,
    jobs: int | None,
    store: str | Path | None,
    reporter_of: Callable[[], Reporter],
) -> None:
    """Trial `number` of every arm that has not had it; an arm that can run nowhere is not tried again."""
    proposals: list[tuple[Search, Proposal]] = []
    for search in searches:
        earlier = search.trials
        if len(earlier) == number and not any(trial.status == SKIPPED for trial in earlier):
            proposals.append((search, search.propose()))
    reporter = reporter_of()
    arms = tuple(proposal.arm for _, proposal in proposals if proposal.refusal is None)
    if arms:
        trial_matrix = replace(tuning, name=f"{tuning.name}-trial-{number:02d}", arms=arms)
        records = run(trial_matrix, folder, jobs, store=store, reporter=reporter).records
    outcomes = []
    for search, proposal in proposals:
        if proposal.refusal is not None:
            trial = search.refused(proposal)
        else:
            cells = records[records["arm"] == search.arm.label]
            trial = search.objective.trial(number, proposal.settings, cells)
        search.tell(trial)
        outcomes.append(f"{search.arm.label} {f'{trial.value:.4g}' if trial.reason is None else trial.status}")
    if outcomes:
        reporter.say(f"trial {number + 1} of {trials}: {', '.join(outcomes)}")


__all__ = ["Objective", "Trial", "Tuned", "TunedArm", "tune", "tuned_directory", "tuning_seeds"]
