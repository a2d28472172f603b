"""What there is to know about everything that has a name: for `bench describe`, completion and the matrix's schema.

All of it is from the classes and their docstrings.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from bench.catalogue import plugins
from bench.catalogue.plugged_measures import plugged_measures
from bench.catalogue.settings_in_words import one_line, settings_of
from bench.contracts.errors import BenchError, nearest
from bench.contracts.measure import MeasureInfo
from bench.contracts.paths import user_path
from bench.contracts.plugin import Plugin
from bench.contracts.stage_settings import Evaluation, Stages, TinyModel
from bench.contracts.task import Task
from bench.contracts.yaml import write_yaml
from bench.measures.registry import MEASURES
from bench.workbench.method import Method

P = TypeVar("P", bound=Plugin)

_ROOT = Path(__file__).resolve().parents[2]
_SECTIONS: dict[str, type[BaseModel]] = {
    "tiny": TinyModel,
    "evaluation": Evaluation,
    "stages": Stages,
    **{f"stages.{name}": type(section) for name, section in Stages() if isinstance(section, BaseModel)},
}


@dataclass(frozen=True)
class Entry:
    """One method, task, judge, measure, or section of a matrix file.

    Attributes:
        text: its docstring; of a measure, what it is.
        source: the file that defines it, relative to the installed packages where it is one of theirs.
        settings: the class whose fields are its settings; None for a measure.
        about: what the defining module says of itself (the paper), if anything.
        facts: anything else that is known of it, by name.
        example: how it stands in a matrix file (YAML), or on the command line; empty for a measure.
    """

    kind: Literal["method", "task", "judge", "measure", "section"]
    name: str
    text: str
    source: str
    settings: type[BaseModel] | None
    about: str
    facts: Mapping[str, str]
    example: str

    @property
    def summary(self) -> str:
        """The first line of the text."""
        return self.text.partition("\n")[0]


def entries(files: Iterable[Path] = ()) -> list[Entry]:
    """Everything that has a name: methods, tasks, judges, measures, sections of a matrix file, in this order.

    Args:
        files: plug-ins to look in besides what is built in; examples name those that they need.
    """
    files = list(files)
    methods, tasks, judges = plugins.methods(files), plugins.tasks(files), plugins.judges(files)
    worlds = [task for cls in tasks.values() if (task := _with_defaults(cls))]
    worlds.sort(key=lambda task: (task.max_completion_tokens, task.name))  # the smallest world first
    plain_method = next((name for name, cls in methods.items() if not cls.needs and _with_defaults(cls)), "")
    return [
        *(_method(cls, worlds, files) for cls in methods.values()),
        *(
            _entry("task", cls, _matrix({"tasks": _example_choice(cls), "methods": plain_method}, files, cls))
            for cls in tasks.values()
        ),
        *(_entry("judge", cls, _judge_command(cls)) for cls in judges.values()),
        *(_measure(info, _module_of(info)) for info in MEASURES.values()),
        *(_measure(cls.info(), _source(cls), _text(cls)) for cls in plugged_measures(files).values()),
        *(_section(name, cls, worlds[0].name, plain_method) for name, cls in _SECTIONS.items()),
    ]


def find(name: str, files: Iterable[Path] = ()) -> list[Entry]:
    """All entries of that name (a judge and a measure may share one).

    Raises:
        BenchError: there is none; with the nearest name, and the files that could not be searched.
    """
    files = list(files)
    known = entries(files)
    if found := [entry for entry in known if entry.name == name]:
        return found
    unread = "".join(f"; {file} could not be searched: {error}" for file, error in plugins.broken(files).items())
    raise BenchError(f"nothing is called {name!r}{nearest(name, {entry.name for entry in known})}{unread}")


# -- entries of each kind ----------------------------------------------------------------------------------------------


def _entry(kind: Any, cls: type[Plugin], example: str, **facts: str) -> Entry:
    about = one_line((sys.modules[cls.__module__].__doc__ or "").strip().partition("\n\n")[0])
    return Entry(kind, cls.name, _text(cls), _source(cls), cls, about, facts, example)


def _method(cls: type[Method], worlds: Sequence[Task], files: Sequence[Path]) -> Entry:
    space = "; ".join(f"{name}: {knob}" for name, knob in cls.search_space.items())
    method = _with_defaults(cls)
    world = next((task.name for task in worlds if method and not method.unfit_for(task)), worlds[0].name)
    example = _matrix({"tasks": world, "methods": _example_choice(cls)}, files, cls)
    needs = ", ".join(sorted(cls.needs)) or "nothing but the SFT model"
    return _entry(
        "method", cls, example, needs=needs, **{"search space": space or "none: `bench tune` has nothing to try"}
    )


def _measure(info: MeasureInfo, source: str, text: str = "") -> Entry:
    direction = {"zero": "0 is best", None: "none"}.get(info.better) or f"{info.better} is better"
    facts = {"unit": info.unit or "none", "direction": direction, "made from": ", ".join(info.columns)}
    facts["definition and trap"] = "see `bench measures`"
    return Entry("measure", info.name, text or info.description, source, None, "", facts, "")


def _module_of(info: MeasureInfo) -> str:
    """The file that defines a measure of the bench's own."""
    return f"bench/measures/{info.function.partition('.')[0]}.py"


def _section(name: str, cls: type[BaseModel], world: str, plain_method: str) -> Entry:
    setting = next(settings_of(cls))
    value: Any = json.loads(setting.default or "null")
    for key in reversed([*name.split("."), *setting.name.split(".")]):
        value = {key: value}
    matrix = {"tasks": world, "methods": plain_method, **({"models": value} if cls is TinyModel else value)}
    return Entry("section", name, _text(cls), _source(cls), cls, "", {}, write_yaml(matrix))


def _matrix(matrix: dict[str, Any], files: Sequence[Path], cls: type[Plugin]) -> str:
    """As YAML, with the plug-in among `files` that `cls` comes from, if it does."""
    definition = Path(inspect.getfile(cls)).resolve()
    plugins_named = (user_path(file).resolve() for file in files)
    origin = [str(file) for file in plugins_named if definition.is_relative_to(file)]
    return write_yaml(matrix | ({"plugins": origin} if origin else {}))


def _example_choice(cls: type[Plugin]) -> Any:
    """A task or method as an example names it: as it is and, where it has settings, with the first at its default.

    Of a method that can be tuned, the first that is tuned instead, as a grid.
    """
    space = getattr(cls, "search_space", {})
    fields = cls.model_fields
    examples = {name: info.examples[0] for name, info in fields.items() if info.examples}
    examples |= {name: "…" for name, info in fields.items() if info.is_required() and name not in examples}
    name = next((name for name in fields if name in space), next(iter(fields), None))
    if examples or name is None:
        return {cls.name: examples} if examples else cls.name
    value = fields[name].get_default(call_default_factory=True)
    if name in space:
        value = [value, next(end for end in reversed(space[name].ends) if end != value)]
    return {cls.name: {name: json.loads(json.dumps(value, default=str))}}


def _judge_command(cls: type[Plugin]) -> str:
    required = [name for name, info in cls.model_fields.items() if info.is_required()]
    return " ".join(["bench judge RUN --judge", cls.name, *(f"--set {name}=…" for name in required)])


def _with_defaults(cls: type[P]) -> P | None:
    """The plug-in with its defaults; None where they do not suffice."""
    try:
        return cls()
    except (ValueError, BenchError):
        return None


def _text(cls: type[BaseModel]) -> str:
    """A class's docstring as far as it speaks of the whole: up to a section such as ``Attributes:``."""
    return re.split(r"\n\n(?=[A-Z]\w+:\n)", inspect.getdoc(cls) or "")[0]


def _source(cls: type[BaseModel]) -> str:
    file = Path(inspect.getfile(cls)).resolve()
    return file.relative_to(_ROOT).as_posix() if file.is_relative_to(_ROOT) else str(file)
