"""What plug-ins build on stays: a name that vanishes, or a call that no longer works, is a new `bench.CONTRACT`.

Additions are fine; put them into ``public_names.txt`` once they are released.
"""

from __future__ import annotations

import ast
import inspect
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import bench

HELD_CONTRACT = 1
VALUES = ("CONTRACT", "Completion", "Field", "Prompt", "SearchSpace")
# `name(parameter, other=)`: a call; a parameter with = may be left out
CALLS = Path(__file__).with_name("public_names.txt").read_text(encoding="utf-8").splitlines()
ATTRIBUTES = {
    "BenchError": "args",
    "Judge": "contract immaterial name",
    "Measure": "better contract inputs label name unit",
    "Method": "contract name needs search_space",
    "ModelPolicy": "from_all kl_bound model",
    "Policy": "from_all kl_bound model",
    "Run": "built counts directory records",
    "Samples": "completion_ids completions finished prompt_ids prompts",
    "Task": "contract has_enumeration has_gold has_pairs has_preferences has_probes has_ratings name",
    "Workbench": "batch_size checkpoints corpus cost curve_points demonstrations device figures max_completion_tokens "
    "needs preferences prompts ratings reference reward_model seed task tokenizer",
}


def held_names() -> set[str]:
    return {re.split(r"[.(]", call)[0] for call in CALLS} | ATTRIBUTES.keys() | set(VALUES)


def public(path: str) -> Any:
    """`bench.<path>`"""
    target: Any = bench
    for name in path.split("."):
        target = getattr(target, name)
    return target


def still_valid(held: list[str], now: list[str]) -> bool:
    """Does every call that `held` allows work with the parameters `now`, too?"""
    same = all(new in (old, f"{old}=") for old, new in zip(held, now, strict=False))
    added = now[len(held) :]
    return same and len(held) <= len(now) and all(new.endswith("=") or new.startswith("*") for new in added)


def test_no_public_name_has_vanished() -> None:
    assert held_names() <= set(bench.__all__)
    assert all(hasattr(bench, name) for name in bench.__all__)
    assert bench.CONTRACT == HELD_CONTRACT, "with a new contract, hold what it promises"


def test_the_face_names_the_same_modules_to_type_checkers_and_at_run_time() -> None:
    tree = ast.parse(inspect.getsource(bench))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name: node.module for node in imports for alias in node.names} == bench._MODULE_OF
    assert sorted(bench._MODULE_OF) == sorted(bench.__all__)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_was_valid_still_is(call: str) -> None:
    path, held = call.rstrip(")").split("(")
    target = public(path)
    names = [name for name in held.split(", ") if name]
    now = inspect.signature(target).parameters.values()
    kinds = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    optional = {inspect.Parameter.empty: ""}
    texts = [f"{kinds.get(each.kind, '')}{each.name}{optional.get(each.default, '=')}" for each in now]
    assert still_valid(names, texts), f"{path} took ({', '.join(names)}) and takes ({', '.join(texts)})"


@pytest.mark.parametrize(
    ("now", "valid"),
    [
        ("a b=", True),
        ("a= b=", True),
        ("a b= c=", True),
        ("a", False),
        ("a b", False),
        ("b= a", False),
        ("a b= c", False),
    ],
)
def test_a_parameter_may_become_optional_and_optional_ones_may_come(now: str, valid: bool) -> None:
    assert still_valid(["a", "b="], now.split()) == valid


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_no_attribute_has_vanished(name: str) -> None:
    cls = getattr(bench, name)
    annotated = {each for base in cls.__mro__ for each in inspect.get_annotations(base)}
    missing = [each for each in ATTRIBUTES[name].split() if each not in annotated and not hasattr(cls, each)]
    assert not missing


@pytest.mark.parametrize("path", [call.partition("(")[0] for call in CALLS] + sorted(ATTRIBUTES))
def test_what_is_public_is_documented(path: str) -> None:
    assert inspect.getdoc(public(path))


def test_type_checkers_may_read_the_package() -> None:
    assert resources.files("bench").joinpath("py.typed").is_file()
