"""The pytest plug-in: one test per promise, from the command line and in an author's own suite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PLUGIN = "bench.authoring.checking.pytest_plugin"
METHOD = '''
from bench import Field, Method


class Mine(Method):
    """Returns π0."""

    size: int = Field(3, description="of something")

    def train(self, workbench):
        return workbench.policy(workbench.sft_model())
'''
SUITE = """
import pytest
from mine import Mine

from bench import method_checks


@pytest.mark.parametrize("check", method_checks(Mine))
def test_mine(check):
    check()
"""


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # whether or not the package is installed
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider", "-v", "-rs", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_promises_are_tests_of_the_command_line_and_of_a_suite_alike(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(METHOD)
    (tmp_path / "test_mine.py").write_text(SUITE)
    done = pytest_in(tmp_path, "--bench-check", "mine.py", "-k", "documented or saves or interrupt")
    assert done.returncode == 1, done.stdout + done.stderr
    outcomes = dict(re.findall(r"^(\S+) (PASSED|FAILED|SKIPPED)", done.stdout, re.MULTILINE))
    expected = {"documented": "FAILED", "saves": "PASSED", "interrupt": "SKIPPED"}
    assert outcomes == {f"test_mine.py::test_mine[{name}]": status for name, status in expected.items()} | {
        f"bench-check::method::mine::{name}": status for name, status in expected.items()
    }
    assert done.stdout.count("`size` is a number without a bound: write Field(…, ge=0)") >= 2
    assert done.stdout.count("it never calls `workbench.progress`") >= 2


def test_a_wrong_name_is_an_error_of_usage(tmp_path: Path) -> None:
    done = pytest_in(tmp_path, "--bench-check", "pppo")
    assert done.returncode == 4
    assert "did you mean 'ppo'" in done.stderr


def test_the_plug_in_loads_nothing_heavy_when_pytest_starts() -> None:
    code = (
        f"import sys, {PLUGIN}\n"
        "heavy = {'torch', 'transformers', 'trl', 'datasets', 'numpy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
