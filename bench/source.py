"""The source that produces an artifact: a module and all that it imports from this project or from its plug-in.

The digest is part of an artifact's key: change a line of a method or of a helper it imports, and what they produced is
made anew; change a comment, and nothing is. Imports are read from the syntax tree, those inside functions included,
those under ``if TYPE_CHECKING`` not.
"""

from __future__ import annotations

import ast
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
    root = package
    while (root / "__init__.py").exists():
        root = root.parent
    own = {file.relative_to(root).parts[0]} if package != root else _beside(file)
    found: set[Path] = set()
    for names, base in _imported_names(_tree(file), package, root):
        for name in names:
            if base != root:  # a relative import
                found |= set(_files(base, name))
            elif name[0] in _PROJECT:
                found |= set(_files(_HERE, name))
            elif name[0] in own:
                found |= set(_files(root, name))
    return tuple(found - {file})


def _beside(file: Path) -> set[str]:
    """What a lone plug-in file may import from its own folder; nothing if that is where libraries are installed."""
    if "site-packages" in file.parts:
        return set()
    return {entry.stem for entry in file.parent.iterdir() if entry.suffix == ".py" or entry.is_dir()}


def _imported_names(tree: ast.AST, package: Path, root: Path) -> Iterator[tuple[tuple[tuple[str, ...], ...], Path]]:
    """For every import statement: the dotted paths it may load, and the folder they start from."""
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            yield tuple(tuple(alias.name.split(".")) for alias in node.names), root
        elif isinstance(node, ast.ImportFrom):
            stem = tuple(node.module.split(".")) if node.module else ()
            base = root
            if node.level:
                base = package
                for _ in range(node.level - 1):
                    base = base.parent
            yield tuple((*stem, alias.name) for alias in node.names), base


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _runtime_nodes(child)


def _files(base: Path, name: tuple[str, ...]) -> Iterator[Path]:
    """The files that importing `name` (a dotted path, split) from `base` runs: packages on the way, and the module."""
    folder = base
    for part in name:
        if (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
            return
        folder = folder / part
        if not (folder / "__init__.py").is_file():
            return
        yield folder / "__init__.py"
