"""A stage is filed under its key only where code and data are still those that the key was made from."""

import json

import pytest

from bench.contracts.errors import BenchError
from bench.matrix.reading import parse_matrix
from bench.running.worker import _require_the_code_of_the_key, _require_the_data_of_the_key
from bench.stages.graph import stages_of
from bench.stages.job import Job

PLUGIN = """
from bench import Method

class Mine(Method):
    def train(self, workbench):
        return workbench.policy(workbench.sft_model())
"""


@pytest.fixture
def job(tmp_path):
    """The policy's stage of a method and a data file of one's own."""
    rows = [{"prompt": f"prompt {i}", "completion": f"answer {i}"} for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "mine.py").write_text(PLUGIN)
    matrix = parse_matrix({
        "tasks": {"rows": {"task": "dataset", "path": str(tmp_path / "rows.jsonl")}},
        "methods": ["mine"],
        "plugins": [str(tmp_path / "mine.py")],
        "seeds": 1,
    })  # fmt: skip
    spec = dict(stages_of(matrix.cells()[0], matrix, "cpu")["policy"].spec)
    return Job(spec, tmp_path / "out", {}, tmp_path, lambda step, total: None)


def test_the_code_and_the_data_of_the_key_are_taken(job):
    assert _require_the_code_of_the_key(job) is None
    assert _require_the_data_of_the_key(job) is None


def test_data_that_changed_since_the_key_was_made_is_refused(job, tmp_path):
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('\n{"prompt": "late", "completion": "row"}')
    with pytest.raises(BenchError, match="data was changed since the run began: run again"):
        _require_the_data_of_the_key(job)


def test_a_method_that_came_from_another_file_is_refused(job, tmp_path):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "mine.py"
    other.write_text(PLUGIN)
    job.spec["plugins"] = [str(other)]
    with pytest.raises(BenchError, match=r"'mine' was imported from .*other/mine\.py, and the run is of the code in"):
        _require_the_code_of_the_key(job)
