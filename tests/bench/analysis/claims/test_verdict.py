"""A verdict is what its interval says: each kind of test, on numbers whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest

from bench.analysis.claims import tested as outcomes
from bench.analysis.claims.adjusting import adjusted, p_of_claim
from bench.analysis.claims.kinds.prediction import area_under_roc
from bench.analysis.claims.quantities import Quantities
from bench.analysis.claims.table import survives
from bench.analysis.claims.verdict import Judged, judge, run_test
from bench.analysis.interval import Interval
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
    mixed = made_run({"a": {"gold": SEEDS - 0.3, "kl": [1.0] * 9 + [np.nan]}, "b": {"gold": SEEDS, "kl": SEEDS}})
    assert verdict_on(mixed, compare(), compare(measure="kl"))[0] == "contradicted"  # the other decides


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


def test_spread_compares_the_standard_deviations_of_pairs():
    run = made_run({"a": {"gold": 5 + 20 * NOISE}, "b": {"gold": NOISE[::-1]}})
    verdict, (tested,) = verdict_on(run, {**compare(), "test": "spread"})
    assert (verdict, tested.effect.mean) == ("reproduced", pytest.approx(np.log(20)))
    assert tested.p < 1e-6
    still = made_run({"a": {"gold": np.full(10, -1.0)}, "b": {"gold": NOISE}})
    verdict, (tested,) = verdict_on(still, {**compare(), "test": "spread"})
    assert verdict == "inconclusive"
    assert "a: the same in every seed, so that no ratio is known" in tested.notes
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
    assert (tested.outcome, tested.p) == ("holds", 2 / 2**10)  # McNemar: all ten discordant pairs on one side
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
    assert tested.notes == ["b: never in 10 of 10 seeds, which count as the whole"]


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


def test_who_has_fallen_already_is_no_negative():
    """Two cells fell before the middle with a large signal; among the rest the signal tells all."""
    steps = [0, 1, 2, 3, 4]
    shapes = {"early": ([0, 0.5, -0.5, -0.5, -0.5], 9), "late": ([0, 0.5, 0.5, 0.4, -0.5], 5), "never": ([0.5] * 5, 1)}
    curves = {
        name: {"step": steps, "gold": gold, "kl": np.array(steps) * size, "proxy": np.array(steps) * 1.0}
        for name, (gold, size) in shapes.items()
    }
    run = made_run({name: {"gold": np.zeros(10)} for name in curves}, curves)
    tests = {"test": "prediction", "measure": "kl", "against": "proxy", "arms": list(curves)}
    (tested,) = verdict_on(run, tests)[1]
    assert tested.arms["AUC of kl"].mean == 1  # 0.5 with the fallen as negatives
    assert tested.notes[:2] == [
        "gold falls by more than 0.2 in 10 of 20 at risk",
        "10 cells had fallen before the middle and are not at risk",
    ]
    (hazard,) = verdict_on(run, {**tests, "test": "hazard"})[1]
    # at step 1: early falls next, of three at risk; at step 2 nobody does; at step 3 late does, of two
    assert hazard.arms["AUC of kl"].mean == 1
    assert hazard.arms["AUC of proxy"].mean == 0.5
    assert hazard.notes[0] == "gold falls by more than 0.2 in 20 of 70 at risk"


def test_the_hazard_compares_within_one_point_of_training_only():
    signal, falls, points = np.array([1.0, 0.0, 5.0, 4.0]), np.array([1.0, 0, 1, 0]), np.array([1.0, 1, 2, 2])
    assert area_under_roc(signal, falls, points) == 1
    assert area_under_roc(signal, falls) == 0.75  # 1 against 4, of another point


def test_the_area_under_the_roc_curve_counts_pairs_in_the_right_order_and_ties_half():
    event = np.array([1.0, 1, 0, 0])
    assert area_under_roc(np.array([3.0, 1, 1, 0]), event) == (1 + 1 + 0.5 + 1) / 4
    assert math.isnan(area_under_roc(np.array([1.0, 2.0]), np.array([0.0, 0.0])))


def test_a_world_of_another_name_has_its_own_cells():
    run = made_run({"a": {"gold": SEEDS}, "b": {"gold": SEEDS}})
    assert run_test(ClaimTest(**compare(task="elsewhere")), claim(compare()), Quantities(run)).outcome == "not run"


# -- what would matter ---------------------------------------------------------------------------------------------


def test_an_effect_too_small_to_matter_is_nil_and_one_that_is_excluded_contradicts():
    alike = made_run({"a": {"gold": SEEDS + 0.2 * NOISE}, "b": {"gold": SEEDS}})
    verdict, (tested,) = verdict_on(alike, compare(meaningful=0.1))
    assert (verdict, tested.outcome) == ("nil effect", "nil")
    assert verdict_on(alike, compare())[0] == "inconclusive"
    lower = made_run({"a": {"gold": SEEDS - 0.1 + NOISE - NOISE.mean()}, "b": {"gold": SEEDS}})
    assert verdict_on(lower, compare(meaningful=0.1))[1][0].outcome == "contradicted"
    assert verdict_on(alike, compare(meaningful=0.1), compare(measure="gold - reference_gold", meaningful=0.1))[0] == (
        "nil effect"
    )
    large = made_run({"a": {"gold": SEEDS + 0.2 * NOISE, "kl": 1.0}, "b": {"gold": SEEDS, "kl": SEEDS}})
    assert verdict_on(large, compare(meaningful=0.1), compare(measure="kl", meaningful=0.1))[0] == "contradicted"


def test_an_undecided_test_says_how_many_seeds_would_tell():
    run = made_run({"a": {"gold": SEEDS + NOISE}, "b": {"gold": SEEDS}})
    (tested,) = verdict_on(run, compare(meaningful=0.02))[1]
    assert tested.outcome == "undecided"
    farther = max(abs(NOISE.mean()), abs(NOISE.mean() - 0.02))
    assert tested.seeds_needed == seeds_by_hand(farther, NOISE.std(ddof=1))
    (tested,) = verdict_on(run, {**compare(margin=0.02), "test": "equivalence"})[1]
    assert tested.seeds_needed == seeds_by_hand(abs(0.02 - abs(NOISE.mean())), NOISE.std(ddof=1))


def seeds_by_hand(effect, deviation):
    """The fewest seeds at which a paired t test at 5 % finds the effect in four runs of five."""
    from scipy import stats

    for n in range(3, 1000):
        shift, t = effect / deviation * np.sqrt(n), stats.t.ppf(0.975, n - 1)
        if stats.nct.sf(t, n - 1, shift) + stats.nct.cdf(-t, n - 1, shift) >= 0.8:
            return n
    return None


# -- times to an event, limits, fronts -----------------------------------------------------------------------------


def falling_at(*steps):
    """A curve that falls for good at each of the steps, one for each seed; None: never."""
    return [[0.5 if at is None or i < at else -0.5 for i in range(5)] for at in steps]


def run_of_falls(**arms):
    curves = []
    run = made_run({name: {"gold": np.zeros(len(golds))} for name, golds in arms.items()})
    for name, golds in arms.items():
        curves += [
            pd.DataFrame({"step": range(5), "gold": gold, "cell": f"{name}-{seed}"}) for seed, gold in enumerate(golds)
        ]
    run.__dict__["curves"] = pd.concat(curves)
    return run


def test_survival_compares_times_until_a_fall_and_counts_who_is_first():
    run = run_of_falls(a=falling_at(*[None] * 9, 1), b=falling_at(1, 1, 1, 1, 1, 1, 1, 2, 3, None))
    test = {"test": "survival", "measure": "updates_to_collapse", "arms": ["a", "b"]}
    verdict, (tested,) = verdict_on(run, test)
    falls = [(at - 1 + 0.2) / 4 for at in (1, 2, 3)]  # on a straight line from 0.5 down to −0.5: 0.2 below after 0.2
    assert tested.arms["b"].mean == pytest.approx((7 * falls[0] + falls[1] + falls[2] + 1) / 10)
    assert tested.p == pytest.approx(2 * 11 / 2**10)  # of ten pairs b is first in nine
    assert (verdict, tested.outcome) == ("reproduced", "holds")
    assert tested.notes == [
        "a: never in 9 of 10 seeds, which count as the whole",
        "b: never in 1 of 10 seeds, which count as the whole",
        "first in 1 seeds, the other in 9",
    ]


def test_the_exact_log_rank_test_is_the_stratified_one_in_small_samples():
    from statsmodels.duration.survfunc import survdiff

    from bench.analysis.claims.kinds.survival import log_rank_within_pairs

    first, second = np.array([1, 2, 3, 5, 5, 4]), np.array([2, 5, 5, 5, 3, 5])
    times, events = np.concatenate([first, second]), np.concatenate([first < 5, second < 5]).astype(int)
    chi2, _ = survdiff(times, events, np.repeat([0, 1], 6), strata=np.tile(range(6), 2))
    earlier, later = 4, 1
    assert chi2 == pytest.approx((earlier - later) ** 2 / (earlier + later))
    assert log_rank_within_pairs(earlier, later) == pytest.approx(2 * (1 + 5) / 2**5)


def test_where_nothing_happens_in_either_arm_nothing_is_decided():
    run = run_of_falls(a=falling_at(*[None] * 10), b=falling_at(*[None] * 10))
    verdict, (tested,) = verdict_on(
        run, {"test": "survival", "measure": "updates_to_collapse", "arms": ["a", "b"], "meaningful": 0.1}
    )
    assert (verdict, tested.outcome) == ("inconclusive", "undecided")
    assert "in 10 seeds it happens in neither arm: only longer training would tell them apart" in tested.notes
    one = run_of_falls(a=falling_at(*[None] * 10), b=falling_at(*[None] * 9, 3))  # as good as alike, by its interval
    assert (
        verdict_on(one, {"test": "survival", "measure": "updates_to_collapse", "arms": ["a", "b"], "meaningful": 0.2})[
            0
        ]
        == "inconclusive"
    )


def test_a_limit_that_is_not_reached_contradicts_at_a_standstill_only():
    def at(*levels):
        run = made_run({f"{i}": {"kl": level + NOISE / 10} for i, level in enumerate(levels)})
        arms = [f"{i}" for i in range(len(levels))]
        test = {"test": "limit", "measure": "kl", "arms": arms, "x": list(range(len(levels))), "expect": "below"}
        return verdict_on(run, {**test, "margin": 0.1, "meaningful": 0.05})

    assert at(2.0, 1.0, 0.05)[0] == "reproduced"
    verdict, (tested,) = at(2.0, 1.0, 0.5)
    assert (verdict, tested.effect.mean) == ("inconclusive", pytest.approx(0.5, abs=0.01))
    assert "change from the last but one: -0.5: not at a standstill" in tested.notes
    assert at(2.0, 0.51, 0.5)[0] == "contradicted"


def test_a_front_is_the_area_that_policies_dominate_in_two_golds():
    arms = {
        "left": {"kind": 1.0 + NOISE, "true": 0.1, "reference_kind": 0.0, "reference_true": 0.0},
        "right": {"kind": 0.1, "true": 1.0 + NOISE, "reference_kind": 0.0, "reference_true": 0.0},
        "middle": {"kind": 0.4, "true": 0.4 + NOISE, "reference_kind": 0.0, "reference_true": 0.0},
    }
    test = {"test": "front", "measure": ["kind", "true"], "arms": [["left", "right"], "middle"]}
    _, (tested,) = verdict_on(made_run(arms), test)
    assert tested.arms["left / right"].mean == pytest.approx(0.1 + 0.1 - 0.01, abs=0.02)
    assert tested.arms["middle"].mean == pytest.approx(0.16, abs=0.02)


# -- many claims ---------------------------------------------------------------------------------------------------


def judged_with(verdict, *found):
    tests = [
        outcomes.Tested(ClaimTest(**compare()), outcome, Interval(0.0, -1.0, 1.0, 10), {}, p=p) for outcome, p in found
    ]
    return Judged(claim(*[compare()] * len(tests)), verdict, tests)


def test_p_values_are_adjusted_by_holm_within_a_claim_and_over_claims_by_benjamini_and_hochberg():
    found = [
        judged_with("reproduced", ("holds", 0.001), ("holds", 0.01)),  # Holm: 0.002, 0.01
        judged_with("contradicted", ("contradicted", 0.02), ("holds", 0.3)),  # 0.04, 0.3
        judged_with("contradicted", ("contradicted", 0.045)),
        judged_with("inconclusive", ("undecided", 0.5)),
    ]
    assert [p_of_claim(each) for each in found] == pytest.approx([0.01, 0.04, 0.045, 0.5])
    # 0.01 · 4/1; 0.04 · 4/2 = 0.08, but 0.045 · 4/3 = 0.06 bounds it; 0.5
    again = adjusted(found)
    assert [each.p_adjusted for each in again] == pytest.approx([0.04, 0.06, 0.06, 0.5])
    assert [survives(each) for each in again] == ["yes", "no", "no", ""]
