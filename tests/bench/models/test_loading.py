"""A model is whole or refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.contracts.errors import BenchError
from bench.matrix.reading import parse_matrix
from bench.models.loading import load_classifier, load_judge, load_model
from tests.small_models import classifier_for, gpt2

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    gpt2().save_pretrained(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def rewrite(folder, change):
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})


def test_a_whole_model_is_read_as_language_model_and_as_classifier_with_a_new_head(whole):
    assert load_model(whole).num_parameters() > 0
    assert load_classifier(whole).config.num_labels == 1


@pytest.mark.parametrize(
    "change, fault",
    [
        (
            lambda tensors: {k: v for k, v in tensors.items() if ".h.0." not in k},
            "are missing, such as transformer.h.0",
        ),
        (lambda tensors: {f"model.{k}": v for k, v in tensors.items()}, "missing"),
        (lambda tensors: tensors | {"score.weight": torch.zeros(1, 16)}, "no place in GPT2LMHeadModel"),
        (lambda tensors: tensors | {"transformer.ln_f.weight": torch.zeros(17)}, "another shape"),
    ],
)
def test_weights_that_are_missing_too_many_or_of_another_shape_are_refused(folder, change, fault):
    rewrite(folder, change)
    with pytest.raises(BenchError, match=fault):
        load_model(folder)


def test_buffers_of_older_releases_are_no_weights(folder):
    rewrite(folder, lambda tensors: tensors | {"transformer.h.0.attn.bias": torch.ones(1, 1, 64, 64)})
    assert load_model(folder).num_parameters() > 0


def test_a_judge_without_its_head_is_refused_and_a_saved_reward_model_is_read(whole, tmp_path):
    with pytest.raises(BenchError, match=r"missing, such as score\.weight"):
        load_judge(whole)
    classifier_for(gpt2()).save_pretrained(tmp_path)
    assert load_judge(tmp_path).config.num_labels == 1
    assert load_classifier(tmp_path).config.num_labels == 1
    rewrite(tmp_path, lambda tensors: {k: v for k, v in tensors.items() if k != "score.weight"})
    with pytest.raises(BenchError, match=r"score\.weight"):
        load_classifier(tmp_path)


def planned(folder):
    return parse_matrix({"tasks": "strings", "models": {"m": {"model": str(folder)}}, "methods": ["sft"], "seeds": 1})


def test_what_the_files_alone_tell_is_refused_before_anything_runs(folder):
    assert planned(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"n_layer": 100_000}))
    with pytest.raises(BenchError, match="n_layer 100000, and there are"):
        planned(folder)
    (folder / "config.json").write_text(json.dumps(config))
    content = (folder / WEIGHTS).read_bytes()
    for damaged in (content[:-1], content[:4], b"\xff" * 8 + content[8:]):
        (folder / WEIGHTS).write_bytes(damaged)
        with pytest.raises(BenchError, match="damaged or cut short"):
            planned(folder)
    (folder / WEIGHTS).unlink()
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}))
    with pytest.raises(BenchError, match=r"model-00001-of-00002\.safetensors is missing"):
        planned(folder)
    (folder / f"{WEIGHTS}.index.json").unlink()
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(BenchError, match="is a pickle"):
        planned(folder)
