"""A run writes into its own folder, and removes nothing but what an earlier run of that folder wrote."""

import json

import pytest

from bench.contracts.errors import BenchError
from bench.matrix.reading import parse_matrix
from bench.records.lock import writing_into
from bench.running.run import run
from bench.running.run_folder import RunFolder

TWO = {"name": "two", "tasks": "strings", "methods": ["base", "sft"], "seeds": 1}
ONE = TWO | {"methods": ["base"]}


def files(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def begun(folder, settings):
    """A run in whose cells something was written."""
    matrix = parse_matrix(settings)
    RunFolder(folder).prepare(matrix)
    for cell in matrix.cells():
        (folder / "cells" / cell.id).mkdir(parents=True, exist_ok=True)
        (folder / "cells" / cell.id / "record.json").write_text("{}")
    return [cell.id for cell in matrix.cells()]


@pytest.mark.parametrize("name", ["cells/mouse-042/measurements.csv", "cells/cells.csv", "cells", "run.json", "a.txt"])
def test_a_folder_that_is_no_run_is_refused_and_stays_as_it_is(tmp_path, name):
    (tmp_path / "bio" / name).parent.mkdir(parents=True)
    (tmp_path / "bio" / name).write_text('{"work": "10 years"}')
    before = files(tmp_path / "bio")
    with pytest.raises(BenchError, match=r"bio is not a run and not empty \(it holds [a-z.]+\): name another folder"):
        run(ONE, out=tmp_path / "bio", store=tmp_path / "store")
    assert files(tmp_path / "bio") == before


def test_an_empty_folder_or_one_of_hidden_files_is_taken(tmp_path):
    (tmp_path / ".gitkeep").write_text("")
    assert begun(tmp_path, ONE)


def test_of_another_matrix_only_what_the_run_wrote_goes(tmp_path):
    _, sft = begun(tmp_path, TWO)
    (tmp_path / "cells" / "mouse-042").mkdir()
    (tmp_path / "cells" / "mouse-042" / "record.json").write_text("another bench's")
    (tmp_path / "cells" / "link").symlink_to(tmp_path / "cells" / "mouse-042")
    (tmp_path / "cells" / sft / "notes.txt").write_text("mine")
    RunFolder(tmp_path).prepare(parse_matrix(ONE))
    kept = set(files(tmp_path / "cells"))
    assert kept == {"strings-tiny-base-seed0/record.json", "mouse-042/record.json", f"{sft}/notes.txt"}
    assert (tmp_path / "cells" / "link").is_symlink()


def test_a_run_whose_description_is_damaged_is_described_again_and_nothing_is_removed(tmp_path):
    begun(tmp_path, TWO)
    (tmp_path / "run.json").write_text('{"cells": ["str')
    RunFolder(tmp_path).prepare(parse_matrix(ONE))
    assert json.loads((tmp_path / "run.json").read_text())["cells"] == ["strings-tiny-base-seed0"]
    assert len(list((tmp_path / "cells").glob("*/record.json"))) == 2


def test_a_description_cannot_have_folders_elsewhere_emptied(tmp_path):
    begun(tmp_path / "run", ONE)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "record.json").write_text("mine")
    described = {"cells": ["../../outside", str(outside), "..", ""]}
    (tmp_path / "run" / "run.json").write_text(json.dumps(described))
    RunFolder(tmp_path / "run").prepare(parse_matrix(ONE))
    assert files(outside) == {"record.json": "mine"}


def test_two_runs_into_one_folder_are_told_so(tmp_path):
    with writing_into(tmp_path / "out"), pytest.raises(BenchError, match="out: another command is writing into it"):
        run(ONE, out=tmp_path / "out", store=tmp_path / "store")


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(BenchError, match="out is a file: name a folder"):
        run(ONE, out=tmp_path / "out", store=tmp_path / "store")
