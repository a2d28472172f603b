"""The annotator answers as its settings say: each fault is there, has its size, and can be switched off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import spearmanr

from bench.contracts.annotator import Annotated, perceived, rater_scales, score_of
from bench.contracts.task import Completion, Prompt, Task
from tasks.reviews import Reviews
from tasks.strings import Strings

N = 20_000


class Line(Annotated):
    """Gold is the number that a completion spells, half its `left` and half its `right` part."""

    def gold(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """The mean of the parts."""
        parts = self.gold_parts(prompts, completions)
        return [(left + right) / 2 for left, right in zip(parts["left"], parts["right"], strict=True)]

    def gold_parts(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> dict[str, list[float]]:
        """``"0.5 -1"`` is 0.5 left and −1 right."""
        numbers = [[float(x) for x in str(completion).split()] for completion in completions]
        return {"left": [x for x, _ in numbers], "right": [x for _, x in numbers]}


Line.__abstractmethods__ = frozenset()  # an annotator needs no texts


def grades(task: Annotated, first: str, second: str, count: int = N, seed: int = 1) -> list[int]:
    return task.grades([""] * count, [first] * count, [second] * count, seed)


def scores(task: Annotated, completions: Sequence[str], seed: int = 1) -> list[int]:
    return [rating.score for rating in task.ratings([""] * len(completions), completions, seed)]


def within(share: float, expected: float) -> bool:
    """Is a share of N draws within 4 standard errors of what is expected?"""
    return abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / N)


@pytest.mark.parametrize(("noise", "flips"), [(0.2, 0.0), (0.2, 0.3), (1.0, 0.0)])
def test_preferences_are_bradley_terry_with_flips(noise: float, flips: float) -> None:
    p = 1 / (1 + np.exp(-0.25 / noise))
    preferred = np.mean(np.array(grades(Line(noise=noise, flips=flips), "0.5 0.5", "0.25 0.25")) > 0)
    assert within(preferred, p * (1 - flips) + (1 - p) * flips)


def test_without_noise_the_better_one_wins_always_and_a_tie_is_a_coin() -> None:
    task = Line(noise=0)
    assert set(grades(task, "0.1 0", "0 0")) == {1}
    assert set(grades(task, "0 0", "0.1 0")) == {-1}
    assert within(np.mean(np.array(grades(task, "0 0", "0 0")) > 0), 0.5)


def test_a_grade_says_how_much_better_and_its_sign_is_the_preference() -> None:
    task = Line(noise=0)
    by_margin = {difference: grades(task, f"{difference} {difference}", "0 0", 1)[0] for difference in (0.2, 0.5, 0.9)}
    assert by_margin == {0.2: 1, 0.5: 2, 0.9: 3}
    noisy = Line(noise=0.4, flips=0.2)
    arguments = ([""] * 500, ["0.2 0"] * 500, ["0 0"] * 500)
    signs = [grade > 0 for grade in noisy.grades(*arguments, seed=3)]
    assert signs == noisy.prefers_first(*arguments, seed=3) != noisy.prefers_first(*arguments, seed=4)
    assert {abs(grade) for grade in noisy.grades(*arguments, seed=3)} == {1, 2, 3}


def test_one_who_sees_a_part_goes_by_that_part() -> None:
    assert set(grades(Line(noise=0, sees="left"), "0.2 -1", "0 1")) == {1}
    assert set(grades(Line(noise=0), "0.2 -1", "0 1")) == {-3}
    assert scores(Line(noise=0, sees="left"), ["1 -1", "-1 1"]) == [5, 1]


def test_a_part_that_gold_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="no part 'lef' — did you mean 'left'"):
        Line(sees="lef")
    assert Reviews(sees="sentiment", informativeness=0.5).sees == "sentiment"


def test_the_scale_of_ratings_runs_from_one_to_five_in_even_steps() -> None:
    golds = [-1, -0.8, -0.5, -0.3, 0, 0.3, 0.5, 0.8, 1]
    assert scores(Line(noise=0), [f"{g} {g}" for g in golds]) == [1, 1, 2, 2, 3, 4, 4, 5, 5]
    assert scores(Line(noise=0), []) == []


def test_errors_of_worths_have_mean_zero_and_a_logistic_difference() -> None:
    rng = np.random.default_rng(0)
    first, second = (perceived(np.zeros(N), 0.3, rng) for _ in range(2))
    assert abs(first.mean()) < 4 * first.std() / np.sqrt(N)
    assert within(np.mean(first - second < 0.3), 1 / (1 + np.exp(-1)))


def test_raters_scales_are_monotone_differ_by_the_spread_and_are_the_same_people_ever_after() -> None:
    slope, shift = rater_scales(200, 1.0)
    place = np.linspace(-0.2, 1.2, 101)
    for a, b in zip(slope, shift, strict=True):
        assert (np.diff(score_of(place, np.full(101, a), np.full(101, b))) >= 0).all()
    assert shift.std() == pytest.approx(1, abs=0.15) and np.log(slope).std() == pytest.approx(0.5, abs=0.1)
    assert (rater_scales(3, 1.0)[1] == shift[:3]).all()
    alike = rater_scales(5, 0.0)
    assert (alike[0] == 1).all() and (alike[1] == 0).all()


def test_differing_scales_blur_ratings_and_leave_comparisons_alone() -> None:
    rng = np.random.default_rng(0)
    golds = rng.uniform(-1, 1, 4000)
    texts = [f"{g} {g}" for g in golds]
    alike, differing = Line(noise=0, raters=20), Line(noise=0, raters=20, rater_spread=2)
    agreement = [spearmanr(golds, scores(task, texts)).statistic for task in (alike, differing)]
    assert agreement[0] > 0.95
    assert 0.5 < agreement[1] < 0.85
    halves = ([""] * 2000, texts[:2000], texts[2000:])
    assert alike.grades(*halves, seed=1) == differing.grades(*halves, seed=1)
    # each rater alone ranks as gold does
    ratings = differing.ratings([""] * 4000, texts, seed=1)
    mine = [
        (g, rating.score)
        for g, rating in sorted(zip(golds, ratings, strict=True), key=lambda x: x[0])
        if rating.rater == 3
    ]
    assert len(mine) > 100 and [score for _, score in mine] == sorted(score for _, score in mine)


def test_flipped_ratings_are_turned_round() -> None:
    assert within(np.mean(np.array(scores(Line(noise=0, flips=0.3), ["1 1"] * N)) == 1), 0.3)


def test_answers_depend_on_the_seed_alone() -> None:
    task = Line(raters=5, rater_spread=1)
    texts = [f"{i / 50} 0" for i in range(50)]
    assert task.ratings([""] * 50, texts, 1) == task.ratings([""] * 50, texts, 1) != task.ratings([""] * 50, texts, 2)
    assert grades(task, "0.1 0", "0 0", 50, seed=1) == grades(task, "0.1 0", "0 0", 50, seed=1)


@pytest.mark.parametrize("setting", [{"noise": -0.1}, {"flips": 0.6}, {"raters": 0}, {"rater_spread": -1}])
def test_impossible_settings_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Line(**setting)


def test_a_task_without_parts_has_none() -> None:
    assert Task.gold_parts(Strings(), ["a b"], [" c"]) == {}
