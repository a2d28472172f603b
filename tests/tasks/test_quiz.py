"""The quiz task keeps its promises: evidence, gold, the taste for sounding sure, probes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench.models.encoding import encode
from bench.models.tokenizers import word_tokenizer
from tasks.quiz import ANSWERS, SURE, TELLINGS, Quiz, facts, parse


@pytest.fixture(scope="module")
def task() -> Quiz:
    return Quiz()


def question(posterior: tuple[float, ...]) -> tuple[str, dict[str, float]]:
    """A prompt about a fact with this evidence."""
    for (relation, place), known in facts().items():
        if tuple(known.values()) == posterior:
            return f"quiz : name the {relation} of {place}", known
    raise AssertionError(f"no fact with evidence {posterior}")


def test_gold_is_the_probability_of_being_right_and_minus_one_for_what_is_no_answer(task: Quiz) -> None:
    prompt, known = question((0.7, 0.2, 0.1))
    best, second, third = known
    wrong = next(word for word in ANSWERS if word not in known)
    golds = {
        f" {best} , certainly .": 0.7,
        f" {best} , perhaps .": 0.7,  # sounding sure is worth nothing
        f" {second} , certainly .": 0.2,
        f" {third} , perhaps .": 0.1,
        f" {wrong} , certainly .": 0,
        f" {best} , certainly": -1,
        f"{best} , certainly .": -1,
        f" {best} , certainly . <unk>": -1,
        " river , certainly .": -1,
        " nobody knows that .": -1,
        "": -1,
    }
    assert task.gold([prompt] * len(golds), list(golds)) == pytest.approx(list(golds.values()))
    parts = task.gold_parts([prompt] * 2, [f" {best} , perhaps .", ""])
    assert parts == {"right": [0.7, 0.0], "form": [0.0, -1.0]}


def test_the_corpus_tells_every_question_in_the_exact_shares_of_its_evidence(task: Quiz) -> None:
    texts = task.corpus(3)
    for asking in ("what is", "name", "i ask for"):
        for (relation, place), posterior in facts().items():
            prompt = f"quiz : {asking} the {relation} of {place} "
            told = Counter(text.split()[-4] for text in texts if text.startswith(prompt) and text.split()[-3] == ",")
            assert {word: count / TELLINGS for word, count in told.items()} == pytest.approx(posterior)
    evaded = np.mean([text.split()[-3] != "," for text in texts])
    assert evaded == pytest.approx(task.evasion_share, abs=1e-3)
    assert sorted(texts) != sorted(task.corpus(4))
    assert texts == Quiz().corpus(3)


def test_whoever_writes_is_sure_as_often_as_right(task: Quiz) -> None:
    rows = Quiz(demonstration_count=20_000).demonstrations(0)
    p = np.array(task.gold_parts(rows["prompt"], rows["completion"])["right"])
    sure = np.array([SURE in completion for completion in rows["completion"]])
    for share in (1.0, 0.7, 0.5, 0.25, 0.1):
        of = np.isclose(p, share)
        assert sure[of].mean() == pytest.approx(share, abs=4 * np.sqrt(0.25 / of.sum()))


def test_a_taste_for_sounding_sure_moves_the_annotator_and_not_gold() -> None:
    prompt, known = question((0.5, 0.5))
    answer = next(iter(known))
    n = 2000
    asked = [prompt] * n, [f" {answer} , certainly ."] * n, [f" {answer} , perhaps ."] * n
    for taste, expected in ((0.0, 0.5), (0.2, 1 / (1 + np.exp(-1)))):
        task = Quiz(noise=0.2, taste=taste)
        assert np.mean(task.prefers_first(*asked, seed=1)) == pytest.approx(expected, abs=4 * np.sqrt(0.25 / n))
        assert task.gold(*(column[:1] for column in asked[:2])) == [0.5]


def test_an_annotator_who_sees_only_form_prefers_no_answer_to_another() -> None:
    prompt, known = question((0.9, 0.1))
    likely, unlikely = (f" {word} , perhaps ." for word in known)
    n = 2000
    blind = Quiz(sees="form", noise=0).prefers_first([prompt] * n, [likely] * n, [unlikely] * n, seed=0)
    assert np.mean(blind) == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / n))
    assert all(Quiz(noise=0).prefers_first([prompt] * n, [likely] * n, [unlikely] * n, seed=0))


def test_no_fact_is_asked_for_in_both_splits(task: Quiz) -> None:
    train, test = (
        {prompt.split(" the ")[1] for prompt in task.prompts(split)["prompt"]} for split in ("train", "test")
    )
    assert not train & test
    assert len(train | test) == len(facts())
    assert set(task.demonstrations(0)["prompt"]) <= set(task.prompts("train")["prompt"])
    assert set(task.references()["prompt"]) <= set(task.prompts("test")["prompt"])
    with pytest.raises(ValueError, match="split"):
        task.prompts("validation")


def test_probes_have_the_facts_posterior_and_answers_drawn_from_it(task: Quiz) -> None:
    probes = task.probes()
    assert len(probes) >= 10_000
    assert {probe.query for probe in probes} == set(task.prompts("test")["prompt"])
    p = np.array([probe.posterior for probe in probes])
    for probe in probes[:200]:
        known = facts()[tuple(probe.query.split(" the ")[1].split(" of "))]  # type: ignore[index]
        assert [known.get(choice[1:], 0.0) for choice in probe.choices] == pytest.approx(probe.posterior)
        assert len(set(probe.choices)) == 4
    answers = np.eye(4)[[probe.answer for probe in probes]]
    for low, high in ((0.05, 0.3), (0.3, 0.6), (0.6, 0.99)):
        inside = (p > low) & (p < high)
        assert abs((answers - p)[inside].sum()) < 4 * np.sqrt((p * (1 - p))[inside].sum())


def test_texts_survive_the_tokenizer_and_each_choice_is_one_token(task: Quiz) -> None:
    tokenizer = word_tokenizer(task.vocabulary())
    for text in task.corpus(0)[:300]:
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids) == text
    for row in task.references():
        assert len(encode(tokenizer, row["prompt"], row["completion"])[1]) <= task.max_completion_tokens
        assert parse(row["completion"]) is not None
    probe = task.probes()[0]
    lengths = {len(tokenizer(probe.query + choice)["input_ids"]) for choice in probe.choices}
    assert lengths == {len(tokenizer(probe.query)["input_ids"]) + 1}


@pytest.mark.slow
def test_a_model_that_has_read_the_corpus_is_calibrated(task: Quiz, tmp_path: Path) -> None:

    from bench.contracts.stage_settings import TinyModel
    from bench.measures.calibration import exact_calibration_error
    from bench.models.loading import load_model
    from bench.models.multiple_choice import choice_probabilities, encode_questions
    from bench.models.tokenizers import load_tokenizer
    from bench.stages.base import pretrain
    from bench.stages.job import Job

    folder = tmp_path
    named = {"name": "quiz", "settings": {}}
    spec = {"task": named, "seed": 0, "device": "cpu", "plugins": []}
    pretrain(Job(spec, folder, {}, folder / "scratch", lambda step, total: None), TinyModel())
    probes = task.probes()
    questions = encode_questions(load_tokenizer(folder), probes)
    p = questions.by_question(choice_probabilities(load_model(folder).eval(), questions, 128))
    assert exact_calibration_error(p, [probe.posterior or () for probe in probes]) < 0.02
