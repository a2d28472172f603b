"""All measures by name: defined in one place each, from known columns, and read without heavy libraries."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from bench.measures import registry
from bench.measures.computing import compute
from bench.measures.definition import COLUMNS_OF, Definitions
from bench.measures.registry import MEASURES


def test_the_registry_imports_nothing_heavy():
    heavy = {"torch", "transformers", "pandas", "scipy"}
    code = f"import sys, bench.measures.registry; print(sorted({heavy} & sys.modules.keys()))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_measure_names_columns_that_are_known_of_what_it_is_a_measure_of():
    assert all(info.name == name and info.description for name, info in MEASURES.items())
    for info in MEASURES.values():
        assert info.columns, info.name
        assert set(info.columns) <= COLUMNS_OF[info.of].keys(), info.name


def test_a_decorated_function_is_all_that_a_new_measure_takes(monkeypatch):
    measure = Definitions(of="a policy")

    @measure("empty", "empty", "", "lower", "share of empty completions")
    def empty_share(texts, *, blank=""):
        return texts.count(blank) / len(texts)

    (info,) = measure
    assert (info.name, info.columns, info.of, info.better) == ("empty", ("texts",), "a policy", "lower")
    monkeypatch.setitem(MEASURES, info.name, info)
    assert compute({"texts": ["", "a"]})["empty"] == 0.5
    assert compute({"texts": ["", "a", "b"]}, blank="b")["empty"] == pytest.approx(1 / 3)


def test_every_file_that_defines_measures_is_in_the_registry():
    files = Path(registry.__file__).parent.glob("*.py")
    modules = [import_module(f"bench.measures.{file.stem}") for file in files if "Definitions(" in file.read_text()]
    groups = [group for each in modules for group in vars(each).values() if isinstance(group, Definitions)]
    assert len(groups) > 8
    assert {info.name for group in groups for info in group} == MEASURES.keys()
