"""Win rates, ratings and circles, against hand-computed cases and planted abilities."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from bench.analysis.winrates.rates import bradley_terry, intransitive, length_matched, ratings, win_rates


def rows_of(verdicts, first="a", second="b", seeds=None, lengths=(10, 10), prompts=None):
    count = len(verdicts)
    return pd.DataFrame({
        "task": "t", "model": "m", "seed": [0] * count if seeds is None else seeds,
        "prompt_id": range(count) if prompts is None else prompts, "sample": 0, "first": first, "second": second,
        "first_length": lengths[0], "second_length": lengths[1], "verdict": np.asarray(verdicts, dtype=float),
    })  # fmt: skip


def planted(abilities, seeds=5, prompts=60, samples=2, spread=0.0, rng=None):
    """Every pair of players on every prompt; `spread` moves each player's ability from seed to seed."""
    rng = rng or np.random.default_rng(1)
    names = [f"p{i}" for i in range(len(abilities))]
    frames = []
    for seed in range(seeds):
        here = np.asarray(abilities) + rng.normal(0, spread, len(abilities))
        for i in range(len(names)):
            for j in range(i + 1, len(names)):
                won = rng.random(prompts * samples) < expit(here[i] - here[j])
                place = np.repeat(np.arange(prompts), samples)
                frames.append(rows_of(won, names[i], names[j], [seed] * len(won), prompts=place))
    return pd.concat(frames, ignore_index=True)


def only(frame, first, second):
    return frame[(frame["first"] == first) & (frame["second"] == second)].iloc[0]


def test_win_rate_is_wins_and_half_the_ties_over_all_that_was_judged():
    pair = only(win_rates(rows_of([1, 1, 0.5, 0])), "a", "b")
    assert (pair["win"], pair["tie"], pair["loss"], pair["unparsable"]) == (2, 1, 1, 0)
    assert pair["rate"] == pytest.approx(2.5 / 4)
    assert np.isnan(pair["low"])  # one seed


def test_the_other_side_of_a_pair_is_its_mirror():
    frame = win_rates(planted([0.8, 0.0], seeds=3))
    one, two = only(frame, "p0", "p1"), only(frame, "p1", "p0")
    assert (one["win"], one["loss"]) == (two["loss"], two["win"])
    assert one["rate"] + two["rate"] == pytest.approx(1)
    assert one["low"] + two["high"] == pytest.approx(1)
    assert one["low"] < one["rate"] < one["high"]


def test_seeds_count_alike_however_many_prompts_they_have():
    rows = rows_of([1, 1, 1, 1, 0], seeds=[0, 0, 0, 0, 1])
    assert only(win_rates(rows), "a", "b")["rate"] == pytest.approx(0.5)


def test_an_unparsable_verdict_is_counted_and_in_no_rate():
    pair = only(win_rates(rows_of([1, np.nan, 0, 1])), "a", "b")
    assert pair["unparsable"] == 1
    assert pair["win"] + pair["tie"] + pair["loss"] == 3
    assert pair["rate"] == pytest.approx(2 / 3)


def test_where_no_answer_was_parsable_there_is_no_rate():
    rows = rows_of([np.nan, np.nan])
    pair = only(win_rates(rows), "a", "b")
    assert pair["unparsable"] == 2
    assert np.isnan(pair["rate"])
    rated = ratings(rows, "a").set_index("arm")["rating"]
    assert rated["a"] == 0
    assert np.isnan(rated["b"])


def test_a_taste_for_length_vanishes_on_pairs_of_the_same_length():
    rows = rows_of([1, 1, 1, 1, 1, 0], lengths=([40, 40, 40, 40, 20, 20], [20, 20, 20, 20, 20, 20]))
    pair = only(win_rates(rows), "a", "b")
    assert pair["rate"] == pytest.approx(5 / 6)
    assert pair["matched"] == pytest.approx(0.5)
    assert pair["matched_pairs"] == 2
    assert pair["first_length"] == pytest.approx(200 / 6)


def test_matched_means_two_tokens_or_a_tenth_of_the_longer():
    assert length_matched([5, 5, 100, 100], [7, 8, 90, 89]).tolist() == [True, False, True, False]


def test_two_players_have_a_rating_in_closed_form():
    # without the prior, log(30/10); with it, the root of 30 − 40 σ(d) = ridge · d / 2
    assert bradley_terry([[0, 30], [10, 0]], anchor=1, ridge=1e-9)[0] == pytest.approx(np.log(3), abs=1e-5)
    d = bradley_terry([[0, 30], [10, 0]], anchor=1, ridge=2.0)[0]
    assert 30 - 40 * expit(d) == pytest.approx(2.0 * d / 2, abs=1e-5)


def test_many_comparisons_give_planted_abilities_back():
    abilities = np.array([0.0, 1.5, -0.7, 0.4])
    wins = 20_000 * expit(abilities[:, None] - abilities[None, :])
    assert bradley_terry(wins) == pytest.approx(abilities, abs=2e-3)


def test_planted_abilities_lie_within_the_intervals_about_as_often_as_stated():
    abilities = np.array([0.0, 0.9, -0.6])
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(40):
        rows = planted(abilities, seeds=6, prompts=30, samples=1, spread=0.3, rng=rng)
        rated = ratings(rows, "p0", resamples=120).set_index("arm")
        inside += [rated["low"][f"p{i}"] <= abilities[i] <= rated["high"][f"p{i}"] for i in (1, 2)]
    assert np.mean(inside) >= 0.85  # 95 % of 80, less three standard errors


def test_a_player_who_always_wins_has_a_finite_rating_and_the_more_games_the_higher():
    few, many = (bradley_terry([[0, n], [0, 0]], anchor=1)[0] for n in (10, 1000))
    assert 0 < few < many < 20
    rated = ratings(rows_of([1] * 12, seeds=[0] * 4 + [1] * 4 + [2] * 4), "b").set_index("arm")
    assert rated.loc["a", "high"] == np.inf
    assert rated.loc["a", "rating"] > 1


def test_all_ties_give_equal_ratings():
    rated = ratings(pd.concat([rows_of([0.5] * 8), rows_of([0.5] * 8, "b", "c"), rows_of([0.5] * 8, "a", "c")]), "b")
    assert rated["rating"].tolist() == pytest.approx([0, 0, 0], abs=1e-9)


def test_a_player_nobody_met_has_no_rating():
    wins = np.zeros((4, 4))
    wins[0, 1] = wins[2, 3] = 5
    rated = bradley_terry(wins, anchor=1)
    assert rated[1] == 0
    assert np.isfinite(rated[0])
    assert np.isnan(rated[2:]).all()


def test_an_arm_that_survived_in_one_seed_alone_is_still_rated():
    rows = pd.concat([rows_of([1, 0] * 9, seeds=[0] * 6 + [1] * 6 + [2] * 6), rows_of([1] * 6, "c", "a")])
    rated = ratings(rows, "a").set_index("arm")
    assert rated.loc["c", "rating"] > 0
    assert rated.loc["c", "high"] == np.inf


def test_one_seed_has_ratings_without_intervals():
    rated = ratings(rows_of([1, 1, 0, 1]), "a")
    assert rated["rating"].notna().all()
    assert rated[["low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_counts_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="finite counts"):
        bradley_terry([[0, wrong], [1, 0]])


def test_rock_paper_scissors_is_found_and_said_to_be_certain_where_it_is():
    seeds = [0] * 20 + [1] * 20 + [2] * 20
    beats = [1.0] * 17 + [0.0] * 3
    circle = pd.concat([rows_of(beats * 3, x, y, seeds) for x, y in (("rock", "scissors"), ("paper", "rock"))])
    circle = pd.concat([circle, rows_of([1 - v for v in beats] * 3, "paper", "scissors", seeds)])
    (triple,) = intransitive(win_rates(circle))
    arms = triple.arms
    assert {(arms[i], arms[(i + 1) % 3]) for i in range(3)} == {
        ("rock", "scissors"), ("scissors", "paper"), ("paper", "rock"),
    }  # fmt: skip
    assert triple.rates == pytest.approx((0.85,) * 3)
    assert triple.certain
    one_seed = intransitive(win_rates(circle[circle["seed"] == 0]))
    assert [each.certain for each in one_seed] == [False]


def test_an_order_has_no_circle():
    assert intransitive(win_rates(planted([1.5, 0.7, 0.0, -0.9]))) == []


def test_no_circle_is_made_of_a_pair_that_was_never_compared():
    for missing in range(3):
        steps = [("a", "b"), ("b", "c"), ("c", "a")]
        values = [np.nan if i == missing else 0.75 for i in range(3)]
        rows = [{"first": x, "second": y, "rate": v, "low": v} for (x, y), v in zip(steps, values, strict=True)]
        rows += [{"first": y, "second": x, "rate": 1 - v, "low": v} for (x, y), v in zip(steps, values, strict=True)]
        assert intransitive(pd.DataFrame(rows)) == []


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.99, 1.0])
def test_a_win_rate_stays_between_none_and_all_and_has_a_width_at_both(rate):
    rng = np.random.default_rng(0)
    rows = [
        {"task": "t", "model": "m", "first": "x", "second": "sft", "seed": seed, "prompt_id": prompt,
         "verdict": float(rng.random() < rate), "first_length": 5, "second_length": 5}
        for seed in range(3) for prompt in range(64)
    ]  # fmt: skip
    found = win_rates(pd.DataFrame(rows)).iloc[0]
    assert 0 <= found["low"] <= found["rate"] <= found["high"] <= 1
    assert found["high"] - found["low"] > 0.01
    if rate == 1:
        assert found["low"] == pytest.approx(0.025 ** (1 / 192))  # Clopper and Pearson's in closed form


def test_who_never_lost_is_rated_on_one_side_alone():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame([
        {"first": first, "second": second, "seed": seed, "prompt_id": prompt, "verdict": verdict}
        for seed in range(3) for prompt in range(20)
        for first, second, verdict in [
            ("best", "sft", 1.0), ("best", "dpo", 1.0), ("worst", "sft", 0.0), ("worst", "dpo", 0.0),
            ("dpo", "sft", float(rng.random() < 0.6)), ("alone", "other", 1.0),
        ]
    ])  # fmt: skip
    found = ratings(rows, "sft").set_index("arm")
    assert (found.loc["best", "high"], found.loc["worst", "low"]) == (np.inf, -np.inf)
    assert np.isfinite(found.loc["dpo", ["low", "high"]].to_numpy(float)).all()
    assert found.loc["alone", ["rating", "low", "high"]].isna().all()
