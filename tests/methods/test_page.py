"""Everything that the page on methods shows is run: its files together in one matrix, its command lines, its tables."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
import typer

import bench
from bench import cli
from bench.catalogue import plugins
from bench.matrix.reading import load_matrix
from bench.workbench.workbench import Workbench

FOLDER = Path(__file__).parents[2] / "methods"
README = (FOLDER / "README.md").read_text()
WORLD = Path(__file__).parents[1] / "bench" / "toy_world.py"
TINY = {
    "models": {"tiny": {"layers": 1, "width": 16, "heads": 2, "context": 16, "steps": 60}},
    "stages": {"preferences": {"pairs": 128, "heldout": 32}, "reward_model": {"epochs": 8}},
    "evaluation": {"prompts": 2, "samples": 32, "curve_points": 2, "curve_prompts": 2},
    "seeds": 1,
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def named(language):
    """The blocks that begin with the name of their file, by that name."""
    found = {block.split("\n")[0].removeprefix("# "): block for block in blocks(language)}
    assert len(found) == len(blocks(language))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("page")
    for name, text in (named("python") | named("yaml")).items():
        assert re.fullmatch(r"\w+\.(py|yaml)", name)
        (path / name).write_text(text)
    return path


@pytest.fixture(scope="module")
def run(folder):
    methods = {
        "sft": None,
        "pairwise": {"learning_rate": 3e-3},
        "reinforce": {"epochs": 40, "learning_rate": 3e-3},
        "first_good": {"tries": 16, "threshold": 2.0},
    }
    files = sorted(map(str, folder.glob("*.py")))
    matrix = TINY | {"tasks": ["toy", "counting"], "methods": methods, "plugins": [str(WORLD), *files]}
    return bench.run(matrix, out=folder / "results" / "mine", store=folder / "store", jobs=1)


def test_the_page_is_one_page_and_its_methods_are_of_30_lines_or_so():
    assert len(README.splitlines()) <= 250
    for name, text in named("python").items():
        code = [line for line in text.splitlines()[1:] if line.strip()]
        assert len(code) <= 30, name
        assert max(map(len, code)) <= 120, name


def test_every_method_shown_trains_and_gets_what_it_is_after(run):
    records = run.records.set_index(["task", "arm"])
    assert list(records.status) == ["ok"] * 8, list(records.reason)
    gold = records.gold["toy"]
    for arm in ("pairwise", "reinforce", "first_good"):
        assert gold[arm] > gold["sft"] + 0.1, arm
    assert records.prompts_seen[("toy", "reinforce")] == 40 * 3
    assert 0 < records.gold[("counting", "sft")] < 1


def test_the_judge_shown_judges_that_run_and_the_measure_shown_is_in_its_records(run, folder):
    from bench.judging.asking import judge_run, make_judge
    from bench.running.run import store_at

    judge_run(run.directory, make_judge("brief", (), [folder / "extras.py"]), store_at(folder / "store"))
    assert (run.directory / "comparisons.parquet").is_file()
    assert 0 <= run.records.stutter.min() <= run.records.stutter.max() <= 1


def test_the_matrix_shown_is_one(folder):
    matrix = load_matrix(folder / "mine.yaml")
    assert [arm.method.name for arm in matrix.arms] == ["dpo", "pairwise", "pairwise", "reinforce", "first_good"]
    for arm in matrix.arms:
        arm.method.tunable()  # the search spaces are valid


SHELL = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.mark.parametrize("line", [*SHELL, *re.findall("`(bench [a-z][^`]*)`", README)])
def test_every_command_line_is_understood(line):
    program, name, *words = (word for word in shlex.split(line, comments=True) if word != "--help")
    group = typer.main.get_command(cli.app)
    assert program == "bench"
    if words or name == "schema":  # else it only names the command
        group.commands[name].make_context(name, words)
    assert name in group.commands


def test_what_the_page_says_the_workbench_hands_over_is_there():
    (table,) = re.findall(r"## What the workbench hands over\n\n(.*?)\n\n", README, flags=re.DOTALL)
    known = {*vars(Workbench), *(each.name for each in dataclasses.fields(Workbench))}
    listed = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)", row.split("|")[1])}
    assert len(listed) > 20
    assert listed <= known
    public = {name for name in known if not name.startswith(("_", "load_", "on_"))}
    assert public - listed <= {"log", "report", "load_policy", "needs", "figures", "cost", "batch_size", "curve_points"}


def test_entry_points_shown_are_of_a_kind_that_there_is():
    kinds = re.findall(r"`[^`]*(?:alignment_bench\.|…)(\w+)", README.partition("## Three ways in")[2])
    assert sorted(kinds) == ["judges", "measures", "methods", "tasks"]
    assert all(callable(getattr(plugins, kind)) for kind in kinds)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (FOLDER / target).exists(), target
