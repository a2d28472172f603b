"""The source that produces an artifact: a module and all that it imports from this project or from its plug-in.

The digest is part of an artifact's key: change a line of a method or of a helper it imports, and what they produced is
made anew; change a comment, a docstring, an error's message or a setting's description, and nothing is. Imports are
read from the syntax tree, those inside functions included, those under ``if TYPE_CHECKING`` not; but a name that a
package hands out when it is asked for it (``bench.Method``) is followed to the module that such a block names.
"""

from __future__ import annotations

import ast
import csv
import functools
import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).resolve().parents[2]
_PROJECT = frozenset({"bench", "methods", "tasks"})


def source_digest(files: Iterable[Path]) -> str:
    """Hex digest over `files` and everything they import, directly or not, from beside their top-level package."""
    to_read = [file.resolve() for file in files]
    digests: dict[Path, str] = {}
    while to_read:
        file = to_read.pop()
        if file not in digests:
            source = _read(file, _stamp(file))
            digests[file] = source.digest
            to_read.extend(source.imports)
    return hashlib.sha256("".join(sorted(digests.values())).encode()).hexdigest()


def imported_from_elsewhere(root: Path) -> Path | None:
    """The file of a module of this project that this process has not imported from `root`; None if there is none.

    root: the folder that holds the packages whose source made the key.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in _PROJECT and file and not Path(file).resolve().is_relative_to(root.resolve()):
            return Path(file)
    return None


class _Source(NamedTuple):
    digest: str
    imports: tuple[Path, ...]


def _stamp(file: Path) -> tuple[int, int]:
    state = file.stat()
    return state.st_mtime_ns, state.st_size


@functools.cache
def _read(file: Path, stamp: tuple[int, int]) -> _Source:
    """A file as it is at `stamp`: an interpreter that goes on for days reads what was changed meanwhile."""
    tree = ast.parse(file.read_bytes(), filename=str(file))
    imports = _imports(file, tree)
    code = ast.dump(_WithoutWording().visit(tree))
    return _Source(hashlib.sha256(f"{file.stem}\n{code}".encode()).hexdigest(), imports)


class _WithoutWording(ast.NodeTransformer):
    """Takes out what people alone read: docstrings, the texts of errors, the descriptions of settings."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for block in ("body", "orelse", "finalbody"):
            if isinstance(statements := getattr(node, block, None), list):
                kept = [each for each in statements if not _is_docstring(each)]
                setattr(node, block, kept)
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return _WithoutText().visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if "Field" in (getattr(node.func, "id", None), getattr(node.func, "attr", None)):
            node.keywords = [each for each in node.keywords if each.arg != "description"]
        return self.generic_visit(node)


class _WithoutText(ast.NodeTransformer):
    """Empties every text."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(file: Path, tree: ast.Module) -> tuple[Path, ...]:
    package = file.parent
    in_package = (package / "__init__.py").exists()
    beside = set() if in_package else _beside(file)
    found: set[Path] = set()
    for name, level in _imported_names(tree):
        if level:
            found |= set(_files(file.parents[level - 1], name))
        elif name[0] in _PROJECT:
            found |= set(_files(_ROOT, name))
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


def _imported_names(tree: ast.Module) -> Iterator[tuple[tuple[str, ...], int]]:
    """For every name imported: its dotted path, split, and how many dots stand before it.

    After ``import package``, what the file takes from it (``package.Name``) counts as imported, too.
    """
    attributes: dict[str, set[tuple[str, ...]]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (path := _dotted(node)):
            attributes.setdefault(path[0], set()).add(path)
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = tuple(alias.name.split("."))
                yield name, 0
                bound = alias.asname or name[0]
                yield from (
                    ((*(name if alias.asname else name[:1]), *path[1:]), 0) for path in attributes.get(bound, ())
                )
        elif isinstance(node, ast.ImportFrom):
            stem = tuple(node.module.split(".")) if node.module else ()
            yield from (((*stem, alias.name), node.level) for alias in node.names)


def _dotted(node: ast.expr) -> tuple[str, ...]:
    """``a.b.c`` as its parts; nothing for what is no such path."""
    if isinstance(node, ast.Name):
        return (node.id,)
    path = _dotted(node.value) if isinstance(node, ast.Attribute) else ()
    return (*path, node.attr) if path and isinstance(node, ast.Attribute) else ()


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _checks_types(child):
            continue
        yield child
        yield from _runtime_nodes(child)


def _checks_types(node: ast.If) -> bool:
    return "TYPE_CHECKING" in ast.dump(node.test)


def _files(base: Path, name: tuple[str, ...]) -> Iterator[Path]:
    """The files that importing `name` (a dotted path, split) from `base` runs: packages on the way, and the module.

    A folder on the way need not have an ``__init__.py``: it is a namespace then.
    """
    folder = base
    for place, part in enumerate(name, start=1):
        if (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
            return
        folder = folder / part
        if not folder.is_dir():
            return
        if (init := folder / "__init__.py").is_file():
            yield init
            late = _handed_out_late(init, _stamp(init)).get(name[place]) if place < len(name) else None
            if late:
                yield from _files(*late)


@functools.cache
def _handed_out_late(init: Path, stamp: tuple[int, int]) -> dict[str, tuple[Path, tuple[str, ...]]]:
    """Where the names are that a package's ``__getattr__`` imports: as for `_files`, by name.

    They are those that the package imports for type checkers alone.
    """
    tree = ast.parse(init.read_bytes(), filename=str(init))
    if not any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body):
        return {}
    found: dict[str, tuple[Path, tuple[str, ...]]] = {}
    for block in tree.body:
        if isinstance(block, ast.If) and _checks_types(block):
            for node in block.body:
                if isinstance(node, ast.ImportFrom) and node.module:
                    base = init.parents[node.level - 1] if node.level else _root(init, node.module)
                    path = tuple(node.module.split("."))
                    found |= {alias.asname or alias.name: (base, (*path, alias.name)) for alias in node.names}
    return found


def _root(init: Path, module: str) -> Path:
    """The folder that `module`, imported by the package `init` that it is a part of, is looked up from."""
    top = module.partition(".")[0]
    return next((folder.parent for folder in init.parents if folder.name == top), init.parents[1])
