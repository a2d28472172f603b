"""Through the wheels: a package of its own adds a method, a task, a measure and a judge to a bench that is installed.

The environment sees the libraries of the present one, but neither this checkout nor an installation that points to it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EXAMPLE = Path(__file__).with_name("example_package")
PARTS = ("bench", "methods", "tasks")
MATRIX = {
    "tasks": "traffic",
    "models": {"tiny": {"layers": 1, "width": 16, "heads": 2, "context": 16, "steps": 40}},
    "methods": ["sft", "sharpened"],
    "seeds": 1,
    "evaluation": {"prompts": 2, "samples": 16, "curve_points": 2, "curve_prompts": 2},
}


def call(*command: str | Path, cwd: Path) -> str:
    """What the command prints; nothing of this checkout is on its path."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "BENCH_STORE")}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def records_of(run: Path) -> dict[Path, dict[str, Any]]:
    """Every record of a run, by its cell's folder."""
    return {file.parent: json.loads(file.read_text()) for file in run.glob("cells/*/record.json")}


def wheel_of(source: Path, folder: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--quiet")
    call(*pip, "--wheel-dir", folder, source, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The bench's wheel and the package's, built from copies: building leaves files behind."""
    sources = tmp_path_factory.mktemp("sources")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in PARTS:
        shutil.copytree(ROOT / name, sources / "bench" / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, sources / "bench" / name)
    shutil.copytree(EXAMPLE, sources / "example", ignore=ignore)
    one, two = (tmp_path_factory.mktemp(f"wheel_{name}") for name in ("bench", "example"))
    return wheel_of(sources / "bench", one), wheel_of(sources / "example", two)


@pytest.fixture(scope="module")
def environment(wheels: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a new environment with both wheels."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", "--quiet")
    call(*pip, *wheels, cwd=folder)
    libraries = call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    # a folder that a .pth file names is searched behind the environment's own; its own .pth files are not read, and
    # with them not the one by which an editable installation would lead back here
    paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    Path(libraries, "libraries.pth").write_text("\n".join(paths))
    return folder / "bin"


@pytest.fixture(scope="module")
def run(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `matrix.yaml` has been run to `out`, with its artifacts in `store`."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "matrix.yaml").write_text(json.dumps(MATRIX))
    call(environment / "bench", "run", "matrix.yaml", "--out", "out", "--store", "store", "--jobs", "1", cwd=folder)
    return folder


def test_the_wheel_has_every_file_that_is_no_page_for_readers_of_the_source(wheels: tuple[Path, Path]) -> None:
    inside = set(zipfile.ZipFile(wheels[0]).namelist())
    files = [file for part in PARTS for file in (ROOT / part).rglob("*") if file.is_file()]
    expected = {str(file.relative_to(ROOT)) for file in files if file.suffix not in (".md", ".pyc")}
    assert expected <= inside, sorted(expected - inside)
    assert {"bench/py.typed", "bench/matrix/matrices/quickstart.yaml", "bench/matrix/claims/documents.yaml"} <= inside
    assert not [name for name in inside if name.startswith("tests")]


def test_the_bench_that_runs_is_that_of_the_wheel(environment: Path, tmp_path: Path) -> None:
    where = "import bench, methods, tasks; print(bench.__file__, methods.__file__, tasks.__file__)"
    for file in call(environment / "python", "-c", where, cwd=tmp_path).split():
        assert Path(file).is_relative_to(environment.parent)


def test_all_four_are_listed_between_the_bench_s_own(environment: Path, tmp_path: Path) -> None:
    listed = call(environment / "bench", "list", cwd=tmp_path)
    assert "cannot be imported" not in listed
    for name, summary in (
        ("sharpened", "The SFT model at a lower temperature: its logits times a factor."),
        ("traffic", "Vehicles wait or go, three times each; to go is better."),
        ("patient", "The completion with more waiting in it is better; equal shares are a tie."),
        ("waiting", "Mean share of `wait` among the words of a completion."),
        ("kl", "KL(π‖π0) per completion, whole vocabulary at each sampled prefix"),
    ):
        assert re.search(rf"^  {name} +{re.escape(summary)}$", listed, re.MULTILINE)
    assert "**`waiting`** (no unit; lower is better)" in call(environment / "bench", "measures", cwd=tmp_path)


def test_method_and_measure_work_on_the_task(run: Path) -> None:
    records = {}
    for folder, record in records_of(run / "out").items():
        assert record["status"] == "ok", record["reason"]
        records[record["cell"]["arm"]] = record["measures"]
        texts = pd.read_parquet(folder / "completions.parquet")["completion"].str.split()
        share = sum(words.count("wait") / len(words) if words else 0 for words in texts) / len(texts)
        assert record["measures"]["waiting"] == pytest.approx(share)
    assert records["sharpened"]["entropy"] < records["sft"]["entropy"] - 0.05
    assert records["sft"]["kl"] == pytest.approx(0, abs=1e-5)


def test_the_table_of_numbers_has_the_measure_and_the_judge_decides(environment: Path, run: Path) -> None:
    call(environment / "bench", "table", "out", cwd=run)
    table = pd.read_csv(run / "out" / "tables" / "table.csv")
    assert set(table[table["measure"] == "waiting"]["arm"]) == {"sft", "sharpened"}
    call(environment / "bench", "judge", "out", "--judge", "patient", "--store", "store", cwd=run)
    answers = pd.read_parquet(run / "out" / "comparisons.parquet")
    assert answers.attrs["judge"].startswith("patient")
    texts = {record["cell"]["arm"]: folder for folder, record in records_of(run / "out").items()}
    waits = {
        arm: pd.read_parquet(folder / "completions.parquet").set_index(["prompt_id", "sample"])["completion"]
        for arm, folder in texts.items()
    }
    for row in answers.to_dict("records"):
        one, two = (waits[row[side]][row["prompt_id"], row["sample"]].split() for side in ("first", "second"))
        gap = one.count("wait") * len(two) - two.count("wait") * len(one)
        assert row["verdict"] == (0.5 if gap == 0 else gap > 0)


def test_a_changed_line_of_the_package_runs_what_rests_on_it_and_nothing_else(environment: Path, run: Path) -> None:
    command = (environment / "bench", "run", "matrix.yaml", "--out", "again", "--store", "store", "--jobs", "1")
    assert "nothing to run" in call(*command, cwd=run)
    library = next((environment.parent / "lib").glob("python*/site-packages/traffic_world"))
    measure, helper = library / "measure.py", library / "scaling.py"
    measure.write_text(measure.read_text().replace("/ len(texts)", "/ len(texts) / 2"))
    assert "2 stages run" in call(*command, cwd=run)  # two evaluations, and no training
    helper.write_text(helper.read_text().replace("mul_(factor)", "mul_(1 + factor)"))
    assert "2 stages run" in call(
        *command, cwd=run
    )  # one policy, that of the method which imports it, and its evaluation
    before, after = ({r["cell"]["arm"]: r["measures"] for r in records_of(run / n).values()} for n in ("out", "again"))
    assert 2 * after["sft"]["waiting"] == before["sft"]["waiting"]
    assert after["sharpened"]["entropy"] < before["sharpened"]["entropy"]
