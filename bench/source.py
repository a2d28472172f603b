"""The source that produces an artifact: a module and all that it imports from this project or from its plug-in.

The digest is part of an artifact's key: change a line of a method or of a helper it imports, and what they produced is
made anew; change a comment, and nothing is. Imports are read from the syntax tree, those inside functions included,
those under ``if TYPE_CHECKING`` not.
"""

from __future__ import annotations

import ast
import csv
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

_HERE = Path(__file__).resolve().parents[1]
_PROJECT = frozenset({"bench", "methods", "tasks"})


def source_digest(files: Iterable[Path]) -> str:
    """Hex digest over `files` and everything they import, directly or not, from beside their top-level package."""
    todo = [file.resolve() for file in files]
    seen: set[Path] = set()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo.extend(_imports(file))
    return hashlib.sha256("".join(sorted(_digest(file) for file in seen)).encode()).hexdigest()


@functools.cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes(), filename=str(file))


@functools.cache
def _digest(file: Path) -> str:
    return hashlib.sha256(f"{file.stem}\n{ast.dump(_tree(file))}".encode()).hexdigest()


@functools.cache
def _imports(file: Path) -> tuple[Path, ...]:
    package = file.parent
    lone = not (package / "__init__.py").exists()
    beside = _beside(file) if lone else set()
    found: set[Path] = set()
    for name, level in _imported_names(_tree(file)):
        if level:
            found |= set(_files(file.parents[level - 1], name))
        elif name[0] in _PROJECT:
            found |= set(_files(_HERE, name))
        elif name[0] in beside:
            found |= set(_files(package, name))
        else:  # the file's own top-level package, if it is one of the folders that the file is in
            for folder in package.parents:
                if folder.joinpath(name[0]) in (package, *package.parents):
                    found |= set(_files(folder, name))
    return tuple(found - {file})


def _beside(file: Path) -> set[str]:
    """What a lone file may import from its own folder; where libraries are installed, what was installed with it."""
    if not {"site-packages", "dist-packages"} & set(file.parts):
        return {entry.stem for entry in file.parent.iterdir() if entry.suffix == ".py" or entry.is_dir()}
    for record in file.parent.glob("*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as text:
            installed = [Path(row[0]) for row in csv.reader(text) if row]
        if Path(file.name) in installed:
            return {Path(path.parts[0]).stem for path in installed if path.suffix == ".py"}
    return set()


def _imported_names(tree: ast.AST) -> Iterator[tuple[tuple[str, ...], int]]:
    """For every name imported: its dotted path, split, and how many dots stand before it."""
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((tuple(alias.name.split(".")), 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = tuple(node.module.split(".")) if node.module else ()
            yield from (((*stem, alias.name), node.level) for alias in node.names)


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _runtime_nodes(child)


def _files(base: Path, name: tuple[str, ...]) -> Iterator[Path]:
    """The files that importing `name` (a dotted path, split) from `base` runs: packages on the way, and the module.

    A folder on the way need not have an ``__init__.py``: it is a namespace then.
    """
    folder = base
    for part in name:
        if (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
            return
        folder = folder / part
        if not folder.is_dir():
            return
        if (folder / "__init__.py").is_file():
            yield folder / "__init__.py"
