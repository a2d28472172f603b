"""The checks of judges and measures find those that break them."""

from typing import ClassVar

import numpy as np
import pytest

from bench import Judge, Measure
from bench.authoring.checking.promises import judge_checks, measure_checks


def verdicts(checks):
    return {check.name: check.verdict() for check in checks}


class Longer(Judge):
    """Prefers what is longer."""

    def compare(self, prompts, first, second):
        """By letters."""
        return [0.5 + 0.5 * np.sign(len(a) - len(b)) for a, b in zip(first, second, strict=True)]


class ByScore(Longer):
    """Answers differences."""

    def compare(self, prompts, first, second):
        """Of lengths."""
        return [len(a) - len(b) for a, b in zip(first, second, strict=True)]


class OneAnswer(Longer):
    """Answers once."""

    def compare(self, prompts, first, second):
        """For all."""
        return [1]


class Immaterial(Longer):
    """Leaves out what it has not."""

    immaterial: ClassVar[set[str]] = {"timeout"}


class Letters(Measure):
    """Mean number of letters."""

    def compute(self, texts):
        """Of π's texts."""
        return np.mean([len(text) for text in texts])


class Noisy(Measure):
    """Another number each time."""

    def compute(self, kl):
        """KL and a draw."""
        return kl.mean() + np.random.normal()


class InPlace(Measure):
    """Sorts what it is given."""

    def compute(self, kl):
        """The median, by hand."""
        kl.sort()
        return kl[len(kl) // 2]


class Infinite(Measure):
    """Divides by nothing."""

    def compute(self, kl):
        """Infinity."""
        return float("inf")


class Fails(Measure):
    """Has a bug."""

    def compute(self, answers, probabilities):
        """Out of range."""
        return probabilities[0][99]


@pytest.mark.parametrize("checks", [judge_checks(Longer), measure_checks(Letters)])
def test_who_keeps_every_promise_passes(checks):
    assert {verdict.status for verdict in verdicts(checks).values()} == {"kept"}


@pytest.mark.parametrize(
    ("checks", "check", "words"),
    [
        (judge_checks(ByScore), "answers", "1 if the first is better"),
        (judge_checks(OneAnswer), "answers", "gave 1 answers for 3 pairs"),
        (judge_checks(Immaterial), "settings_matter", "'timeout', which is no setting"),
        (measure_checks(Noisy), "pure", "draw nothing at random"),
        (measure_checks(InPlace), "pure", "changed the column `kl` in place"),
        (measure_checks(Infinite), "a_number", "returned inf"),
        (measure_checks(Fails), "a_number", "`compute` raised"),
    ],
)
def test_a_broken_promise_is_found_and_told(checks, check, words):
    found = verdicts(checks)
    assert found[check].status == "broken"
    assert words in found[check].sentence
