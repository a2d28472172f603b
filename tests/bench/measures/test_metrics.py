"""Every measure is an `evaluate.Metric` over its pure function, and stands on the page."""

import inspect
from pathlib import Path

import evaluate
import numpy as np
import pytest

import bench.measures
from bench.contracts.errors import BenchError
from bench.measures.computing import compute
from bench.measures.metrics import metric
from bench.measures.page import page
from bench.measures.registry import MEASURES

N = 12


def columns() -> dict[str, list]:
    """One value of every column that measures ask for."""
    rng = np.random.default_rng(0)
    posteriors = rng.dirichlet([1, 1, 1], N)
    exact = rng.dirichlet(np.ones(N // 2), (2, 2))
    special = {
        "texts": [f"a {'b' * (i % 3)} c {i % 4}" for i in range(N)],
        "prompt_ids": [i // 4 for i in range(N)],
        "probabilities": (posteriors**2 / (posteriors**2).sum(1, keepdims=True)).tolist(),
        "posteriors": posteriors.tolist(),
        "answers": [i % 3 for i in range(N)],
        "exact_prompt": [i // (N // 2) for i in range(N)],
        "exact_logp": np.log(exact[0]).ravel().tolist(),
        "exact_reference_logp": np.log(exact[1]).ravel().tolist(),
        "n": [16] * N,
    }
    drawn = {name: rng.uniform(0.1, 0.9, N) for info in MEASURES.values() for name in info.columns}
    shares = {name: (drawn[name] > 0.5).astype(float) for name in drawn if name.endswith(("correct", "finished"))}
    counts = {name: np.ceil(10 * drawn[name]) for name in drawn if "length" in name or "tokens" in name}
    return {name: list(values) for name, values in (drawn | shares | counts).items()} | special


@pytest.fixture(scope="module")
def everything():
    return columns()


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_a_metric_that_gives_its_pure_functions_value(everything, name):
    info = MEASURES[name]
    mine = metric(name)
    assert isinstance(mine, evaluate.Metric)
    inputs = {column: everything[column] for column in info.columns}
    assert set(mine.features) == set(inputs)
    assert info.description in mine.description
    value = mine.compute(**inputs)
    assert value == {name: pytest.approx(info.compute(*inputs.values()), nan_ok=False)}


def test_compute_gives_every_measure_whose_columns_are_there_and_no_other(everything):
    assert compute(everything).keys() == MEASURES.keys()
    some = compute({"gold": [1.0, 3.0], "length": [4, 6], "entropy": [2.0, 3.0]})
    assert some == {"gold": 2.0, "gold_sd": pytest.approx(2**0.5), "entropy": 0.5, "length": 5.0}


def test_settings_reach_the_measures_that_take_them():
    scores = {"judge": [1.0, 1.0], "reference_judge": [0.9, 0.0]}
    assert metric("tie").compute(**scores, tie_band=0.2) == {"tie": 0.5}
    assert compute(scores, tie_band=0.2)["tie"] == 0.5
    assert compute(scores)["tie"] == 0.0


def test_an_unknown_measure_is_refused_with_the_nearest_name():
    with pytest.raises(BenchError, match="'kl_forward'"):
        metric("kl_forwards")


def test_the_page_is_what_the_command_prints_today():
    written = Path(bench.measures.__file__).with_name("README.md").read_text(encoding="utf-8")
    assert written == page(), "stale: run `bench measures > bench/measures/README.md`"


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_on_the_page_and_states_its_trap(name):
    assert f"- **`{name}`** (" in page()
    assert (inspect.getdoc(MEASURES[name].compute) or "").replace("\n", " ").count("Trap: ") == 1
