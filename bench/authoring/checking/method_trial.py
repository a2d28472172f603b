"""A method on trial: its trainings in the checking world, each made once and looked at by several checks."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.authoring.checking.artifacts import Artifacts, artifacts
from bench.authoring.checking.check import Broken, Unsuited, error_line
from bench.authoring.checking.observing import Traces, folder_digest, observed
from bench.authoring.checking.world import CheckingWorld
from bench.contracts.errors import BenchError
from bench.stages.job import seed_everything
from bench.workbench.method import Method
from bench.workbench.policy import Policy, Samples
from bench.workbench.workbench import Workbench

if TYPE_CHECKING:
    from torch import Tensor

SAMPLING_SEED = 7


@dataclass
class WatchedWorkbench(Workbench):
    """A workbench that remembers what was asked of it without having been declared."""

    undeclared: set[str] = field(default_factory=set)

    @property
    def handed_out(self) -> dict[str, Any]:
        """The shared models and data that were asked for, by the name of the property that gave them."""
        return self._cache

    def _declared(self, stage: str) -> None:
        if stage not in self.needs:
            self.undeclared.add(stage)
        super()._declared(stage)


@dataclass
class Training:
    """One call of `train`, and what it left.

    Attributes:
        policy: what was returned; None where an `error` was raised instead.
        labels_charged, labels_given: gold labels on the method's account, and those that the world gave while it ran.
        files_changed: shared artifacts on disk that are no longer what they were.
        reports: how often `workbench.progress` was called.
    """

    workbench: WatchedWorkbench
    world: CheckingWorld
    artifacts: Artifacts
    policy: Policy | None = None
    error: BaseException | None = None
    traces: Traces = field(default_factory=Traces)
    labels_charged: int = 0
    labels_given: int = 0
    files_changed: list[str] = field(default_factory=list)
    reports: int = 0

    def done(self) -> Policy:
        """The policy.

        Raises:
            Unsuited: there is none, which another check tells.
        """
        if not isinstance(self.policy, Policy):
            raise Unsuited("it does not train, see above")
        return self.policy

    @cached_property
    def samples(self) -> Samples:
        """Completions of the test prompts, four each.

        Raises:
            Unsuited: the policy fails to sample, which the check of that tells.
        """
        policy = self.done()
        try:
            return sample(policy, self.world)
        except Exception:
            raise Unsuited("its policy does not sample, see there") from None

    @cached_property
    def weights(self) -> dict[str, Tensor] | None:
        """Of the policy's model, if it has one."""
        model = self.done().model
        return None if model is None else dict(model.state_dict())


def sample(policy: Policy, world: CheckingWorld, seed: int = SAMPLING_SEED) -> Samples:
    """Completions of the test prompts, four each."""
    prompts: list[Any] = [prompt for prompt in world.prompts("test")["prompt"] for _ in range(4)]
    return policy.sample(prompts, seed)


def same_weights(first: dict[str, Tensor] | None, second: dict[str, Tensor] | None) -> bool:
    """Are they equal to the last bit, or is there no model in either?"""
    if first is None or second is None:
        return first is second
    return first.keys() == second.keys() and all(bool((first[name] == second[name]).all()) for name in first)


class MethodTrial:
    """A method with its settings, and its trainings."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self._folder = Path(tempfile.mkdtemp(prefix="bench-check-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    @cached_property
    def first(self) -> Training:
        """A plain training."""
        return self.train()

    @cached_property
    def again(self) -> Training:
        """The same seed, from another state of the global generators of random numbers."""
        return self.train(global_seed=987_654)

    @cached_property
    def other(self) -> Training:
        """Another seed."""
        return self.train(seed=1)

    @cached_property
    def padded(self) -> Training:
        """With a tokenizer whose padding is EOS."""
        return self.train(pad_is_eos=True)

    @cached_property
    def interrupted(self) -> Training:
        """Stopped, as by Ctrl-C, when it first reports progress."""
        return self.train(interrupt=True)

    @cached_property
    def unpaired(self) -> Training:
        """On the sides of pairs, labelled one by one."""
        return self.train(unpaired=True)

    def train(
        self,
        seed: int = 0,
        global_seed: int = 0,
        pad_is_eos: bool = False,
        rows: int | None = None,
        interrupt: bool = False,
        unpaired: bool = False,
    ) -> Training:
        """Call `train` on a fresh workbench, with all data sets cut to `rows`; an error is kept, not raised.

        Raises:
            Unsuited: the method says that it cannot run in the checking world.
        """
        world = CheckingWorld().limited_to(rows)
        if reason := self.method.unfit_for(world):
            raise Unsuited(f"the world of these checks does not suit it: {reason}")
        shared = artifacts().copy_to(Path(tempfile.mkdtemp(dir=self._folder)) / "artifacts")
        training = Training(self.workbench(world, shared, seed, pad_is_eos, rows), world, shared)
        if unpaired:
            from trl.data_utils import unpair_preference_dataset

            training.workbench.load_preferences = lambda: unpair_preference_dataset(shared.rows("preferences"))

        def progress(step: int, total: int) -> None:
            training.reports += 1
            if interrupt:
                raise KeyboardInterrupt

        training.workbench.on_progress = progress
        before = folder_digest(shared.folder)
        with observed() as traces:
            seed_everything(global_seed)
            try:
                training.policy = self.method.train(training.workbench)
            except (Exception, KeyboardInterrupt) as error:
                training.error = error
        training.traces = traces
        training.labels_charged = training.workbench.cost.gold_labels
        training.labels_given = world.labels_given
        after = folder_digest(shared.folder)
        files = before.keys() | after.keys()
        training.files_changed = sorted(file for file in files if before.get(file) != after.get(file))
        return training

    def workbench(
        self, world: CheckingWorld, shared: Artifacts, seed: int = 0, pad_is_eos: bool = False, rows: int | None = None
    ) -> WatchedWorkbench:
        """A workbench on `shared`, in an empty folder of its own."""
        tokenizer = shared.tokenizer(pad_is_eos)
        needs = set(type(self.method).needs)

        def labelled_rows(stage: str) -> Any:
            refuse_undeclared(stage)
            all_rows = shared.rows(stage)
            return all_rows if rows is None else all_rows.select(range(rows))

        def refuse_undeclared(stage: str) -> None:
            if stage not in needs:
                workbench.undeclared.add(stage)
                raise BenchError(f"there is no {stage} here: it is not in the method's `needs`")

        def load_reward_model() -> Any:
            refuse_undeclared("reward_model")
            return shared.reward_model(tokenizer)

        def measure(policy: Policy, step: int) -> None:
            sample(policy, world)

        workbench = WatchedWorkbench(
            task=world,
            tokenizer=tokenizer,
            seed=seed,
            device="cpu",
            checkpoints=Path(tempfile.mkdtemp(dir=self._folder)),
            load_base=lambda: shared.model("base", tokenizer),
            load_sft=lambda: shared.model("sft", tokenizer),
            load_demonstrations=lambda: world.demonstrations(0),
            load_preferences=lambda: labelled_rows("preferences"),
            load_ratings=lambda: labelled_rows("ratings"),
            load_corpus=lambda: world.corpus(0),
            load_reward_model=load_reward_model,
            needs=needs,
            curve_points=2,
            on_measure=measure,
        )
        return workbench


def must_train(training: Training) -> Policy:
    """The policy of a training that is promised to succeed.

    Raises:
        Broken: it raised an error, or returned something else.
    """
    if training.error is not None:
        raise Broken(f"`train` raised {error_line(training.error)}")
    if not isinstance(training.policy, Policy):
        raise Broken(f"`train` returned {training.policy!r}: return a Policy, for instance `workbench.policy(model)`")
    return training.policy
