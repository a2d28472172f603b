"""How a measure is defined: a decorator on its function says its name, label, unit, direction and description.

    measure = Definitions(of="a policy")

    @measure("entropy", "entropy", "nats/token", None, "mean entropy of π's next-token distribution")
    def token_entropy(entropy: ArrayLike, length: ArrayLike) -> float: ...

That is all there is to a new measure. It is computed from the columns that its parameters name; those that are keyword
only are settings. `bench.measures.registry` has all measures of all files.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from bench.contracts.measure import COLUMNS, Column, MeasureInfo

Subject = Literal["a policy", "a reward model", "a training path"]
Function = TypeVar("Function", bound=Callable[..., float])

COLUMNS_OF: dict[Subject, dict[str, Column]] = {
    "a policy": COLUMNS | {"n": Column("prompt (int)", "completions that best-of-n draws, which gives its own bound")},
    "a reward model": {
        "chosen_score": Column("held-out pair", "its score of the preferred completion"),
        "rejected_score": Column("held-out pair", "its score of the other completion"),
        "heldout_score": Column("completion of a held-out pair", "its score"),
        "heldout_gold": Column("completion of a held-out pair", "the gold reward"),
    },
    "a training path": {
        "path_kl": Column("point", "KL(π‖π0) there, nats"),
        "path_reward": Column("point", "the gold reward there, or the judge's score"),
    },
}
"""Every column that a built-in measure may ask for, by what it is a measure of."""


@dataclass(frozen=True)
class BuiltinMeasure(MeasureInfo):
    """A measure of the bench's own.

    compute: the pure function that defines it.
    of: what it is a measure of.
    """

    compute: Callable[..., float]
    of: Subject


class Definitions(list[BuiltinMeasure]):
    """The measures of one kind, in the order in which listings show them; called, it is the decorator that adds one."""

    def __init__(self, of: Subject) -> None:
        super().__init__()
        self.of = of

    def __call__(
        self,
        name: str,
        label: str,
        unit: str,
        better: Literal["higher", "lower", "zero"] | None,
        description: str,
        column: str | None = None,
    ) -> Callable[[Function], Function]:
        """The decorator; see `MeasureInfo` for what it says.

        column: in place of the parameter's name, for a function of one column that defines several measures.
        """

        def define(function: Function) -> Function:
            where = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
            inputs = column or " ".join(_columns_of(function))
            self.append(BuiltinMeasure(name, label, unit, better, description, where, inputs, function, self.of))
            return function

        return define


def _columns_of(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
