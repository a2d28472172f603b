"""The summaries task keeps its promises: gold by hand, the taste for length and its control, an exact posterior."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bench.models.encoding import encode
from bench.models.tokenizers import word_tokenizer
from tasks.next_word import END, draw
from tasks.summaries import CAREFUL, Summaries, report

PROMPT = "storm in velm : houses three , dogs nine , boats ten , men twenty , songs sixty . summary :"
BEST = " houses three , boats ten , men twenty ."


@pytest.fixture(scope="module")
def task() -> Summaries:
    return Summaries()


@pytest.mark.parametrize(
    ("completion", "kept", "invented", "excess"),
    [
        (BEST, 1, 0, 0),
        (" men twenty , houses three .", 2 / 3, 0, 0),  # any order
        (" houses three , houses three .", 1 / 3, 0, 0),  # once is enough
        (" dogs nine .", 0, 0, 0),
        (" houses four , boats ten .", 1 / 3, -1 / 2, 0),  # a wrong number
        (" houses three , boats ten", 1 / 3, -1 / 2, 0),  # unfinished
        (" houses three dogs nine .", 0, -1, 0),
        (" three", 0, -1, 0),
        ("houses three .", 0, -1, 0),  # no leading space
        (" houses three <unk> .", 0, -1, 0),
        ("", 0, 0, 0),
        (" houses three , dogs nine , boats ten , men twenty .", 1, 0, -3 / 9),
        (" houses three" + " , houses three" * 10 + " .", 1 / 3, 0, -1),
    ],
)
def test_parts_by_hand(task: Summaries, completion: str, kept: float, invented: float, excess: float) -> None:
    parts = task.gold_parts([PROMPT], [completion])
    expected = {"kept": kept, "invented": invented, "excess": excess}
    assert parts == {name: pytest.approx([value]) for name, value in expected.items()}
    assert task.gold([PROMPT], [completion]) == pytest.approx([kept + invented + 0.5 * excess])


def test_the_annotator_has_a_taste_for_length_that_gold_does_not_share() -> None:
    longer = BEST.replace(" .", " , dogs nine , songs sixty .")
    for taste, prefers_longer in ((0.1, True), (0.0, False)):
        task = Summaries(noise=0, length_taste=taste)
        assert task.prefers_first([PROMPT], [longer], [BEST], seed=0) == [prefers_longer]
        short, long = task.gold([PROMPT] * 2, [BEST, longer])
        assert short > long


def test_a_summary_is_drawn_as_often_as_its_words_probabilities_say() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(draw(CAREFUL.next_word, PROMPT, rng) for _ in range(4000))

    def probability(summary: str) -> float:
        words, total = (*summary.split(), END), 1.0
        for i, word in enumerate(words):
            following = CAREFUL.next_word(PROMPT, words[:i])
            assert sum(following.values()) == pytest.approx(1)
            total *= following[word]
        return total

    for summary, count in drawn.most_common(8):
        p = probability(summary)
        assert count / 4000 == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 4000))
    # all three key facts and nothing else, the numbers right, given that something is kept
    something = 1 - 0.3**3 * 0.7**2
    assert probability(BEST) == pytest.approx(0.7**3 * 0.7**2 * 0.9**3 / something)


def test_demonstrations_prefer_key_facts_and_the_corpus_does_not(task: Summaries) -> None:
    def shares(texts: list[str]) -> dict[str, float]:
        summaries = [text.split(" summary :")[1] for text in texts]
        return {thing: float(np.mean([thing in s.split() for s in summaries])) for thing in ("houses", "dogs")}

    rows = task.demonstrations(0)
    careful = shares([p + c for p, c in zip(rows["prompt"], rows["completion"], strict=True)])
    careless = shares(task.corpus(0))
    assert careful["houses"] > careful["dogs"] + 0.3
    assert careless["houses"] == pytest.approx(careless["dogs"], abs=0.03)
    assert np.std(np.array(rows["quality"]) - task.gold(rows["prompt"], rows["completion"])) == pytest.approx(0.1, 0.1)


def test_splits_are_disjoint_and_draws_depend_on_the_seed_alone(task: Summaries) -> None:
    train, test = task.prompts("train")["prompt"], task.prompts("test")["prompt"]
    assert not set(train) & set(test)
    assert len(train) > 1000
    assert all(len(report(prompt)) == 5 for prompt in test)
    assert set(task.references()["prompt"]) <= set(test)
    assert task.corpus(3) == Summaries().corpus(3) != task.corpus(4)


def test_texts_survive_the_tokenizer_and_fit_the_token_limit(task: Summaries) -> None:
    tokenizer = word_tokenizer(task.vocabulary())
    for row in task.references():
        prompt_ids, completion_ids = encode(tokenizer, row["prompt"], row["completion"])
        assert tokenizer.unk_token_id not in prompt_ids + completion_ids
        assert tokenizer.decode(prompt_ids + completion_ids[:-1]) == row["prompt"] + row["completion"]
        assert len(completion_ids) <= task.max_completion_tokens


def test_probe_answers_are_drawn_from_the_posterior(task: Summaries) -> None:
    probes = task.probes()
    assert len(probes) >= 10_000
    p = np.array([probe.posterior for probe in probes])
    assert p.sum(1) == pytest.approx(np.ones(len(p)))
    answers = np.eye(4)[[probe.answer for probe in probes]]
    for low, high in ((0.0, 0.3), (0.3, 0.6), (0.6, 1)):
        inside = (p > low) & (p < high)
        assert inside.sum() > 500
        assert abs((answers - p)[inside].sum()) < 4 * np.sqrt((p * (1 - p))[inside].sum())
