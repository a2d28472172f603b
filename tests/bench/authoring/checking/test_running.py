"""`bench check`: what is named is found, a line per promise is printed, and what libraries say is kept away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.authoring.checking.check import Broken, Check, Unsuited
from bench.authoring.checking.running import run_checks
from bench.authoring.checking.subjects import find_subjects
from bench.contracts.errors import BenchError

PLUGIN = '''
from bench import Field, Judge, Method


class Tidy(Method):
    """Returns π0."""

    size: int = Field(3, ge=1, description="of something")

    def train(self, workbench):
        return workbench.policy(workbench.sft_model())


class Coin(Judge):
    """Half of each."""

    def compare(self, prompts, first, second):
        return [0.5] * len(first)
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    return file


def test_a_file_names_all_that_it_defines(plugin: Path) -> None:
    assert [str(each) for each in find_subjects(str(plugin))] == ["method tidy", "judge coin"]
    assert [str(each) for each in find_subjects(str(plugin.parent) + os.sep)] == ["method tidy", "judge coin"]


def test_a_name_is_looked_up_among_built_in_ones_and_plug_ins(plugin: Path) -> None:
    assert [str(each) for each in find_subjects("ppo")] == ["method ppo"]
    (tidy,) = find_subjects("tidy", [plugin], ["size=5"])
    assert tidy.plugin.model_dump() == {"size": 5}


@pytest.mark.parametrize(
    ("target", "settings", "words"),
    [
        ("pppo", [], "no method, task, judge or measure is called 'pppo' — did you mean 'ppo'"),
        ("ppo", ["step=3"], "did you mean 'steps'"),
        ("ppo", ["steps=0"], "steps: 0 must be greater than or equal to 1"),
        ("dataset", [], "give either `path` or `hub`"),
        ("mine.py", ["size=5"], "mine.py defines tidy, coin: name one"),
        ("gone.py", [], "gone.py"),
        ("empty.py", [], "defines no method, task, judge or measure"),
        ("bad.py", [], "RuntimeError: boom (line 1)"),
    ],
)
def test_mistakes_are_told(
    plugin: Path, monkeypatch: pytest.MonkeyPatch, target: str, settings: list[str], words: str
) -> None:
    monkeypatch.chdir(plugin.parent)
    Path("empty.py").write_text("from bench import Method\n")
    Path("bad.py").write_text("raise RuntimeError('boom')\n")
    with pytest.raises(BenchError) as caught:
        find_subjects(target, (), settings)
    assert words in str(caught.value)


class _Kept:
    """Stands in for a subject with three checks, one of each outcome."""

    def __str__(self) -> str:
        return "method made_up"

    def checks(self) -> list[Check[None]]:
        def noisy(_: None) -> None:
            os.write(1, b"progress bar\n")
            print("a library speaks")

        def broken(_: None) -> None:
            raise Broken("it is not; mend it so")

        def skipped(_: None) -> None:
            raise Unsuited("nothing to see")

        return [Check(f.__name__, f"is {f.__name__}", f, None) for f in (noisy, broken, skipped)]


def test_a_line_per_check_is_printed_and_nothing_of_what_libraries_print(capfd: pytest.CaptureFixture[str]) -> None:
    assert not run_checks([_Kept()])  # type: ignore[list-item]
    printed = capfd.readouterr().out.splitlines()
    assert printed == [
        "method made_up",
        "  ✓ is noisy",
        "  ✗ is broken: it is not; mend it so",
        "  – is skipped: nothing to see",
    ]


def test_the_command_s_exit_status_tells_whether_all_is_well(plugin: Path) -> None:
    plugin.write_text(PLUGIN.replace(", ge=1", ""))
    done = subprocess.run(
        [sys.executable, "-m", "bench.cli", "check", str(plugin)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line for line in lines if "✗" in line] == [line for line in lines if "`size` is a number" in line] != []
    assert "  ✓ trains, and returns a policy" in lines
    assert "judge coin" in lines


def test_nothing_stays_on_disk_when_a_check_has_ended(plugin: Path, tmp_path: Path) -> None:
    room = tmp_path / "temporary"
    room.mkdir()
    subprocess.run(
        [sys.executable, "-m", "bench.cli", "check", "tidy", "--plugin", str(plugin)],
        env={**os.environ, "TMPDIR": str(room)},
        check=True,
        capture_output=True,
        timeout=300,
    )
    left = [entry.name for entry in room.iterdir() if entry.name.startswith("bench-check-")]
    shutil.rmtree(room)
    assert left == []
