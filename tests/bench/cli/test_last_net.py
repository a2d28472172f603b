"""Whatever goes wrong, a command ends in one line."""

import os
import resource
import subprocess
import sys

import pytest

from bench.cli.last_net import in_one_line
from bench.contracts.errors import BenchError
from tests.bench.analysis.synthetic_run import ARMS, write_run

JUDGE = '''
from bench.judging.scoring_judge import ScoringJudge

class Broken(ScoringJudge):
    """Breaks."""

    def scores(self, completions):
        return completions.no_such_thing
'''
LONG = "x" * 5000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("net")
    write_run(path / "run", seeds=2, probes=30, arms=ARMS[1:3])
    (path / "broken.py").write_text(JUDGE)
    (path / "file").write_text("mine")
    (path / "one.yaml").write_text("tasks: strings\nmethods: [sft]\nseeds: 1\n")
    (path / "tilde.yaml").write_text('tasks: strings\nmethods: sft\nplugins: ["~nosuchuser/x.py"]\n')
    (path / "long.yaml").write_text(f"tasks: strings\nmethods: sft\nmodels: {{t: {{model: {LONG}}}}}\n")
    return path


def bench(*arguments, cwd, **environment):
    command = [sys.executable, "-m", "bench.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, timeout=120)


def said(ended):
    """The one line on standard error."""
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith("bench: ")
    assert len(line) < 1100
    return line


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["run", "tilde.yaml"], 2, "tilde.yaml, line 3: plugins.0: ~nosuchuser/x.py: there is no user 'nosuchuser'"),
        (["run", "long.yaml"], 2, "can be the name of no file"),
        (["table", LONG], 1, "File name too long"),
        (["run", "one.yaml", "--plugin", LONG], 2, "can be the name of no file"),
        (["run", "one.yaml", "--out", "file"], 2, "file is a file: name a folder"),
        (["run", "one.yaml", "--out", "file/below"], 2, "Not a directory"),
        (["run", "one.yaml", "--store", "file", "--out", "new"], 2, "the store at"),
        (["diff", "run", "run", "--out", "file"], 1, "file: File exists"),
        (["describe", LONG], 2, "nothing is called"),
        (["tune", "one.yaml", "--seeds", "9" * 20], 2, "is not a number of seeds"),
        (["judge", "run", "--judge", "gold", "--set", "tie_band=" + "[" * 3000], 2, "must be a number"),
        (["judge", "run", "--judge", "chat", "--set", "url=http://[::1", "--set", "model=m"], 2, "is no address"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(folder, arguments, status, told):
    ended = bench(*arguments, cwd=folder)
    assert told in said(ended)
    assert ended.returncode == status
    assert (folder / "file").read_text() == "mine"


def test_an_error_that_should_not_be_is_one_line_with_a_log_that_has_its_traceback(folder, tmp_path):
    ended = bench("judge", "run", "--judge", "broken", "--plugin", "broken.py", cwd=folder, TMPDIR=str(tmp_path))
    assert ended.returncode == 1
    line = ended.stderr.decode().splitlines()[-1]
    (log,) = tmp_path.glob("bench-error-*.log")
    assert line.startswith("bench: an error that should not be (AttributeError: ")
    assert line.endswith(f"please report it with {log}")
    text = log.read_text()
    assert "Traceback" in text and "no_such_thing" in text and "judge run --judge broken" in text


def test_a_terminal_of_plain_letters_gets_plain_letters(folder):
    ended = bench("table", "run", cwd=folder, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (ended.returncode, ended.stderr) == (0, b"")
    text = ended.stdout.decode("ascii")
    assert "reward ^" in text and " +- " in text and "?" not in text


def test_a_reader_that_goes_away_is_no_error(folder):
    command = f"{sys.executable} -m bench.cli table run | head -1"
    ended = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)
    assert ended.stderr == ""
    assert len(ended.stdout.splitlines()) == 1


@pytest.mark.slow
def test_a_full_disk_under_the_records_is_one_line_and_the_same_command_carries_on(tmp_path):
    tiny = "{tiny: {layers: 1, width: 16, heads: 2, context: 16, steps: 20}}"
    sizes = "stages: {preferences: {pairs: 64, heldout: 32}}\nevaluation: {prompts: 2, samples: 8}"
    (tmp_path / "m.yaml").write_text(f"tasks: strings\nmodels: {tiny}\nmethods: [base]\nseeds: 1\n{sizes}\n")
    assert bench("run", "m.yaml", "--out", "first", "--store", "store", cwd=tmp_path).returncode == 0
    command = [sys.executable, "-m", "bench.cli", "run", "m.yaml", "--out", "second", "--store", "store"]
    full = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY)),
    )
    assert full.returncode == 1
    line = full.stderr.decode().splitlines()[-1]
    assert line.startswith("bench: ")
    assert line.endswith("the same command carries on where this one ended")
    assert bench("table", "second", cwd=tmp_path).returncode == 0
    carried_on = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert carried_on.returncode == 0
    assert "1 cells (1 ok)" in carried_on.stdout


def test_what_is_said_of_an_error():
    assert in_one_line(BenchError("no such arm")) == ("no such arm", 2)
    assert in_one_line(BenchError("an arm \x1b[31m\nof two lines"))[0] == r"an arm \x1b[31m\nof two lines"
    assert in_one_line(PermissionError(13, "Permission denied", "x/run.json")) == ("x/run.json: Permission denied", 1)
    assert in_one_line(OSError(28, "No space left on device")) == ("No space left on device", 1)
