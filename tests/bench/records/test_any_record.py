"""Whatever stands in a record: the record, or a refusal of one line that names the file."""

import copy
import json
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contracts.errors import BenchError
from bench.records.record import SCHEMA, parse_record
from bench.records.sealing import sealed

RECORD = {
    "schema": SCHEMA,
    "key": "0" * 32,
    "cell": {"id": "a", "index": 0, "task": "t", "model": "m", "arm": "sft", "method": "sft", "seed": 0},
    "status": "ok",
    "reason": None,
    "step": None,
    "judge": "gold",
    "measures": {"gold": 0.25, "kl": None},
    "reward_models": {"judge": {"accuracy_heldout": 0.5}},
    "cost": {"stages": {"sft": 1.5}, "seconds": 1.5, "peak_memory_mb": None, "tokens_sampled": 3},
    "data": {"set_aside": {"empty": 1}, "about": {}},
    "device": "cpu",
    "versions": {"trl": "1"},
    "commit": None,
    "written": "2026-01-01T00:00:00+00:00",
    "files": {"completions.parquet": "0" * 64},
}
TEXT = json.dumps(sealed(RECORD))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.sampled_from([10**400, "zero", SCHEMA]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    *((name,) for name in RECORD),
    *(("cell", name) for name in RECORD["cell"]),
    ("measures", "gold"),
    ("cost", "x"),
]

quickly = settings(
    max_examples=250,
    deadline=timedelta(seconds=2),
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def parsed(text):
    """The record; None where it is refused in one line that names the file."""
    try:
        return parse_record(text, "cells/a/record.json")
    except BenchError as error:
        assert str(error).startswith("cells/a/record.json")
        assert "\n" not in str(error)
        return None


def test_a_sound_one_is_a_record():
    assert parsed(TEXT) == sealed(RECORD)


@quickly
@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_no_record(text):
    assert parsed(text) is None


@quickly
@given(st.integers(0, len(TEXT) - 1), st.integers(0, 7), st.integers(0, len(TEXT) - 1))
def test_a_flip_or_a_cut_is_noticed(place, bit, end):
    flipped = bytearray(TEXT.encode())
    flipped[place] ^= 1 << bit
    assert parsed(bytes(flipped)) in (None, sealed(RECORD))
    assert parsed(TEXT.encode()[:end]) is None


@quickly
@given(st.sampled_from(PLACES), ANYTHING)
def test_anything_in_a_field_is_taken_as_it_is_or_refused(place, value):
    record = copy.deepcopy(RECORD)
    inner = record
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    taken = parsed(json.dumps(sealed(record)))
    assert taken is None or json.dumps(taken) == json.dumps(sealed(record))
    assert parsed(json.dumps({**record, "checksum": "0" * 64})) is None
