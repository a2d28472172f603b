"""A verdict is what its interval says: each kind of test, on numbers whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest

from bench.analysis.claims.kinds.prediction import area_under_roc
from bench.analysis.claims.quantities import Quantities
from bench.analysis.claims.verdict import judge, run_test
from bench.records.claims import Claim, ClaimTest
from tests.bench.analysis.claims.made_run import made_run

NOISE = np.random.default_rng(0).normal(0, 0.05, 10)
SEEDS = np.arange(10) / 10


def claim(*tests, **more):
    return Claim(id=1, says="so it is", source="D0", task="world", tests=[ClaimTest(**test) for test in tests], **more)


def verdict_on(run, *tests, **more):
    return judge(claim(*tests, **more), Quantities(run))


def compare(**more):
    return {"test": "difference", "measure": "gold", "arms": ["a", "b"], **more}


def test_a_difference_is_judged_by_its_paired_interval_and_margin():
    run = made_run({"a": {"gold": SEEDS + 0.3 + NOISE}, "b": {"gold": SEEDS}})
    verdict, (tested,) = verdict_on(run, compare())
    assert verdict == "reproduced"
    assert tested.effect.mean == pytest.approx(0.3 + NOISE.mean())
    assert tested.effect.n == 10
    assert tested.arms["a"].mean == pytest.approx((SEEDS + 0.3 + NOISE).mean())
    assert verdict_on(run, compare(expect="below"))[0] == "contradicted"
    assert verdict_on(run, compare(margin=0.3))[0] == "inconclusive"
    assert verdict_on(run, compare(margin=0.5))[0] == "contradicted"


def test_all_tests_that_decide_must_hold_and_others_only_show():
    run = made_run({"a": {"gold": SEEDS + 0.3 + NOISE, "kl": 1 + NOISE}, "b": {"gold": SEEDS, "kl": 1 - NOISE}})
    assert verdict_on(run, compare(), compare(expect="below", also=True))[0] == "reproduced"
    assert verdict_on(run, compare(), compare(expect="below"))[0] == "contradicted"
    assert verdict_on(run, compare(), compare(measure="kl"))[0] == "inconclusive"


def test_too_few_seeds_never_decide():
    run = made_run({"a": {"gold": (SEEDS + 0.3 + NOISE)[:9]}, "b": {"gold": SEEDS}})
    assert verdict_on(run, compare())[0] == "inconclusive"
    assert verdict_on(run, compare(), seeds=5)[0] == "reproduced"


def test_an_arm_without_cells_is_not_run_and_what_cannot_be_tested_says_what_it_needs():
    run = made_run({"a": {"gold": SEEDS}})
    verdict, (tested,) = verdict_on(run, compare())
    assert (verdict, tested.notes) == ("not run", ["not run: b"])
    assert verdict_on(run, needs="a larger world")[0] == "not testable here"


def test_equivalence_needs_the_whole_interval_within_the_margin():
    run = made_run({"a": {"gold": SEEDS + NOISE - NOISE.mean()}, "b": {"gold": SEEDS}})
    same = {**compare(), "test": "equivalence"}
    assert verdict_on(run, {**same, "margin": 0.1})[0] == "reproduced"
    assert verdict_on(run, {**same, "margin": 0.01})[0] == "inconclusive"
    apart = made_run({"a": {"gold": SEEDS + 0.3 + NOISE}, "b": {"gold": SEEDS}})
    assert verdict_on(apart, {**same, "margin": 0.1})[0] == "contradicted"


def test_spread_compares_how_far_seeds_lie_from_their_median():
    run = made_run({"a": {"gold": 5 + 20 * NOISE}, "b": {"gold": NOISE[::-1]}})
    assert verdict_on(run, {**compare(), "test": "spread"})[0] == "reproduced"
    assert verdict_on(run, {**compare(), "test": "spread", "arms": ["b", "a"]})[0] == "contradicted"


def test_a_trend_is_the_rank_correlation_with_x_over_arms_or_measures():
    arms = {name: {"gold": level + NOISE / 100, f"m{level}": 1.0} for level, name in enumerate("abcd")}
    run = made_run(arms)
    rises = {"test": "trend", "measure": "gold", "arms": list("abcd"), "x": [0, 0.1, 1, 10]}
    verdict, (tested,) = verdict_on(run, rises)
    assert (verdict, tested.effect.mean) == ("reproduced", 1)
    assert verdict_on(run, {**rises, "x": [3, 2, 1, 0]})[0] == "contradicted"
    study = made_run({"a": {"bias_0": 3 + NOISE, "bias_1": 2 + NOISE, "bias_2": 1 + NOISE}})
    over = {
        "test": "trend",
        "measure": ["bias_0", "bias_1", "bias_2"],
        "arms": ["a"],
        "x": [0, 1, 2],
        "expect": "below",
    }
    assert verdict_on(study, over)[0] == "reproduced"


def test_shares_of_seeds_that_all_agree_still_have_an_interval():
    run = made_run({"a": {"gold": np.full(10, -1.0)}, "b": {"gold": np.full(10, 0.5)}})
    _, (tested,) = verdict_on(run, compare(measure="collapsed"))
    assert tested.effect.mean == 1
    assert 0.4 < tested.effect.low < 1
    few = made_run({"a": {"gold": [-1.0, 0.5] * 5}, "b": {"gold": np.full(10, 0.5)}}, statuses={"b-0": "diverged"})
    _, (tested,) = verdict_on(few, compare(measure="collapsed"))
    assert tested.effect.mean == pytest.approx(0.4)
    assert "b: 1 diverged" in tested.notes
    assert tested.outcome == "undecided"


def test_at_equal_kl_both_arms_are_read_where_the_nearer_one_ended_and_a_flip_is_said():
    curves = {
        "a": {"step": [0, 1, 2], "kl": [0.0, 5.0, 10.0], "proxy": [0.0, 1, 2], "gold": [0.0, 0.4, 0.8]},
        "b": {"step": [0, 1, 2], "kl": [0.0, 1.0, 2.0], "proxy": [0.0, 1, 2], "gold": [0.0, 0.2, 0.4]},
    }
    ends = {"proxy": 2.0, "cost_seconds_training": 10.0, "entropy": 1.0}
    run = made_run(
        {
            "a": {"gold": 0.8 + NOISE, "kl": np.full(10, 10.0), **ends},
            "b": {"gold": 0.4 + NOISE[::-1], "kl": 2.0, **ends},
        },
        curves,
    )
    _, (tested,) = verdict_on(run, compare(at="equal kl"))
    assert tested.effect.mean == pytest.approx(0.16 - 0.4, abs=0.05)
    places = {variant.place: variant for variant in tested.variants}
    assert set(places) == {"end", "equal compute"}
    assert places["end"].effect.mean > 0.3
    assert places["end"].flips


def test_seeds_that_never_reach_the_target_are_counted_and_said():
    curves = {
        "a": {"step": [0, 10], "kl": [0, 1], "proxy": [0, 1], "gold": [0.0, 0.8]},
        "b": {"step": [0, 10], "kl": [0, 1], "proxy": [0, 1], "gold": [0.0, 0.2]},
    }
    run = made_run({"a": {"gold": 0.8 + NOISE}, "b": {"gold": 0.2 + NOISE}}, curves)
    _, (tested,) = verdict_on(run, compare(measure="updates_to:0.4", expect="below"))
    assert tested.effect.mean == pytest.approx(5 - 10)
    assert tested.notes == ["b: 10 of 10 seeds never reach 0.4, and count as the whole of training"]


def test_losses_to_a_rival_are_compared_like_any_measure():
    rows = [(arm, seed, judge) for arm, judge in (("a", 1), ("b", 0), ("rival", 0.5)) for seed in range(10)]
    completions = pd.DataFrame(rows, columns=["arm", "seed", "judge"])
    completions = completions.assign(task="world", model="tiny", prompt_id=0, sample=0)
    completions["cell"] = completions["arm"] + "-" + completions["seed"].astype(str)
    run = made_run({arm: {"gold": SEEDS} for arm in ("a", "b", "rival")}, completions=completions)
    _, (tested,) = verdict_on(run, compare(measure="loss_to:rival", expect="below"))
    assert (tested.outcome, tested.effect.mean) == ("holds", -1)


def test_groups_of_arms_are_taken_together():
    arms = {name: {"gold": level * 0.1 + NOISE / 10} for level, name in enumerate("abcd")}
    run = made_run(arms)
    wide = {"test": "difference", "measure": "range(gold)", "arms": [["a", "d"], ["b", "c"]]}
    verdict, (tested,) = verdict_on(run, wide)
    assert verdict == "reproduced" or tested.effect.n == 10
    assert tested.effect.mean == pytest.approx(0.2)


def test_correlation_ranks_one_measure_against_another_within_each_seed():
    arms = {name: {"gold": level + NOISE, "accuracy": 0.5 + level / 10} for level, name in enumerate("abc")}
    tests = {"test": "correlation", "measure": "gold", "against": "accuracy", "arms": list("abc")}
    assert verdict_on(made_run(arms), tests)[1][0].effect.mean == 1


def test_prediction_tells_a_signal_of_the_coming_fall_from_one_that_says_nothing():
    steps = [0, 1, 2, 3, 4]
    curves = {}
    for i in range(6):
        falls = i % 2 == 0
        gold = [0, 0.5, 0.5, 0.0, -0.5] if falls else [0, 0.5, 0.5, 0.5, 0.5]
        curves[f"arm{i}"] = {"step": steps, "gold": gold, "kl": np.array(steps) * (5 + i if falls else 1),
                             "proxy": np.array(steps) * 1.0}  # fmt: skip
    run = made_run({name: {"gold": np.zeros(10)} for name in curves}, curves)
    tests = {"test": "prediction", "measure": "kl", "against": "proxy", "arms": list(curves)}
    verdict, (tested,) = verdict_on(run, tests)
    assert verdict == "reproduced"
    assert tested.arms["AUC of kl"].mean == 1
    assert tested.arms["AUC of proxy"].mean == 0.5
    assert "30 of 60" in tested.notes[0]


def test_the_area_under_the_roc_curve_counts_pairs_in_the_right_order_and_ties_half():
    event = np.array([1.0, 1, 0, 0])
    assert area_under_roc(np.array([3.0, 1, 1, 0]), event) == (1 + 1 + 0.5 + 1) / 4
    assert math.isnan(area_under_roc(np.array([1.0, 2.0]), np.array([0.0, 0.0])))


def test_a_world_of_another_name_has_its_own_cells():
    run = made_run({"a": {"gold": SEEDS}, "b": {"gold": SEEDS}})
    assert run_test(ClaimTest(**compare(task="elsewhere")), claim(compare()), Quantities(run)).outcome == "not run"
