"""What `bench describe` says is what the classes say, and its examples are matrices that can be run."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.catalogue import plugins
from bench.catalogue.describing import describe
from bench.catalogue.entries import entries, find
from bench.catalogue.settings_in_words import settings_of
from bench.contracts.errors import BenchError
from bench.contracts.yaml import read_yaml
from bench.matrix.reading import parse_matrix

WORLD = Path(__file__).parents[1] / "toy_world.py"
METHOD = '''
"""`careful`: a method for this test (Nobody 2020)."""

from pathlib import Path
from typing import ClassVar, Literal

from bench import Field, Method, Range


class Careful(Method):
    """First line.

    Second paragraph.

    Attributes:
        none: for authors, not for users.
    """

    needs: ClassVar[set[str]] = {"ratings"}
    search_space: ClassVar = {"rate": Range(0.1, 1, log=True)}
    kind: Literal["one", "two"] = Field("one", description="which of them")
    rate: float = Field(0.5, gt=0, le=1, description="how fast\\n    it goes")
    file: Path | None = Field(None, description="what to read")
    words: list[str] = Field(["a"], min_length=1, description="which words")

    def train(self, workbench):
        return workbench.policy(workbench.sft_model())


class Demanding(Careful):
    """Wants to be told."""

    start: str = Field(description="where from", examples=["here"])
'''


@pytest.fixture
def careful(tmp_path):
    file = tmp_path / "careful.py"
    file.write_text(METHOD)
    return file


def test_a_description_holds_what_the_class_declares(careful):
    (entry,) = find("careful", [careful])
    assert (entry.kind, entry.source, entry.text) == ("method", str(careful), "First line.\n\nSecond paragraph.")
    assert entry.about == "`careful`: a method for this test (Nobody 2020)."
    assert entry.facts == {"needs": "ratings", "search space": "rate: 0.1 … 1 log"}
    assert [(s.name, s.type, s.default, s.bounds, s.meaning) for s in settings_of(entry.settings)] == [
        ("kind", "one | two", '"one"', "", "which of them"),
        ("rate", "number", "0.5", "> 0, ≤ 1", "how fast it goes"),
        ("file", "path or null", "null", "", "what to read"),
        ("words", "list of text", '["a"]', "length ≥ 1", "which words"),
    ]
    text = describe(entry, width=100)
    assert all(max(map(len, text.splitlines())) <= 100 and each in text for each in ("> 0, ≤ 1", "how fast it goes"))


def test_an_example_names_the_plug_in_and_fills_in_what_must_be_given(careful):
    (entry,) = find("demanding", [careful])
    value, _ = read_yaml(entry.example, "example")
    matrix = parse_matrix(value)  # without --plugin
    assert matrix.plugins == (careful,)
    assert matrix.arms[0].method.start == "here"
    assert "must be given" in describe(entry)


def test_an_example_names_the_folder_that_a_plug_in_was_found_in(careful):
    (entry,) = find("careful", [careful.parent])
    value, _ = read_yaml(entry.example, "example")
    assert parse_matrix(value).plugins == (careful.parent,)


def test_a_measure_of_a_plug_in_is_described_by_its_docstring(tmp_path):
    file = tmp_path / "odd.py"
    text = '''
from bench import Measure


class Odd(Measure):
    """Share of odd lengths.

    Trap: none.
    """

    better = "lower"

    def compute(self, length):
        return float((length % 2).mean())
'''
    file.write_text(text)
    (entry,) = find("odd", [file])
    assert (entry.kind, entry.source, entry.text) == ("measure", str(file), "Share of odd lengths.\n\nTrap: none.")
    assert entry.facts["direction"] == "lower is better"
    assert entry.facts["made from"] == "length"


def test_every_method_task_and_section_has_an_example_that_a_matrix_file_takes():
    shown = {}
    for entry in entries([WORLD]):
        if entry.kind in ("method", "task", "section"):
            value, _ = read_yaml(entry.example, entry.name)
            shown[entry.name] = parse_matrix(value)
    assert {*plugins.methods([WORLD]), *plugins.tasks([WORLD])} < shown.keys()
    for name, cls in plugins.methods([WORLD]).items():
        arms = shown[name].arms
        assert {arm.method.name for arm in arms} == {name}
        assert len(arms) == (2 if cls.search_space else 1), name  # a grid of what can be tuned
        assert name == "picky" or not arms[0].method.unfit_for(shown[name].tasks[0].task)


def test_everything_built_in_says_what_it_is_where_it_is_and_what_its_settings_mean():
    for entry in entries():
        assert entry.summary, entry.name
        assert (Path(__file__).parents[3] / entry.source).is_file(), entry
        for setting in settings_of(entry.settings) if entry.settings else ():
            assert setting.meaning, f"{entry.name}.{setting.name}"


def test_sections_within_sections_are_told_one_by_one():
    (entry,) = find("stages")
    settings = {setting.name: setting for setting in settings_of(entry.settings)}
    assert settings["reward_model.members"].bounds == "≥ 1, ≤ 64"
    assert settings["preferences.pairs"].default == "2000"


def test_a_judge_and_a_measure_of_one_name_are_both_described():
    assert [entry.kind for entry in find("gold")] == ["judge", "measure"]


def test_an_unknown_name_comes_with_the_nearest_and_the_files_that_could_not_be_searched(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    with pytest.raises(BenchError, match=r"nothing is called 'bets_of_n' — did you mean 'best_of_n'.*broken\.py"):
        find("bets_of_n", [broken])


def test_the_command_prints_it_and_loads_no_heavy_library():
    code = (
        "import sys; sys.argv = ['bench', 'describe', 'best_of_n']\nfrom bench.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'trl', 'datasets', 'pandas'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for words in ("completions drawn per prompt", "≥ 1, ≤ 4096", "methods/best_of_n.py", "needs: reward_model"):
        assert words in done.stdout
