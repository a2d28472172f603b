"""From a template to the two files that `bench new` writes: only the template's names are replaced."""

from __future__ import annotations

import inspect
import keyword
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

from bench.catalogue import plugins
from bench.catalogue.plugged_measures import plugged_measures
from bench.contracts.errors import BenchError, nearest
from bench.contracts.plugin import Plugin, snake_case

TEMPLATES = Path(__file__).with_name("templates")
KINDS: dict[str, Callable[[], Mapping[str, type[Plugin]]]] = {
    "method": plugins.methods,
    "task": plugins.tasks,
    "measure": plugged_measures,
}


def scaffold(kind: str, name: str, folder: Path) -> list[Path]:
    """Write ``<name>.py`` and ``test_<name>.py`` to `folder`; the files.

    Args:
        kind: ``"method"``, ``"task"`` or ``"measure"``.
        name: in snake_case; the class's is made from it.

    Raises:
        BenchError: no such kind, a name that is none or taken (with its origin), or a file that is there already.
    """
    if kind not in KINDS:
        raise BenchError(f"bench new makes no {kind!r}{nearest(kind, KINDS)}")
    _check_name(kind, name)
    targets = [folder / f"{prefix}{name}.py" for prefix in ("", "test_")]
    for target in targets:
        if target.exists():
            raise BenchError(f"{target} is there already: nothing was written; choose another name or folder")
    for target, prefix in zip(targets, ("", "test_"), strict=True):
        template = (TEMPLATES / f"{prefix}new_{kind}.py").read_text(encoding="utf-8")
        target.write_text(renamed(template, kind, name), encoding="utf-8")
    return targets


def class_name(name: str) -> str:
    """``best_of_n`` → ``BestOfN``."""
    return "".join(word.capitalize() for word in name.split("_"))


def renamed(template: str, kind: str, name: str) -> str:
    """The template with the new thing's name in the place of its own, in all three ways in which it is written."""
    own = f"new_{kind}"
    names = {own: name, class_name(own): class_name(name), own.replace("_", " "): name.replace("_", " ")}
    return re.sub(r"\b(test_)?(" + "|".join(names) + r")\b", lambda found: (found[1] or "") + names[found[2]], template)


def _check_name(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        suggestion = re.sub(r"[^a-z0-9]+", "_", snake_case(name)).strip("_0123456789") or f"my_{kind}"
        raise BenchError(f"{name!r} is no name in snake_case — did you mean {suggestion!r}?")
    if snake_case(class_name(name)) != name:  # a digit after a blank has no capital: `dpo_2` → Dpo2 → `dpo2`
        raise BenchError(f"{name!r} is no name in snake_case — did you mean {snake_case(class_name(name))!r}?")
    if name in {"bench", "methods", "tasks", *sys.stdlib_module_names, *packages_distributions()}:
        raise BenchError(f"a file {name}.py would hide the module {name!r} of that name: choose another")
    if origin := _origin_of(kind, name):
        raise BenchError(f"a {kind} is called {name!r} already: in {origin}; choose another name")


def _origin_of(kind: str, name: str) -> str | None:
    """Where the thing that has the name already is defined; None where nothing has it."""
    plugin = KINDS[kind]().get(name)
    if plugin is not None:
        return inspect.getfile(plugin)
    if kind == "measure":
        from bench.measures.registry import MEASURES

        if name in MEASURES:
            return f"bench.measures.{MEASURES[name].function}"
    return None


def next_steps(written: Iterable[Path]) -> str:
    """What its author may do next, as commands."""
    file, test = written
    return (
        f"wrote {file.name} and {test.name}. They work as they are:\n"
        f"  bench check {file.name}\n"
        f"  pytest {test.name}\n"
        f"  bench run MATRIX --plugin {file.name}"
    )
