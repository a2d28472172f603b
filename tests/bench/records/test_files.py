"""What is taken out of a cell's folder before it is written anew."""

import pytest

from bench.records.files import clear_cell, remove_cell


def test_an_empty_folder_in_the_place_of_a_record_makes_room(tmp_path):
    (tmp_path / "cell" / "record.json").mkdir(parents=True)
    (tmp_path / "cell" / "curve.parquet").write_text("x")
    remove_cell(tmp_path / "cell")
    assert not (tmp_path / "cell").exists()


def test_what_others_put_there_stays(tmp_path):
    (tmp_path / "record.json").mkdir()
    (tmp_path / "record.json" / "notes.txt").write_text("mine")
    (tmp_path / "mouse.csv").write_text("42")
    with pytest.raises(OSError, match=r"record\.json"):
        clear_cell(tmp_path)
    assert (tmp_path / "record.json" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "mouse.csv").exists()
