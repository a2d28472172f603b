"""The reviews task keeps its promises: gold, annotator, splits, corpus, probes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bench.models.encoding import encode
from bench.models.tokenizers import word_tokenizer
from tasks import review_grammar as grammar
from tasks.reviews import Reviews

HEADER = "an old italian western :"


@pytest.fixture(scope="module")
def task() -> Reviews:
    return Reviews()


def parses(text: str) -> bool:
    return grammar.opinions(text) is not None


def test_gold_is_the_mean_sentiment_of_what_parses_and_minus_one_otherwise(task: Reviews) -> None:
    golds = {
        " the duel was not very good . i loved it .": 0.0875,
        " i hated it . it runs two hours .": -0.8,
        " superb superb superb superb superb .": -1,
        "": -1,
        "i loved it . we loved it .": -1,  # no leading space: "…:i loved it"
        " i loved it . we loved it .<unk>": -1,
    }
    assert task.gold([HEADER] * len(golds), list(golds)) == pytest.approx(list(golds.values()))


def test_the_prompts_words_count_as_part_of_the_review(task: Reviews) -> None:
    assert task.gold([f"{HEADER} the duel"], [" was good . i liked it ."]) == [0.5]
    assert task.gold([HEADER], [" was good . i liked it ."]) == [-1]


def test_informativeness_counts_facts_once_and_is_no_part_of_gold_unless_asked_for(task: Reviews) -> None:
    opinion = " i liked it ."
    facts = {
        opinion + opinion: -1,
        opinion + " it runs two hours .": 0,
        opinion + " it runs two hours . it runs three hours .": 0,
        opinion + " it opened in spring . my sister saw it twice .": 1,
        " it runs two hours . my sister saw it twice .": -1,  # does not parse: the first sentence is an opinion
    }
    prompts = [HEADER] * len(facts)
    parts = task.gold_parts(prompts, list(facts))
    assert parts["informativeness"] == list(facts.values())
    assert parts["sentiment"] == task.gold(prompts, list(facts)) == [0.5, 0.5, 0.5, 0.5, -1]
    assert Reviews(informativeness=0.5).gold(prompts, list(facts)) == [-0.25, 0.25, 0.25, 0.75, -1]


def test_one_who_sees_sentiment_alone_does_not_care_for_facts() -> None:
    plain, telling = " i liked it . i liked it .", " i liked it . my sister saw it twice ."
    arguments = ([HEADER] * 1000, [telling] * 1000, [plain] * 1000)
    whole, partial = (Reviews(noise=0, informativeness=0.5, sees=sees) for sees in (None, "sentiment"))
    assert np.mean(whole.prefers_first(*arguments, seed=0)) == 1
    assert np.mean(partial.prefers_first(*arguments, seed=0)) == pytest.approx(0.5, abs=0.06)


def test_words_alone_do_not_give_the_sentiment(task: Reviews) -> None:
    one, other = " the plot was not good . the cast was awful .", " the plot was good . the cast was not awful ."
    assert sorted(one.split()) == sorted(other.split())
    assert task.gold([HEADER] * 2, [one, other]) == pytest.approx([-0.65, 0.65])
    reviews = task.demonstrations(0)
    words = sorted({word for text in reviews["completion"] for word in text.split()})
    counts = np.array([[text.split().count(word) for word in words] for text in reviews["completion"]])
    gold = np.array(task.gold(reviews["prompt"], reviews["completion"]))
    fit, *_ = np.linalg.lstsq(counts, gold, rcond=None)
    assert 0.3 < 1 - np.var(gold - counts @ fit) / np.var(gold) < 0.8  # in sample: an upper bound


def test_the_annotator_is_bradley_terry_on_gold() -> None:
    task = Reviews(noise=0.5)
    first, second = " the plot was good . i liked it .", " the plot was dull . i liked it ."  # gold 0.5 and 0
    n = 4000
    choices = task.prefers_first([HEADER] * n, [first] * n, [second] * n, seed=1)
    expected = 1 / (1 + np.exp(-1))
    assert np.mean(choices) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n))
    assert choices == task.prefers_first([HEADER] * n, [first] * n, [second] * n, seed=1)
    assert choices != task.prefers_first([HEADER] * n, [first] * n, [second] * n, seed=2)


def test_splits_are_disjoint_and_hold_several_hundred_prompts(task: Reviews) -> None:
    train, test = task.prompts("train")["prompt"], task.prompts("test")["prompt"]
    assert not set(train) & set(test)
    assert len(set(train)) == len(train) > 500
    assert len(set(test)) == len(test) >= 128
    # an order without pattern: the first of them are not all alike
    assert len({prompt.split()[3] for prompt in test[:32]}) == len(grammar.GENRE_ASPECTS)
    with pytest.raises(ValueError, match="split"):
        task.prompts("validation")


def test_demonstrations_are_graded_reviews_of_every_stance_on_training_prompts(task: Reviews) -> None:
    data = task.demonstrations(7)
    assert len(data) == task.demonstration_count
    assert set(data["prompt"]) <= set(task.prompts("train")["prompt"])
    gold = np.array(task.gold(data["prompt"], data["completion"]))
    assert all(parses(p + c) for p, c in zip(data["prompt"], data["completion"], strict=True))
    error = np.array(data["quality"]) - gold
    assert abs(error.mean()) < 0.01
    assert 0.09 < error.std() < 0.11
    assert np.mean(gold > 0.4) > 0.2
    assert np.mean(gold < -0.4) > 0.2


def test_draws_depend_on_the_seed_alone(task: Reviews) -> None:
    assert task.corpus(3) == Reviews().corpus(3) != task.corpus(4)
    assert task.demonstrations(3).to_dict() == task.demonstrations(3).to_dict() != task.demonstrations(4).to_dict()
    assert task.references().to_dict() == Reviews(noise=1).references().to_dict()
    # the same seed gives corpus and demonstrations draws of their own
    drawn = zip(task.corpus(3), task.demonstrations(3)["prompt"], strict=False)
    assert sum(text.startswith(prompt) for text, prompt in drawn) < 100


def test_the_corpus_has_its_share_of_junk(task: Reviews) -> None:
    texts = task.corpus(0)
    assert len(texts) == task.corpus_size
    assert np.mean([not parses(text) for text in texts]) == pytest.approx(task.junk_share, abs=0.03)
    assert all(parses(text) for text in Reviews(junk_share=0, corpus_size=200).corpus(0))


def test_references_are_clean_reviews_of_test_prompts(task: Reviews) -> None:
    data = task.references()
    assert len(data) >= 256
    assert set(data["prompt"]) <= set(task.prompts("test")["prompt"])
    assert all(parses(p + c) for p, c in zip(data["prompt"], data["completion"], strict=True))


def test_texts_survive_the_tokenizer_and_fit_the_token_limit(task: Reviews) -> None:
    tokenizer = word_tokenizer(task.vocabulary())
    for row in task.references():
        prompt_ids, completion_ids = encode(tokenizer, row["prompt"], row["completion"])
        assert tokenizer.unk_token_id not in prompt_ids + completion_ids
        assert tokenizer.decode(prompt_ids + completion_ids[:-1]) == row["prompt"] + row["completion"]
        assert len(completion_ids) <= task.max_completion_tokens


def test_probes_ask_for_the_next_word_with_its_true_posterior(task: Reviews) -> None:
    probes = task.probes()
    assert len(probes) >= 10_000
    assert len({probe.query for probe in probes}) <= 400
    assert probes == Reviews(noise=1).probes()
    words = set(task.vocabulary())
    for probe in probes[:400]:
        assert probe.posterior is not None
        following = grammar.next_word(probe.query)
        weights = np.array([following.get(choice[1:], 0) for choice in probe.choices])
        assert probe.posterior == pytest.approx(weights / weights.sum())
        assert len(set(probe.choices)) == 4
        assert all(choice[0] == " " and choice[1:] in words for choice in probe.choices)


def test_probe_answers_are_drawn_from_the_posterior(task: Reviews) -> None:
    probes = task.probes()
    p = np.array([probe.posterior for probe in probes])
    answers = np.eye(4)[[probe.answer for probe in probes]]
    for low, high in ((0.01, 0.3), (0.3, 0.6), (0.6, 0.99)):
        inside = (p > low) & (p < high)
        error = np.sqrt((p * (1 - p))[inside].sum())
        assert inside.sum() > 500
        assert abs((answers - p)[inside].sum()) < 4 * error


def test_importing_the_tasks_loads_nothing_heavy() -> None:
    code = (
        "import sys, tasks.reviews, tasks.strings, bench.models.enumeration; "
        "print([m for m in ('torch', 'transformers', 'datasets', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
