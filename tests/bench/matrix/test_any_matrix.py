"""Whatever stands where a matrix asks for something: a matrix, or a refusal of one line, and quickly."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contracts.errors import BenchError
from bench.contracts.stage_settings import Evaluation, Stages, TinyModel
from bench.matrix.cells import Matrix
from bench.matrix.reading import load_matrix, parse_matrix

SOUND = {"name": "sound", "tasks": "strings", "methods": "sft"}

ANY_NUMBER = st.one_of(st.integers(), st.integers(-3, 3), st.floats(), st.sampled_from([10**400, -(10**30), 2**63]))
ANY_TEXT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["sft", "dpo", "strings", "tiny", "~", "~nobody/x", "a\0b", "x" * 5000, "..", "/", "*", "[/red]"]),
)
LEAVES = st.one_of(st.none(), st.booleans(), ANY_NUMBER, ANY_TEXT)
NAMES = st.one_of(
    ANY_TEXT, st.sampled_from(["method", "task", "model", "stages", "beta", "path", *TinyModel.model_fields])
)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
KEYS = st.sampled_from(["name", "tasks", "models", "methods", "seeds", "stages", "evaluation", "plugins", "claims"])
FIELDS = st.sampled_from(
    [
        *(("evaluation", name) for name in Evaluation.model_fields),
        *(("stages", name) for name in Stages.model_fields),
        *(("methods", "dpo", name) for name in ("beta", "learning_rate", "epochs", "method", "stages")),
        *(("models", "t", name) for name in (*TinyModel.model_fields, "model")),
        *(("tasks", "t", name) for name in ("task", "path", "max_completion_tokens")),
    ]
)

quickly = settings(
    max_examples=120,
    deadline=timedelta(seconds=5),
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def parsed(mapping):
    """The matrix, or None where it is refused in one line."""
    try:
        matrix = parse_matrix(mapping)
        assert isinstance(matrix, Matrix)
        return matrix
    except BenchError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 3000
        return None


@quickly
@given(KEYS, ANYTHING)
def test_anything_for_a_section(key, value):
    assert isinstance(parsed(SOUND | {key: value}), Matrix | None)


@quickly
@given(FIELDS, ANYTHING)
def test_anything_for_a_field(place, value):
    for name in reversed(place[1:]):
        value = {name: value}
    if place[0] == "models" and "model" not in value["t"]:
        value["t"]["model"] = "tiny"
    if place[0] == "tasks" and "task" not in value["t"]:
        value["t"]["task"] = "dataset"
    assert isinstance(parsed(SOUND | {place[0]: value}), Matrix | None)


@quickly
@given(st.binary(max_size=60) | st.text("{}[]:,-&*!|>'\"#%@`\n\t a1~.\0\x1b", max_size=60).map(str.encode))
def test_any_bytes_for_a_file(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(b"methods: sft\ntasks: " + text)
    try:
        assert isinstance(load_matrix(file), Matrix)
    except BenchError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("depth", [100, 450, 900, 3000])
@pytest.mark.parametrize("key", ["tasks", "methods", "models", "seeds", "stages", "plugins"])
def test_any_depth(key, depth):
    nested = []
    for _ in range(depth):
        nested = [nested]
    assert parsed(SOUND | {key: nested}) is None


def test_a_sound_one_is_a_matrix():
    assert parsed(SOUND)
