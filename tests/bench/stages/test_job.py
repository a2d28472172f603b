"""What a stage is given."""

import json

import pytest
from datasets import Dataset

from bench.contracts.errors import BenchError
from bench.stages.artifact import POINTER
from bench.stages.job import Job
from bench.store.folder_digest import folder_digest


def test_rows_are_read_from_the_path_as_it_is_written(tmp_path):
    for folder, prompt in (("s1", "another store's"), ("s?", "its own"), ("e[1]", "its own")):
        (tmp_path / folder).mkdir()
        Dataset.from_list([{"prompt": prompt}]).to_parquet(tmp_path / folder / "train.parquet")
    for folder in ("s?", "e[1]"):
        job = Job({}, tmp_path, {"preferences": tmp_path / folder}, tmp_path, lambda step, total: None)
        assert job.pairs("train")["prompt"][:] == ["its own"]


def test_a_model_that_was_changed_after_its_key_was_made_is_refused(tmp_path):
    model, base = tmp_path / "model", tmp_path / "base"
    model.mkdir()
    base.mkdir()
    (model / "model.safetensors").write_bytes(b"one")
    (base / POINTER).write_text(json.dumps({"source": str(model), "digest": folder_digest(model)}))
    job = Job({}, tmp_path, {"base": base}, tmp_path, lambda step, total: None)
    assert job.base_source == str(model)
    (model / "model.safetensors").write_bytes(b"two")
    with pytest.raises(BenchError, match="was changed while this ran"):
        job.load_base()
