"""The shell is offered names, matrices, runs and arms, through the variables that its completion script sets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORLD = Path(__file__).parents[1] / "toy_world.py"
CODE = "import sys; sys.argv[0] = 'bench'; from bench.cli import main; main()"


def run(cwd, *arguments, **variables):
    return subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        cwd=cwd,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def offered(cwd, line):
    """What bash would offer at the end of `line`."""
    words = line.split(" ")
    done = run(cwd, COMP_WORDS=line, COMP_CWORD=str(len(words) - 1), _BENCH_COMPLETE="complete_bash")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("work")
    (path / "mine.yaml").write_text("")
    (path / "mine.txt").write_text("")
    (path / "more").mkdir()
    (path / "more" / "other.yml").write_text("")
    for name in ("quick", "slow"):
        (path / "results" / name).mkdir(parents=True)
    arms = {"ppo": {"method": "ppo"}, "ppo without KL": {"method": "ppo"}, "sft": {"method": "sft"}}
    (path / "results" / "quick" / "run.json").write_text(json.dumps({"methods": arms}))
    return path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bench descr", {"describe"}),
        ("bench describe best", {"best_of_n"}),
        ("bench describe stages.s", {"stages.sft"}),
        (f"bench describe --plugin {WORLD} expl", {"explode"}),
        ("bench run quick", {"quickstart"}),
        ("bench run m", {"mine.yaml", "more/"}),
        ("bench run more/", {"more/other.yml"}),
        ("bench tune mi", {"mine.yaml"}),
        ("bench table results/", {"results/quick", "results/slow/"}),
        ("bench plot results/quick --arms p", {"ppo", "ppo without KL"}),
        ("bench table results/quick --against s", {"sft"}),
        ("bench plot results/slow --arms p", set()),
        ("bench judge results/quick --judge re", {"reward_model"}),
        ("bench tune mine.yaml --measure gold_", {"gold_sd"}),
    ],
)
def test_bash_is_offered(folder, line, expected):
    assert set(offered(folder, line)) == expected


def test_a_run_is_offered_where_nothing_is_written_yet(folder):
    assert "results/quick" in offered(folder, "bench table ")


def test_a_broken_plug_in_is_no_traceback(folder):
    (folder / "broken.py").write_text("1 / 0")
    assert offered(folder, "bench describe --plugin broken.py best") == ["best_of_n"]


def test_zsh_is_told_what_a_name_is(folder):
    done = run(folder, _TYPER_COMPLETE_ARGS="bench describe best", _BENCH_COMPLETE="complete_zsh")
    assert "best_of_n" in done.stdout
    assert "keep the one that the reward model scores highest" in done.stdout


def test_the_script_for_a_shell_can_be_shown(folder):
    variables = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = run(folder, "--show-completion", "bash", **variables)
    assert shown.returncode == 0, shown.stderr
    assert "_BENCH_COMPLETE=complete_bash" in shown.stdout
