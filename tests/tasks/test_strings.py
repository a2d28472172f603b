"""The strings task keeps its promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.models.encoding import encode
from bench.models.tokenizers import word_tokenizer
from tasks.strings import SYMBOLS, Strings, chain


@pytest.fixture(scope="module")
def task() -> Strings:
    return Strings()


@pytest.mark.parametrize(
    ("prompt", "completion", "gold"),
    [
        ("p a", " d j e", 1.0),  # 0 → 3 → 9 → 20 = 4 on the circle: steps of 3, 6, 11
        ("c a", " d j e", 1.0),  # the first symbol of the prompt does not matter
        ("p a", " d j", 1 / 3),  # an empty place costs 1
        ("p a", " d", -1 / 3),
        ("p a", " l j m", -1.0),  # 0 → 11 → 25 → 28: each step half a circle off
        ("p a", " a a a", sum(math.cos(2 * math.pi * leap / 16) for leap in (3, 6, 11)) / 3),
        ("p a", "", -1.0),
        ("p a", " d j e a", -1.0),  # too long
        ("p a", "d j e", -1.0),  # no leading space
        ("p a", " d  j", -1.0),
        ("p a", " d j z", -1.0),
        ("p a", " d j<pad>", -1.0),
        ("p a", " <unk>", -1.0),
    ],
)
def test_gold_by_hand(task: Strings, prompt: str, completion: str, gold: float) -> None:
    assert task.gold([prompt], [completion]) == pytest.approx([gold])


def test_gold_depends_on_places_together(task: Strings) -> None:
    # what a symbol adds in the last place depends on the one before
    here, there = task.gold(["a a"] * 2, [" d j e", " d j m"]), task.gold(["a a"] * 2, [" d b e", " d b m"])
    assert here[0] > here[1]
    assert there[0] < there[1]


def test_the_parts_of_gold_are_its_places_and_gold_is_their_mean(task: Strings) -> None:
    completions = [" d j e", " d j", " l", " z"]
    parts = task.gold_parts(["p a"] * 4, completions)
    assert parts["first"] == pytest.approx([1, 1, -1, -1])
    assert parts["third"] == pytest.approx([1, -1, -1, -1])
    assert task.gold(["p a"] * 4, completions) == pytest.approx(np.mean(list(parts.values()), axis=0))


def test_prompts_are_disjoint_and_every_symbol_is_seen_in_training(task: Strings) -> None:
    train, test = task.prompts("train")["prompt"], task.prompts("test")["prompt"]
    assert not set(train) & set(test)
    assert (len(set(train)), len(set(test))) == (192, 64)
    for place in (0, -1):
        assert {prompt[place] for prompt in train} == {prompt[place] for prompt in test} == set(SYMBOLS)


def test_texts_follow_the_chain(task: Strings) -> None:
    data = task.demonstrations(0)
    counts = np.zeros((16, 16))
    for prompt, completion in zip(data["prompt"], data["completion"], strict=True):
        places = [SYMBOLS.index(word) for word in (prompt + completion).split()[1:]]
        np.add.at(counts, (places[:-1], places[1:]), 1)
    expected = counts.sum(1, keepdims=True) * chain()
    deviation = (counts - expected) / np.sqrt(expected * (1 - chain()) + 1e-9)
    assert np.abs(deviation[expected > 5]).max() < 4.5
    lengths = [len(completion.split()) for completion in data["completion"]]
    assert np.bincount(lengths)[1:] / len(lengths) == pytest.approx([0.1, 0.18, 0.72], abs=0.03)


def test_texts_fit_the_token_limit_end_of_sequence_included(task: Strings) -> None:
    tokenizer = word_tokenizer(task.vocabulary())
    rows = task.references()
    ids = [encode(tokenizer, row["prompt"], row["completion"])[1] for row in rows]
    assert max(map(len, ids)) == task.max_completion_tokens == 4
    assert not any(tokenizer.unk_token_id in row for row in ids)


def test_draws_depend_on_the_seed_alone(task: Strings) -> None:
    assert task.corpus(3) == Strings().corpus(3) != task.corpus(4)
    assert task.demonstrations(3).to_dict() == task.demonstrations(3).to_dict() != task.demonstrations(4).to_dict()
    assert task.references().to_dict() == Strings().references().to_dict()


def test_the_annotator_is_bradley_terry_on_gold() -> None:
    task, n = Strings(noise=1.0), 4000
    choices = task.prefers_first(["a a"] * n, [" d j"] * n, [" d"] * n, seed=1)  # gold 1/3 and −1/3
    expected = 1 / (1 + np.exp(-2 / 3))
    assert np.mean(choices) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n))


def test_probes_have_the_chains_posterior(task: Strings) -> None:
    probes = task.probes()
    assert len(probes) >= 10_000
    assert len({probe.query for probe in probes}) == 64
    p = np.array([probe.posterior for probe in probes])
    assert p.sum(1) == pytest.approx(np.ones(len(p)))
    first = probes[0]
    places = [SYMBOLS.index(choice[1:]) for choice in first.choices]
    row = chain()[SYMBOLS.index(first.query[-1]), places]
    assert first.posterior == pytest.approx(row / row.sum())
    answers = np.eye(4)[[probe.answer for probe in probes]]
    for low, high in ((0, 0.3), (0.3, 0.6), (0.6, 1)):
        inside = (p > low) & (p < high)
        assert abs((answers - p)[inside].sum()) < 4 * np.sqrt((p * (1 - p))[inside].sum())
