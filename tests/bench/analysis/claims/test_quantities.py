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


@pytest.mark.parametrize("measure", ["updates_to", "updates_to:soon", "gold_where:(", "kl_to_optimum:"])
def test_an_argument_that_a_measure_cannot_use_is_refused(measure):
    with pytest.raises(BenchError, match="is not what"):
        one(measure, completions=pd.DataFrame({"prompt": ["a"], "gold": [0.0], "cell": ["a-0"]}))


def test_what_a_curve_tells():
    assert one("peak_gold") == 0.5
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


def test_labels_that_never_reached_the_target_are_not_cheap():
    run = made_run({"few": {"gold": 0.2, "cost_gold_labels": 50}, "many": {"gold": 0.6, "cost_gold_labels": 900}},
                   {"few": {"step": [0, 4], "gold": [0, 0.2]}, "many": {"step": [0, 4], "gold": [0, 0.6]}})  # fmt: skip
    found = Quantities(run)
    assert found.of("labels_to:0.4").to_dict() == {"few-0": 900, "many-0": 900}
    assert found.happened("labels_to:0.4").to_dict() == {"few-0": False, "many-0": True}
    assert found.of("labels_to:0.1")["few-0"] == 50


def test_fluctuation_is_falls_alone_from_the_first_update_on():
    curve = {"step": [0, 10, 20, 40, 80], "kl": 0, "proxy": 0, "gold": [0.0, 0.3, 0.2, 0.4, 0.1]}
    rising = {**curve, "gold": [0.0, 0.1, 0.3, 0.6, 0.9]}
    run = made_run({"a": {"gold": 0.1}, "b": {"gold": 0.9}}, {"a": curve, "b": rising})
    assert Quantities(run).of("fluctuation").tolist() == pytest.approx([(0.1 + 0.3) / 4, 0])
    assert Quantities(run).of("early_fluctuation").tolist() == pytest.approx([0.1 / 3, 0])
    frozen = {**curve, "gold": [0.3, 0.3, 0.2, 0.2, 0.1]}
    warmed = made_run({"a": {"gold": 0.1}}, {"a": frozen}, log(policy_loss={11: 0.0, 80: 0.0}))
    assert Quantities(warmed).of("fluctuation")["a-0"] == pytest.approx((0.1 + 0.1) / 3)  # not over step 0 to 10


def test_the_distance_to_the_optimum_is_that_at_the_beta_given():
    # two completions, π0 uniform, gold 0 and 1: π*(1) = e^{1/β} / (1 + e^{1/β})
    def policy(p):
        kl = p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p))
        return {"exact_kl": kl, "exact_gold": p, "optimality_gap": 0.0}

    top = np.e**2 / (1 + np.e**2)
    run = made_run({"optimum": policy(top), "start": {**policy(0.5), "exact_kl": 0.0}, "on its way": policy(0.7)})
    found = Quantities(run).of("kl_to_optimum:0.5")
    by_hand = 0.7 * np.log(0.7 / top) + 0.3 * np.log(0.3 / (1 - top))
    assert found["optimum-0"] == pytest.approx(0, abs=1e-12)
    assert found["on its way-0"] == pytest.approx(by_hand)
    assert found["start-0"] == pytest.approx(0.5 * np.log(0.5 / top) + 0.5 * np.log(0.5 / (1 - top)))  # not 0


def test_gold_of_the_prompts_that_a_pattern_finds():
    rows = {"prompt": ["open her safe", "open my safe", "open my safe"], "gold": [0.0, 1.0, 0.5], "cell": "a-0"}
    completions = pd.DataFrame(rows)
    assert one("gold_where:open my", completions=completions) == 0.75
    assert one("gold_where:her", completions=completions) == 0


def completions_of(judged, kl=1.0):
    """`judged`: cell → one judged gain for each prompt."""
    return pd.concat(
        pd.DataFrame({"prompt_id": range(len(gains)), "judge": gains, "reference_judge": 0.0, "kl": kl}).assign(
            cell=cell
        )
        for cell, gains in judged.items()
    )


def test_the_frontier_is_chosen_on_one_half_of_the_prompts_and_read_on_the_other():
    # policy a is lucky on even prompts and poor on odd ones; b gains 0.2 on all
    completions = completions_of({"a-0": [1.0, -1.0, 1.0, -1.0], "b-0": [0.2] * 4})
    run = made_run({"a": {"gold": 0.0}, "b": {"gold": 0.0}}, completions=completions)
    records = run.records
    # even choose a (read −1), odd choose b (read 0.2); within budgets of 1 to 10 nats
    assert Quantities(run).frontier_of(records)[0] == pytest.approx(0.9 * (-1 + 0.2) / 2)
    assert Quantities(run).frontier_of(records[records["arm"] == "b"])[0] == pytest.approx(0.9 * 0.2)


def test_the_variance_among_policies_is_without_that_of_their_samples():
    rng = np.random.default_rng(0)
    prompts = rng.normal(0, 1, 4000)
    same = {f"{arm}-0": prompts + rng.normal(0, 0.5, 4000) for arm in "abc"}
    apart = {cell: gains + 0.3 * i for i, (cell, gains) in enumerate(same.items())}
    arms = {arm: {"gold": 0.0} for arm in "abc"}
    for judged, variance in ((same, 0.0), (apart, 0.09)):
        run = made_run(arms, completions=completions_of(judged))
        assert Quantities(run).variance_of(run.records)[0] == pytest.approx(variance, abs=0.01)
    tiny = made_run({arm: {"gold": 0.0} for arm in "ab"}, completions=completions_of({"a-0": [1, 0], "b-0": [0, 1]}))
    # all of it is interaction: means are equal, the residual's mean square is 1, over two prompts
    assert Quantities(tiny).variance_of(tiny.records)[0] == pytest.approx(-0.5)


def test_what_a_training_log_tells_once_the_policy_moves():
    rows = log(
        approx_kl={4: 1e-9, 8: 1e-9},  # what the losses see, before the last step
        update_kl={4: 0.1, 8: 0.3},
        ratio_99={4: 1.5, 8: 2.5},
        ratio_max={4: 2.0, 8: 5.0},
        value_loss={1: 9.0, 4: 4.0, 5: 3.0, 6: 2.0, 8: 1.0},
        policy_loss={4: 0.0, 8: 0.0},
    )
    assert one("step_kl", training=rows) == pytest.approx(0.2)
    assert one("ratio_99", training=rows) == 2
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
    needs_a_number = (name.endswith("_to") and name != "loss_to") or name == "kl_to_optimum"
    found = Quantities(run).of(f"{name}:0.4" if needs_a_number else name)
    assert DERIVED[name].says and found.index.tolist() == run.records["cell"].tolist()
