"""The house: its rooms are those of the map in README.md, and none imports one above it."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
LAYERS = next(contract["layers"] for contract in LINTER["contracts"] if contract["id"] == "floors")
FLOORS = [layer.split(" | ") for layer in LAYERS]


def rooms():
    return sorted(each.name for each in (ROOT / "bench").iterdir() if each.is_dir() and each.name != "__pycache__")


def test_the_contract_is_kept():
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_an_import_that_runs_up_breaks_the_contract(tmp_path):
    for name in ("bench", "methods", "tasks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    for room in rooms():
        (tmp_path / "bench" / room).mkdir()
        (tmp_path / "bench" / room / "__init__.py").touch()
    (tmp_path / "bench" / "models" / "__init__.py").write_text("import bench.stages")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()"
    done = subprocess.run([sys.executable, "-c", code, "--no-cache"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "bench.models -> bench.stages" in done.stdout


def test_the_map_shows_the_floors_of_the_contract():
    layout = (ROOT / "README.md").read_text().partition("## Layout")[2]
    lines = re.search(r"```\n(.*?)```", layout, flags=re.DOTALL)[1].splitlines()
    assert [re.split(r"\s{2,}", line)[0].split(", ") for line in lines] == FLOORS


def test_every_room_is_on_the_map_and_nothing_lies_loose():
    assert rooms() == sorted(room for floor in FLOORS for room in floor)
    assert len(rooms()) <= 15 and len(FLOORS) <= 12
    loose = {each.name for each in (ROOT / "bench").iterdir() if each.is_file()}
    assert loose == {"__init__.py", "py.typed"}


def test_every_room_says_what_is_in_it():
    for init in sorted((ROOT / "bench").rglob("__init__.py")):
        assert ast.get_docstring(ast.parse(init.read_text())), init
