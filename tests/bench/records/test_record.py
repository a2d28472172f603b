"""A cell's record: every one that was ever written can be read, and what is none is told by its place."""

import gzip
import json
from pathlib import Path

import pytest

from bench.contracts.errors import BenchError
from bench.contracts.measure import Measure
from bench.records.files import RECORDS
from bench.records.loading import load_run
from bench.records.reading import read_cells
from bench.records.record import Cost, Record, parse_record, read_record, write_record

REFERENCE = Path(__file__).parents[3] / "results" / "reference"
CELL = {"id": "a", "task": "t", "model": "m", "arm": "b", "method": "c", "seed": 0}
WHOLE = {"schema": 1, "cell": CELL, "status": "ok"}


@pytest.mark.parametrize("file", sorted(REFERENCE.glob(f"*/{RECORDS}")), ids=lambda file: file.parent.name)
def test_the_reference_records_have_the_shape_and_are_written_as_they_were(file, tmp_path):
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = parse_record(line, file.name)
            assert json.dumps(record, separators=(",", ":")) == line.rstrip("\n")
            assert list(record) == list(Record.__annotations__)
            # an earlier release did not know the processors' time
            assert list(record["cost"]) == [name for name in Cost.__annotations__ if name in record["cost"]]
    folder = tmp_path / record["cell"]["id"]
    folder.mkdir()
    write_record(folder, record)
    read = read_record(folder)
    assert list(read) == list(record)
    assert {**read, "files": record["files"], "checksum": record["checksum"]} == record


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"schema": 3}, "here: written in schema 3; this release reads 1 and 2"),
        ({"schema": None}, "here: written in schema None; this release reads 1 and 2"),
        ({"schema": 2}, "here: has no checksum"),
        ({"schema": 2, "checksum": "0"}, "here: does not match its checksum"),
        ({"status": "fine"}, "here: not a record (status: Input should be 'ok', 'diverged', 'failed' or 'skipped')"),
        ({"cell": CELL | {"seed": "0"}}, "here: not a record (cell.seed: Input should be a valid integer)"),
        ({"cell": {"id": "a"}}, "here: not a record (cell.task: Field required)"),
        ({"measures": {"gold": "0.5"}}, "here: not a record (measures.gold: Input should be a valid number)"),
        ({"cost": None}, "here: not a record (cost: Input should be a valid dictionary)"),
    ],
)
def test_what_is_not_of_the_shape_is_told_by_its_path(changed, told):
    with pytest.raises(BenchError) as caught:
        parse_record(json.dumps(WHOLE | changed), "here")
    assert str(caught.value) == told


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"record"', b"\xff\xfe", "[" * 100_000, "1" * 5000])
def test_what_is_no_object_is_no_record(text):
    with pytest.raises(BenchError, match=r"^here: not (a JSON object|JSON)"):
        parse_record(text, "here")


def test_what_a_later_release_adds_is_kept():
    record = parse_record(json.dumps(WHOLE | {"weather": "fair", "measures": {"gold": 1, "kl": None}}), "here")
    assert record == WHOLE | {"weather": "fair", "measures": {"gold": 1, "kl": None}}
    assert type(record["measures"]["gold"]) is int


def test_no_measure_may_have_the_name_of_another_column_of_the_records():
    measures = {name for record in read_cells(REFERENCE / "quickstart").records.values() for name in record["measures"]}
    columns = set(load_run(REFERENCE / "quickstart").records) - measures
    assert {"cell", "status", "versions", "cost_seconds"} <= columns
    for name in sorted(columns):
        with pytest.raises(BenchError, match="records use that name"):
            type("Mine", (Measure,), {"name": name, "__module__": "mine", "compute": lambda self, gold: 0.0})
