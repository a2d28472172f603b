"""What a measure is that a plug-in adds: one number of a policy, from columns that the evaluation has of it.

The bench's own measures are functions of the same columns, see `bench.measures`.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from bench.contracts.errors import BenchError, nearest
from bench.contracts.plugin import Plugin

__all__ = ["COLUMNS", "Column", "Measure", "MeasureInfo"]


@dataclass(frozen=True)
class MeasureInfo:
    """What a table or a listing needs to know about a measure.

    better: where a good policy is; ``"zero"`` for signed estimates of something that should vanish; None
    where neither direction is good in itself.
    function: ``"module.function"`` within `bench.measures`, for people to find it; a plug-in's class.
    inputs: the columns that are the function's positional arguments, in order, by blanks; one row per completion,
    question, pair, …
    """

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower", "zero"] | None
    description: str
    function: str
    inputs: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in `inputs`."""
        return tuple(self.inputs.split())


class Column(NamedTuple):
    """A column that measures are computed from.

    per: what it has one value for, which is its shape. Texts are a list of str; all else is a numpy array of floats,
    or of integers or a list of int where it says int.
    """

    per: str
    meaning: str


# fmt: off
# the columns of `RunFrames.records` besides measures
_OF_RECORDS = {"cell", "index", "task", "model", "arm", "method", "seed", "status", "reason", "step", "judged_by",
               "hyperparameters", "stages", "task_settings", "model_settings", "set_aside", "about", "reward_models",
               "versions", "commit", "prompts_asked", "prompts_measured"}

COLUMNS: dict[str, Column] = {
    # what π wrote for held-out prompts, and what π0 wrote for the same prompts, row by row
    "prompts": Column("completion (text)", "the prompt of each completion; a prompt comes once per completion"),
    "prompt_ids": Column("completion (int)", "the number of the prompt, from 0"),
    "texts": Column("completion (text)", "what π wrote"),
    "reference_texts": Column("completion (text)", "what π0 wrote for the same prompt"),
    "length": Column("completion", "tokens of π's completion, the end of sequence included"),
    "finished": Column("completion", "1 where it ended before the token limit, else 0"),
    "proxy": Column("completion", "its score by the learned reward model"),
    "gold": Column("completion", "its gold reward, where the task has one"),
    "judge": Column("completion", "its score by gold, or by a reward model that no policy has seen"),
    "logp": Column("completion", "its log-probability under π, nats"),
    "reference_logp": Column("completion", "its log-probability under π0, nats"),
    "kl": Column("completion", "KL(π‖π0) over the whole vocabulary, summed over its tokens, nats"),
    "entropy": Column("completion", "entropy of π's next token, summed over its tokens, nats"),
    "reference_proxy": Column("completion", "as `proxy`, of what π0 wrote"),
    "reference_gold": Column("completion", "as `gold`, of what π0 wrote"),
    "reference_judge": Column("completion", "as `judge`, of what π0 wrote"),
    "reference_sample_logp": Column("completion", "log-probability under π0 of what π0 wrote, nats"),
    "reference_sample_length": Column("completion", "tokens of what π0 wrote"),
    "kl_forward": Column("completion", "KL(π0‖π), summed over the tokens of what π0 wrote, nats"),
    # held-out text of the task, read by π
    "reference_nll": Column("reference text", "−log π of each reference completion, nats"),
    "reference_tokens": Column("reference text", "tokens of each reference completion"),
    "token_confidence": Column("place", "probability of π's most probable token, at each place of those completions"),
    "token_correct": Column("place", "is it the token that stands there?"),
    "entry_confidence": Column("place and token", "every probability of at least 0.01 that π gives a token there"),
    "entry_correct": Column("place and token", "is it the probability of the token that stands there?"),
    # held-out preference pairs
    "chosen_logp": Column("pair", "log π of the preferred completion, nats"),
    "rejected_logp": Column("pair", "log π of the other completion, nats"),
    # multiple-choice questions
    "probabilities": Column("question and choice", "π's probabilities of the choices of each question"),
    "answers": Column("question (int)", "which choice is right"),
    "posteriors": Column("question and choice", "the true probabilities, where the task knows them"),
    # every completion of a few held-out prompts, where they can be listed
    "exact_prompt": Column("listed completion (int)", "the number of the prompt"),
    "exact_logp": Column("listed completion", "log π of each completion, nats"),
    "exact_reference_logp": Column("listed completion", "log π0 of each completion, nats"),
    "exact_gold": Column("listed completion", "its gold reward"),
}
"""Every column that `bench.stages.evaluation` may have. One that is not known for a policy is not there (gold without a
gold reward, log-probabilities without a model), nor is then a measure that asks for it."""
# fmt: on


class Measure(Plugin):
    """One number of a policy. A subclass writes `compute`, whose parameters are named as the columns it wants.

    The number is in the record of every cell that knows those columns. `compute` must depend on nothing else: the same
    columns, the same number. It may return NaN where the number is not defined, and raise ValueError for columns that
    make no sense, which ends the cell as failed. A measure has no settings: one name, one definition.

    Attributes:
        name: in records and tables; the class's name in snake_case by default.
        label: as people read it; the name with blanks by default.
        unit: ``"nats"``, ``"tokens"``, …; empty for a pure number.
        better: ``"higher"``, ``"lower"``, ``"zero"`` (a signed estimate of what should vanish), or None where neither
            direction is good in itself.
        inputs: the names of the columns, from `compute`; each is a key of `bench.COLUMNS`.
    """

    label: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    better: ClassVar[Literal["higher", "lower", "zero"] | None] = None
    inputs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if inspect.isabstract(cls):
            return
        for field in cls.model_fields:
            raise BenchError(f"measure {cls.name!r} has a setting, {field!r}: make it a constant, or another measure")
        if cls.better not in (directions := ("higher", "lower", "zero", None)):
            raise BenchError(f"measure {cls.name!r}: better = {cls.better!r}{nearest(str(cls.better), directions[:3])}")
        if cls.name in _OF_RECORDS or cls.name.startswith(("cost_", "gold_", "reference_")):
            raise BenchError(f"measure {cls.name!r}: records use that name for something else; give it another")
        cls.label = cls.label if "label" in cls.__dict__ else cls.name.replace("_", " ")
        cls.inputs = tuple(_columns_of(cls))

    @abstractmethod
    def compute(self, *args: Any, **columns: Any) -> float:
        """The number, from columns of equal length where they have the same kind of row; see `COLUMNS`."""

    @classmethod
    def info(cls) -> MeasureInfo:
        """What tables and listings need to know."""
        function = f"{cls.__module__}.{cls.__qualname__}"
        return MeasureInfo(cls.name, cls.label, cls.unit, cls.better, cls.summary(), function, " ".join(cls.inputs))


def _columns_of(cls: type[Measure]) -> Iterable[str]:
    parameters = inspect.signature(cls().compute).parameters.values()
    if not parameters:
        raise BenchError(f"measure {cls.name!r}: compute asks for no column, such as {', '.join(list(COLUMNS)[:3])}")
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise BenchError(f"measure {cls.name!r}: compute must name its columns one by one, not {parameter}")
        if parameter.name not in COLUMNS:
            raise BenchError(f"measure {cls.name!r}: no column {parameter.name!r}{nearest(parameter.name, COLUMNS)}")
        yield parameter.name
