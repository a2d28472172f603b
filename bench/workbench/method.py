"""What a method is: its hyper-parameters, and one `train` that returns a policy."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from bench.contracts.errors import BenchError, nearest
from bench.contracts.plugin import Plugin
from bench.contracts.search_space import Choice, Range, SearchSpace
from bench.contracts.task import Task

if TYPE_CHECKING:
    from bench.workbench.policy import Policy
    from bench.workbench.workbench import Workbench


class Method(Plugin):
    """A way to turn the SFT model π0 (or the base model) into a policy.

    Subclasses declare their hyper-parameters as fields and write one function, `train`.

    `needs` names the shared stages that must exist before `train` is called: any of ``"preferences"``, ``"ratings"``
    and ``"reward_model"``. The base model, the SFT model (the reference π0), prompts and demonstrations are always
    there.

    `unpaired` says that the method takes, where the data has no pairs, completions labelled wanted or unwanted one by
    one: `workbench.preferences` then has the columns `prompt`, `completion`, `label`.

    `search_space` says what `bench tune` may try: the two or three hyper-parameters that matter most, each with a
    `Range` or a `Choice` around its default.
    """

    needs: ClassVar[set[str]] = set()
    unpaired: ClassVar[bool] = False
    search_space: ClassVar[SearchSpace] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "stages" in cls.model_fields:
            raise BenchError(
                f"method {cls.name!r} has a hyper-parameter `stages`, which is a matrix's key for the shared stages "
                "of an arm: give it another name"
            )

    @abstractmethod
    def train(self, workbench: Workbench) -> Policy:
        """Return the policy. All randomness comes from `workbench.seed`."""

    def load(self, workbench: Workbench, directory: Path) -> Policy:
        """Restore from `directory` what `Policy.save` wrote there.

        A policy with a model needs nothing more than this default; one that works at decoding time overrides it.
        """
        return workbench.load_policy(directory)

    def unfit_for(self, task: Task) -> str | None:
        """Why this method cannot run on `task`, or None. A reason makes the cell `skipped`."""
        return None

    def tunable(self) -> dict[str, Range | Choice]:
        """What is to be tuned: the search space without the hyper-parameters that were set explicitly.

        Raises:
            BenchError: the search space names no hyper-parameter, one with values that it does not allow, or one whose
                default is outside (the first trial of every search is the default).
        """
        cls = type(self)
        for name, knob in cls.search_space.items():
            where = f"{cls.name}.search_space: {name}"
            info = cls.model_fields.get(name)
            if info is None:
                raise BenchError(f"{where} is no hyper-parameter{nearest(name, cls.model_fields)}")
            bounded: Any = Annotated[info.annotation, info]
            allowed: TypeAdapter[Any] = TypeAdapter(bounded)
            for value in knob.ends:
                try:
                    allowed.validate_python(value, strict=True)
                except ValidationError as error:
                    raise BenchError(f"{where} = {value!r}: {error.errors()[0]['msg']}") from None
            default = info.get_default(call_default_factory=True)
            if default not in knob:
                raise BenchError(f"{where}: its default, {default!r}, is not within {knob}")
        return {name: knob for name, knob in cls.search_space.items() if name not in self.model_fields_set}
