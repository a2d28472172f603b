"""Every check of a task finds the task that breaks it, and says how to mend it."""

import numpy as np
import pytest
from datasets import Dataset

from bench import Probe
from bench.authoring.checking.promises import task_checks
from bench.authoring.checking.world import CheckingWorld
from bench.contracts.plugin import Field
from bench.contracts.task import Rating


def verdict(task, name):
    return next(check for check in task_checks(task) if check.name == name).verdict()


class Fine(CheckingWorld):
    """Keeps every promise."""


class NoBound(Fine):
    """Takes any number."""

    size: int = Field(3, description="of something")


class Leaking(Fine):
    """Tests on what it trains on."""

    def prompts(self, split):
        """All, in both splits."""
        both = [*super().prompts("train")["prompt"], *super().prompts("test")["prompt"]]
        return Dataset.from_dict({"prompt": both})


class Restless(Fine):
    """Has other prompts every time."""

    def prompts(self, split):
        """In an order drawn from a global generator."""
        return super().prompts(split).select(np.random.permutation(len(super().prompts(split))))


class UnseededDemonstrations(Fine):
    """Draws from a global generator."""

    def demonstrations(self, seed):
        """Another seed each time."""
        return super().demonstrations(np.random.randint(10**6))


class OneSeed(Fine):
    """Has one set of demonstrations."""

    def demonstrations(self, seed):
        """Seed 0."""
        return super().demonstrations(0)


class EmptyText(Fine):
    """Has an empty text in its corpus."""

    def corpus(self, seed):
        """One too many."""
        return [*super().corpus(seed), ""]


class InfiniteGold(Fine):
    """Takes the logarithm of nothing."""

    def gold(self, prompts, completions):
        """Minus infinity for no words."""
        return [
            value if str(completion).strip() else float("-inf")
            for value, completion in zip(super().gold(prompts, completions), completions, strict=True)
        ]


class RelativeGold(Fine):
    """Judges by what came before."""

    def gold(self, prompts, completions):
        """A sum over the list."""
        return np.cumsum(super().gold(prompts, completions)).tolist()


class MoodyGold(Fine):
    """Judges by its mood."""

    def gold(self, prompts, completions):
        """With noise."""
        return [value + np.random.normal() / 100 for value in super().gold(prompts, completions)]


class LateNames(Fine):
    """Names its parts only where there is something to judge."""

    def gold_parts(self, prompts, completions):
        """Nothing for nothing."""
        return super().gold_parts(prompts, completions) if completions else {}


class PrefersTheWorse(Fine):
    """Has it the wrong way round."""

    def prefers_first(self, prompts, first, second, seed):
        """The second, where it is the first."""
        return [not answer for answer in super().prefers_first(prompts, first, second, seed)]


class PrefersTheFirst(Fine):
    """Does not look."""

    def prefers_first(self, prompts, first, second, seed):
        """Always."""
        return [True] * len(first)


class OwnPairs(Fine):
    """Brings pairs of which one is none."""

    def pairs(self, split):
        """Two."""
        prompts = self.prompts(split)["prompt"][:2]
        return Dataset.from_dict({"prompt": prompts, "chosen": [" good", " red"], "rejected": [" bad", " red"]})


class LabelsInWords(Fine):
    """Brings labels that are no truth values."""

    def labelled(self, split):
        """One."""
        prompts = self.prompts(split)["prompt"][:1]
        return Dataset.from_dict({"prompt": prompts, "completion": [" good"], "label": ["yes"]})


class RatesToTen(Fine):
    """Rates from 2 to 10."""

    def ratings(self, prompts, completions, seed):
        """Twice as much."""
        return [Rating(each.rater, 2 * each.score) for each in super().ratings(prompts, completions, seed)]


class RatesUpsideDown(Fine):
    """Gives the best a 1."""

    def ratings(self, prompts, completions, seed):
        """As at school."""
        return [Rating(each.rater, 6 - each.score) for each in super().ratings(prompts, completions, seed)]


class NoAnswer(Fine):
    """Asks what nobody can answer."""

    def probes(self):
        """The sixth of five."""
        return [Probe("red :", (" red", " blue"), 2)]


class ImproperPosterior(Fine):
    """Has too much probability."""

    def probes(self):
        """1.2."""
        return [Probe("red :", (" red", " blue"), 1, (0.6, 0.6))]


class KnownReferences(Fine):
    """Tests on its demonstrations."""

    def references(self):
        """The first ones."""
        return self.demonstrations(0).select(range(16))


class NoWords(Fine):
    """Counts its words instead of naming them, so that no tokenizer can be made."""

    def vocabulary(self):
        """Six."""
        return 6


class TooShort(Fine):
    """Cuts its demonstrations off."""

    @property
    def max_completion_tokens(self):
        """Three words, and no room for EOS."""
        return 3


class WrongOrder(Fine):
    """Lists gold in another order."""

    def enumerated_gold(self, tokenizer, prompt):
        """The last first."""
        return super().enumerated_gold(tokenizer, prompt)[::-1]


def test_a_task_that_keeps_every_promise_passes_every_check():
    found = {check.name: check.verdict() for check in task_checks(Fine)}
    assert {verdict.check for verdict in found.values() if verdict.status == "skipped"} == {"pairs", "labelled"}
    assert not [verdict for verdict in found.values() if verdict.status == "broken"]
    assert "right in" in found["annotator"].sentence
    assert "4 of 4" in found["room"].sentence


@pytest.mark.parametrize(
    ("task", "check", "words"),
    [
        (NoBound, "documented", "`size` is a number without a bound"),
        (Leaking, "splits", "100% of the test prompts are training prompts"),
        (Restless, "splits", "two calls with the same arguments"),
        (UnseededDemonstrations, "demonstrations", "np.random.default_rng(seed)"),
        (OneSeed, "demonstrations", "demonstrations(0) and demonstrations(1) are the same"),
        (EmptyText, "corpus", "none is empty"),
        (InfiniteGold, "gold", "one that is not finite"),
        (RelativeGold, "gold", "judge each by itself"),
        (MoodyGold, "gold", "two calls with the same arguments"),
        (LateNames, "gold_parts", "always give the same names"),
        (PrefersTheWorse, "annotator", "where the first completion is the better one"),
        (PrefersTheFirst, "annotator", "no better than guessing"),
        (OwnPairs, "pairs", "the same completion twice"),
        (LabelsInWords, "labelled", "the label 'yes': true for a wanted answer"),
        (RatesToTen, "ratings", "scores are 1, 2, 3, 4 or 5"),
        (RatesUpsideDown, "ratings", "clearly better completions are rated 1"),
        (NoAnswer, "probes", "its answer is 2, not 0 to 1"),
        (ImproperPosterior, "probes", "sum to 1"),
        (KnownReferences, "references", "100% of the references are demonstrations"),
        (NoWords, "smoke", "TypeError"),
        (TooShort, "room", "cut off before its EOS"),
        (WrongOrder, "enumeration", "enumerated_gold differs from gold"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_promise_is_found_and_told(task, check, words):
    found = verdict(task, check)
    assert found.status == "broken"
    assert words in found.sentence


def test_a_data_set_may_have_the_same_demonstrations_for_every_seed():
    class Read(OneSeed):
        """Read from a file."""

        def content_digest(self):
            """Of the file."""
            return "0123"

    assert verdict(Read, "demonstrations").status == "skipped"
