"""What claims compare: numbers of a cell by hand."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.claims.derived import DERIVED, reached
from bench.analysis.claims.quantities import Quantities
from bench.contracts.errors import BenchError
from tests.bench.analysis.claims.made_run import made_run

CURVE = {"step": [0, 10, 20, 40], "kl": [0, 1, 2, 4], "proxy": [0, 1, 2, 3], "gold": [0.0, 0.3, 0.5, -0.3]}


def one(measure, measures=None, **more):
    run = made_run({"a": {"gold": -0.3, "proxy": 3.0, "kl": 4.0, **(measures or {})}}, {"a": CURVE}, **more)
    return Quantities(run).of(measure)["a-0"]


def log(**names):
    rows = [(step, name, value) for name, each in names.items() for step, value in each.items()]
    return pd.DataFrame(rows, columns=["step", "name", "value"]).assign(cell="a-0")


def test_measures_of_records_and_their_differences():
    assert one("kl") == 4
    assert one("kl - proxy") == 1
    assert one("gap") == pytest.approx(3 / 1.0 + 0.3 / 0.5)
    assert one("collapsed") == 1
    assert one("collapsed", {"gold": -0.1}) == 0


def test_an_unknown_measure_is_refused_with_the_nearest():
    with pytest.raises(BenchError, match="peak_gold"):
        one("peek_gold")


def test_what_a_curve_tells():
    assert one("peak_gold") == 0.5
    assert one("fluctuation") == pytest.approx((0.3 + 0.2 + 0.8) / 3)
    assert one("early_fluctuation") == pytest.approx((0.3 + 0.2) / 2)
    assert one("updates_to:0.4") == pytest.approx(15)
    assert one("updates_to:0.9") == 40
    assert one("updates_to_collapse") == pytest.approx((20 + 20 * 0.7 / 0.8) / 40)


def test_tokens_and_labels_until_the_target():
    read = log(num_tokens={10: 100.0, 20: 200.0, 40: 400.0})
    assert one("tokens_to:0.4", training=read) == pytest.approx(150)
    again = made_run({"a": {"gold": 0.5}}, {"a": CURVE}, read)
    again.records["hyperparameters"] = [{"rollouts": 8, "epochs": 4}]
    assert Quantities(again).of("tokens_to:0.4")["a-0"] == pytest.approx(150 / 4)
    asks = {"hyperparameters": {"reward": "gold", "steps": 10, "rollouts": 8}, "cost_gold_labels": 2080}
    run = made_run({"a": {"gold": 0.5}}, {"a": CURVE})
    for column, value in asks.items():
        run.records[column] = [value]
    assert Quantities(run).of("labels_to:0.4")["a-0"] == pytest.approx(80 * 15 / 40)
    run.records["hyperparameters"] = [{}]
    assert Quantities(run).of("labels_to:0.4")["a-0"] == 2080


def test_what_a_training_log_tells_once_the_policy_moves():
    rows = log(
        approx_kl={4: 0.1, 8: 0.3},
        ratio_max={4: 2.0, 8: 5.0},
        value_loss={1: 9.0, 4: 4.0, 5: 3.0, 6: 2.0, 8: 1.0},
        policy_loss={4: 0.0, 8: 0.0},
    )
    assert one("step_kl", training=rows) == pytest.approx(0.2)
    assert one("largest_ratio", training=rows) == 5
    assert one("early_value_error", training=rows) == 4


def test_the_reward_models_own_course():
    run = made_run({"a": {"gold": 0.5}})
    curve = [{"step": 0, "accuracy": 0.5}, {"step": 4, "accuracy": 0.7}]
    run.records["reward_models"] = [{"reward_model": {"accuracy_train": 0.9, "accuracy_heldout": 0.7, "curve": curve}}]
    assert Quantities(run).of("train_test_gap")["a-0"] == pytest.approx(0.2)
    assert Quantities(run).of("reward_model_updates_to:0.6")["a-0"] == pytest.approx(2)


def test_losses_to_a_rival_are_counted_on_the_same_prompt_and_seed():
    def rows(arm, judge):
        place = {"prompt_id": [0, 0, 1, 1], "sample": [0, 1, 0, 1], "judge": judge}
        return pd.DataFrame(place).assign(cell=f"{arm}-0", arm=arm, task="world", model="tiny", seed=0)

    completions = pd.concat([rows("a", [0, 1, 2, 3]), rows("b", [1, 1, 1, 4])])
    run = made_run({"a": {"gold": 0.0}, "b": {"gold": 0.0}}, completions=completions)
    assert Quantities(run).of("loss_to:b").to_dict() == {"a-0": 0.5, "b-0": 0.0}
    assert Quantities(run).of("loss_to:nobody").isna().all()


def test_reached_reads_between_points_and_is_infinite_where_never():
    curve = pd.Series([0.0, 1.0, 0.5], index=[0, 10, 20])
    assert reached(curve, 0.25) == 2.5
    assert reached(curve, 0.0) == 0
    assert np.isinf(reached(curve, 2))


@pytest.mark.parametrize("name", DERIVED)
def test_every_derived_measure_is_explained_and_known_of_every_cell(name):
    run = made_run({"a": {"gold": 0.5, "proxy": 1.0, "cost_gold_labels": 10}}, {"a": CURVE})
    found = Quantities(run).of(f"{name}:0.4" if name.endswith("_to") and name != "loss_to" else name)
    assert DERIVED[name].says and found.index.tolist() == run.records["cell"].tolist()
