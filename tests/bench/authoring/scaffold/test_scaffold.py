"""`bench new` writes what works as it stands, under a name that is free, and overwrites nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.authoring.checking.subjects import find_subjects
from bench.authoring.scaffold.from_template import class_name, next_steps, scaffold
from bench.contracts.errors import BenchError

KINDS = ("method", "task", "measure")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_bears_its_name_everywhere_and_is_found_as_a_plug_in(kind: str, tmp_path: Path) -> None:
    written = scaffold(kind, "deep_thought", tmp_path)
    assert [file.name for file in written] == ["deep_thought.py", "test_deep_thought.py"]
    for file in written:
        text = file.read_text()
        assert "DeepThought" in text
        assert f"new_{kind}" not in text
        assert f"New{kind.capitalize()}" not in text
    assert [str(each) for each in find_subjects(str(written[0]))] == [f"{kind} deep_thought"]
    assert "bench check deep_thought.py" in next_steps(written)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "test_deep_thought.py").write_text("mine")
    with pytest.raises(BenchError, match="there already: nothing was written"):
        scaffold("method", "deep_thought", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["test_deep_thought.py"]
    assert (tmp_path / "test_deep_thought.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("method", "ppo", "methods/ppo.py"),
        ("task", "reviews", "tasks/reviews.py"),
        ("measure", "kl", "bench.measures.divergence.mean_kl"),
        ("method", "DeepThought", "did you mean 'deep_thought'"),
        ("method", "deep-thought", "did you mean 'deep_thought'"),
        ("method", "deep_thought_2", "did you mean 'deep_thought2'"),
        ("method", "lambda", "is no name"),
        ("method", "random", "would hide the module 'random'"),
        ("methods", "deep_thought", "did you mean 'method'"),
    ],
)
def test_names_that_are_taken_or_are_none_are_refused(kind: str, name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError) as caught:
        scaffold(kind, name, tmp_path)
    assert words in str(caught.value).replace(os.sep, "/")
    assert list(tmp_path.iterdir()) == []


def test_class_names() -> None:
    assert [class_name(name) for name in ("dpo", "best_of_n", "dpo2")] == ["Dpo", "BestOfN", "Dpo2"]


def test_the_tests_that_are_written_pass(tmp_path: Path) -> None:
    for kind in KINDS:
        scaffold(kind, f"deep_{kind}", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout


@pytest.mark.slow
def test_what_is_written_runs_in_a_matrix(tmp_path: Path) -> None:
    import bench

    written = [scaffold(kind, f"deep_{kind}", tmp_path)[0] for kind in KINDS]
    matrix = {
        "tasks": "deep_task",
        "models": {"tiny": {"layers": 1, "width": 16, "heads": 2, "context": 16, "steps": 20}},
        "methods": ["sft", "deep_method"],
        "seeds": 1,
        "stages": {"preferences": {"pairs": 64, "heldout": 32}},
        "evaluation": {"prompts": 2, "samples": 8, "curve_points": 0},
    }
    (tmp_path / "matrix.yaml").write_text(json.dumps(matrix))
    run = bench.run(tmp_path / "matrix.yaml", out=tmp_path / "run", store=tmp_path / "store", plugins=written, jobs=1)
    assert list(run.records["status"]) == ["ok", "ok"]
    assert run.records["deep_measure"].notna().all()
