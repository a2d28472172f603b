"""Labelled texts become a gold reward that is right about other texts, and an annotator; plain texts become prompts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from bench.contracts.errors import BenchError
from tasks.dataset import DataSet
from tasks.dataset.gold import classifier, read_labelled
from tasks.dataset.reading import digest

GOOD, BAD = ("superb", "lovely", "moving", "fresh"), ("dull", "stale", "clumsy", "weak")


def sentiment_file(name: str) -> Path:
    """Real reviews; the test is skipped where the folder of real data is absent."""
    data = Path(os.environ.get("BENCH_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (data / "sentiment" / name).is_file():
        pytest.skip(f"no sentiment/{name} in {data}: set BENCH_DATA to the folder of real data")
    return data / "sentiment" / name


def reviews(folder: Path, count: int = 200) -> Path:
    """Reviews with two telling words each, labelled; a TSV such as IMDb's."""
    rng = np.random.default_rng(0)
    lines = ["Sentiment\tText"]
    for i in range(count):
        label, words = (("Positive", GOOD), ("Negative", BAD))[i % 2]
        one, other = rng.choice(words, 2)
        lines.append(f"{label}\tFilm number {i} has a {one} plot<br /><br />and a cast that is {other} too")
    file = folder / "reviews.tsv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def world(folder: Path, **settings: Any) -> DataSet:
    file = reviews(folder)
    return DataSet(path=file, **({"gold_texts": file, "prompt_words": 3} | settings))


# -- plain texts -----------------------------------------------------------------------------------------------


def test_a_text_is_cut_into_its_first_words_and_the_rest(tmp_path: Path) -> None:
    file = reviews(tmp_path, 10)
    rows = [*DataSet(path=file).demonstrations(0), *DataSet(path=file).references()]
    assert len(rows) == 10
    for row in rows:
        assert len(row["prompt"].split()) == 8 and row["completion"].startswith(" a cast that")
        assert "<br" not in row["prompt"] + row["completion"] and "  " not in row["prompt"] + row["completion"]
    short = DataSet(path=file, prompt_words=4, completion_words=5).references()[0]
    assert (len(short["prompt"].split()), len(short["completion"].split())) == (4, 5)
    assert not DataSet(path=file).has_pairs and not DataSet(path=file).has_preferences


def test_a_text_that_is_all_prompt_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([{"text": "a b c d"}, {"text": " a b\n"}, {"text": ""}, {"text": "b c d e"}]))
    task = DataSet(path=file, prompt_words=2)
    assert task.report() == {"text of no more than 2 words": 1, "text is missing or empty": 1}
    assert {(r["prompt"], r["completion"]) for r in [*task.demonstrations(0), *task.references()]} == {
        ("a b", " c d"),
        ("b c", " d e"),
    }


def test_a_text_column_beside_pairs_or_demonstrations_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([{"prompt": f"{i}?", "completion": " yes", "text": f"a{i} b c"} for i in range(3)]))
    assert set(DataSet(path=file).demonstrations(0)["completion"]) == {" yes"}
    mapped = DataSet(path=file, columns={"text": "text"}, prompt_words=1)
    assert set(mapped.demonstrations(0)["completion"]) == {" b c"}


# -- the gold reward -------------------------------------------------------------------------------------------


def test_gold_is_a_probability_of_the_whole_text_that_follows_the_labels(tmp_path: Path) -> None:
    task = world(tmp_path)
    gold = task.gold(["The plot is superb"] * 2 + ["The plot is"] * 2, [" and fresh", " and stale", " lovely", " dull"])
    assert all(0 < g < 1 for g in gold)
    assert gold[0] > gold[1] and gold[2] > 0.6 and gold[3] < 0.4
    assert task.has_gold and task.gold([], []) == []


def test_in_conversations_the_answer_alone_is_judged(tmp_path: Path) -> None:
    task = world(tmp_path)
    prompts = [[{"role": "user", "content": word}] for word in ("superb", "dull")]
    answers = [[{"role": "assistant", "content": "a lovely cast"}]] * 2
    first, second = task.gold(prompts, answers)
    assert first == second > 0.6


def test_the_classifier_is_tested_on_texts_it_has_not_seen_and_reports_it(tmp_path: Path) -> None:
    about = world(tmp_path).about()
    assert about["test prompts"] == 40
    gold = {name: value for name, value in about.items() if name.startswith("gold")}
    assert gold == {"gold_accuracy": 1.0, "gold_texts": 160, "gold_texts_heldout": 40}
    rng = np.random.default_rng(0)
    shuffled = tmp_path / "shuffled.tsv"
    lines = reviews(tmp_path).read_text().splitlines()
    labels = rng.permutation([line.split("\t")[0] for line in lines[1:]])
    body = [f"{label}\t{line.partition(chr(9))[2]}" for label, line in zip(labels, lines[1:], strict=True)]
    shuffled.write_text("\n".join([lines[0], *body]))
    chance = DataSet(path=shuffled, gold_texts=shuffled).about()["gold_accuracy"]
    assert 0.2 < chance < 0.8  # labels that mean nothing cannot be learned


def test_the_classifier_does_not_depend_on_the_order_of_the_texts(tmp_path: Path) -> None:
    file = reviews(tmp_path)
    header, *lines = file.read_text().splitlines()
    backward = tmp_path / "backward.tsv"
    backward.write_text("\n".join([header, *lines[::-1]]))
    one, other = (classifier(path, digest(path))[0](["a superb plot", "weak"]) for path in (file, backward))
    assert one == pytest.approx(other, abs=1e-3)


def test_labels_are_known_by_several_names_and_the_rest_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "labelled.jsonl"
    rows = [("a", 1), ("b", "pos"), ("c", True), ("d", "NEGATIVE"), ("e", 0), ("f", 3), ("", 1), ("a", 1), ("g", None)]
    file.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    texts, labels, bad = read_labelled(file)
    assert (texts, labels) == (list("abcde"), [1, 1, 1, 0, 0])
    assert bad == {
        "gold texts: label is neither positive nor negative": [6, 9],
        "gold texts: one is missing or empty": [7],
        "gold texts: twice": [8],
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Text\tStars", "a\t1"], "found the columns Text, Stars — expected one called sentiment or label"),
        (["Text\tLabel", "a\t1", "b\t1", "c\tpos"], "needs texts of both labels"),
        (["Text\tLabel", *(f"word{i}\t{i % 2}" for i in range(10))], "no gold classifier can be learned from it"),
    ],
)
def test_texts_that_no_gold_can_be_learned_from_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    file = tmp_path / "labelled.tsv"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(BenchError, match=message):
        DataSet(path=reviews(tmp_path), gold_texts=file).gold(["a"], [" b"])


def test_gold_brings_an_annotator_whose_settings_need_it(tmp_path: Path) -> None:
    task = world(tmp_path, noise=0.0)
    assert task.has_preferences and not task.has_pairs
    assert task.prefers_first(["The plot"] * 2, [" superb", " dull"], [" weak", " fresh"], seed=0) == [True, False]
    assert abs(task.grades(["The"], [" superb, moving, lovely plot"], [" dull, stale, weak plot"], seed=0)[0]) == 3
    with pytest.raises(ValidationError, match=r"`flips` .* goes with `gold_texts`"):
        DataSet(path=reviews(tmp_path), flips=0.1)
    with pytest.raises(ValidationError, match="gold has no part 'sentiment'"):
        world(tmp_path, sees="sentiment")
    assert DataSet.model_validate(task.model_dump(mode="json")) == task


def test_the_gold_texts_are_part_of_what_the_stages_depend_on(tmp_path: Path) -> None:
    file = reviews(tmp_path)
    assert DataSet(path=file).content_digest() != DataSet(path=file, gold_texts=file).content_digest()


def test_the_classifier_is_right_about_four_of_five_real_reviews_it_has_not_seen() -> None:
    train, test = sentiment_file("imdb-train.tsv"), sentiment_file("imdb-test.tsv")
    gold, bad = classifier(train, digest(train))
    assert bad == {} and gold.accuracy > 0.8
    texts, labels, _ = read_labelled(test)
    assert len(texts) == 488
    assert np.mean((np.array(gold(texts)) > 0.5) == np.array(labels)) > 0.8
