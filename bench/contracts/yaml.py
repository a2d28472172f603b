"""YAML as plain values, with the line where each of them stands; and back.

The scalars are read by hand: ruamel.yaml knows YAML 1.2, but takes dates for more than words and keys for numbers, and
neither bounds aliases nor refuses tags, so that all but a table of scalars would stay.
"""

from __future__ import annotations

import math
import re
from typing import Any, TypeAlias

import yaml

from bench.contracts.errors import BenchError

Keys: TypeAlias = tuple[str | int, ...]
"""The way to a value: keys of mappings, positions in lists."""

# The core schema of YAML 1.2 (section 10.3.2): 1e-3 is a number and `no` a word. PyYAML follows YAML 1.1.
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), math.inf),
    "-.inf": -math.inf,
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_INT = re.compile(r"[-+]?[0-9][0-9_]*")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")

_MOST_VALUES = 100_000  # aliases of aliases grow exponentially; no matrix is that large


def read_yaml(text: str, name: str) -> tuple[Any, dict[Keys, int]]:
    """Parse one YAML document.

    Anchors, aliases and merge keys (``<<``) work; tags do not. Keys are the text that stands there.

    Args:
        name: how errors call the file.

    Returns:
        the value, made of dict, list, str, int, float, bool and None; and the line (from 1) of all in it.

    Raises:
        BenchError: malformed YAML, a tag, or a key that occurs twice; with line and column.
    """
    try:
        walk = _Walk(name)
        node = _Loader(text).get_single_node()
        return (None if node is None else walk.value(node, ())), walk.lines
    except yaml.MarkedYAMLError as error:
        raise _refusal(name, error.problem_mark or error.context_mark, f"malformed YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BenchError(f"{name}, line {line}: malformed YAML: a control character") from None
    except RecursionError:
        raise BenchError(f"{name}: malformed YAML: nested too deeply") from None


def write_yaml(value: Any) -> str:
    """`value`, a mapping, as YAML that `read_yaml` reads as the same; what holds plain values alone takes one line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=1000)


def _refusal(name: str, mark: Any, problem: str) -> BenchError:
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return BenchError(f"{name}{place}: {problem}")


class _Loader(yaml.BaseLoader):
    """Takes every scalar as text, and refuses tags."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if tag := getattr(event, "tag", None):
            short = tag.replace("tag:yaml.org,2002:", "!!")
            raise yaml.MarkedYAMLError(problem=f"the tag {short} is not allowed", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML would take for something else than a text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def serialize(self, node: Any) -> None:
        node.flow_style = False
        super().serialize(node)

    def text(self, data: str) -> Any:
        quoted = data in _WORDS or _INT.fullmatch(data) or _FLOAT.fullmatch(data)
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if quoted else None)


_Dumper.add_representer(str, _Dumper.text)


class _Walk:
    """Turns nodes into values and notes where they stand."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Keys, int] = {}
        self.ancestors: list[Any] = []
        self.values = 0

    def value(self, node: Any, keys: Keys) -> Any:
        self.lines.setdefault(keys, node.start_mark.line + 1)
        self.values += 1
        if node in self.ancestors:
            raise _refusal(self.name, node.start_mark, "this anchor contains itself")
        if self.values > _MOST_VALUES:
            raise _refusal(self.name, node.start_mark, f"more than {_MOST_VALUES} values")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        self.ancestors.append(node)
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*keys, i)) for i, item in enumerate(node.value)]
            return self.mapping(node, keys)
        finally:
            self.ancestors.pop()

    def mapping(self, node: Any, keys: Keys) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        # merge keys first, so that own keys replace what was merged, and its lines
        for key, value in sorted(node.value, key=lambda pair: pair[0].value != "<<"):
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal(self.name, key.start_mark, "a key must be a word, not a list or a mapping")
            if key.value == "<<" and key.style is None:
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if not isinstance(source, yaml.MappingNode):
                        raise _refusal(self.name, source.start_mark, "<< must be followed by mappings")
                    merged = {**self.value(source, keys), **merged}
                continue
            if key.value in own:
                path = ".".join(map(str, (*keys, key.value)))
                first = self.lines[(*keys, key.value)]
                raise _refusal(self.name, key.start_mark, f"{path} is there twice; the first is in line {first}")
            self.lines[(*keys, key.value)] = key.start_mark.line + 1
            own[key.value] = self.value(value, (*keys, key.value))
        return {**merged, **own}

    def scalar(self, node: Any) -> Any:
        text: str = node.value
        if node.style is not None:  # quoted
            return text
        if text in _WORDS:
            return _WORDS[text]
        digits = text.replace("_", "")
        try:
            return int(digits) if _INT.fullmatch(text) else float(digits) if _FLOAT.fullmatch(text) else text
        except ValueError:  # an integer of thousands of digits
            raise _refusal(self.name, node.start_mark, f"{text[:20]}… is too long a number") from None
