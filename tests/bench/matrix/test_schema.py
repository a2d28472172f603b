"""The schema takes every matrix that the bench takes, and refuses what people mistype."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.catalogue.entries import entries
from bench.contracts.yaml import read_yaml
from bench.matrix.reading import builtin_matrices, load_matrix
from bench.matrix.schema import matrix_schema

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[3]
WORLD = Path(__file__).parents[1] / "toy_world.py"


@pytest.fixture(scope="module")
def validator():
    schema = matrix_schema([WORLD])
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def problems(validator, text):
    value, _ = read_yaml(text, "matrix")
    return [error.message for error in validator.iter_errors(value)]


@pytest.mark.parametrize("name", builtin_matrices())
def test_every_built_in_matrix_validates(validator, name):
    text = (ROOT / "bench" / "matrix" / "matrices" / f"{name}.yaml").read_text()
    assert not problems(validator, text)
    assert not list(validator.iter_errors(json.loads(json.dumps(load_matrix(name).description()))))  # defaults written


def test_every_example_validates(validator):
    for entry in entries([WORLD]):
        if entry.kind in ("method", "task", "section"):
            assert not problems(validator, entry.example), entry.name


GOOD = """
tasks: {plain: {task: toy, words: [2, 3]}, toy: }
models: [tiny, some/model]
methods:
  sft:
  dpo: {beta: [0.1, 1], tasks: toy}
  dpo with fewer: {method: dpo, stages: {preferences: {pairs: [50, 500]}, reward_model: {fit: [pairs, ratings]}}}
  ppo, scores as they are: {method: ppo, reward_clip: [null, 0.5]}
seeds: [3, 4]
evaluation: {prompts: 4}
stages: {sft: {epochs: 0.5}}
plugins: toy_world.py
"""


def test_labels_grids_stages_of_an_arm_and_several_models_are_taken(validator):
    assert not problems(validator, GOOD)
    assert not problems(
        validator, "tasks: [toy, strings]\nmodels: {small: {model: tiny, width: [8, 16]}}\nmethods: sft"
    )


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("methods:", "method:"),
        ("  sft:", "  stf:"),
        ("method: ppo", "method: pop"),
        ("beta: [0.1, 1]", "beta: [0.1, -1]"),
        ("beta: [0.1, 1]", "beta: 'a'"),
        ("beta: [0.1, 1]", "beta: []"),
        ("beta: [0.1, 1]", "betta: 0.1"),
        ("fit: [pairs, ratings]", "fit: [pairs, rating]"),
        ("pairs: [50, 500]", "pairs: 0"),
        ("task: toy", "task: tyo"),
        ("words: [2, 3]", "words: 9"),
        ("seeds: [3, 4]", "seeds: 0"),
        ("seeds: [3, 4]", "seeds: [3, 3]"),
        ("{prompts: 4}", "{prompts: [4, 8]}"),  # no grid there
        ("epochs: 0.5", "epochs: '0.5'"),
        ("[tiny, some/model]", "{tiny: {layer: 2}}"),
        ("[tiny, some/model]", "{some/model: {layers: 2}}"),
        ("plugins: toy_world.py", "plugins: {a: b}"),
    ],
)
def test_what_people_mistype_is_refused(validator, good, bad):
    assert good in GOOD
    assert problems(validator, GOOD.replace(good, bad))


def test_settings_say_what_they_mean_and_what_they_are_by_default():
    schema = matrix_schema()
    beta = schema["$defs"]["grid-DPO"]["properties"]["beta"]
    assert beta["default"] == 0.1
    assert "pull towards π0" in beta["description"]
    assert schema["properties"]["methods"]["anyOf"][2]["properties"]["dpo"]["description"].startswith("Direct pref")


def test_the_command_prints_it_with_what_a_plug_in_adds():
    done = subprocess.run(
        [sys.executable, "-m", "bench.cli", "schema", "--plugin", str(WORLD)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == json.loads(json.dumps(matrix_schema([WORLD])))
    assert "explode" in done.stdout
