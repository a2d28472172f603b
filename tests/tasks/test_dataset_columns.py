"""What people bring to the `dataset` task: labels, messages, parts and pictures, columns read, named or mapped."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.contracts.errors import BenchError
from tasks.dataset import DataSet
from tests.tasks.dataset_rows import assistant, json_file, user, with_another


@pytest.mark.parametrize("spelling", [(True, False), ("True", "False"), (1, 0), ("1", "0"), ("chosen", "rejected")])
def test_answers_labelled_unwanted_are_no_demonstrations_however_it_is_spelt(tmp_path: Path, spelling: Any) -> None:
    good, bad = spelling
    rows = [{"prompt": f"p {i}", "completion": f"c {i}", "label": good if i % 2 else bad} for i in range(10)]
    task = DataSet(path=json_file(tmp_path, rows))
    assert task.report() == {}
    assert task.about()["answers labelled unwanted"] == 5
    wanted = {f"c {i}" for i in range(1, 10, 2)}
    assert {*task.demonstrations(0)["completion"], *task.references()["completion"]} == wanted
    labelled = [row for split in ("train", "test") for row in task.labelled(split)]
    assert len(labelled) == 10 and {row["completion"] for row in labelled if row["label"]} == wanted


def test_answers_by_themselves_are_labelled_or_none_and_pairs_are_none(tmp_path: Path) -> None:
    rows = [{"prompt": f"p {i}", "completion": " c", "label": label} for i, label in enumerate([True, True, None])]
    task = DataSet(path=json_file(tmp_path, rows))
    assert task.report() == {"label is missing": 1}
    assert not task.has_labelled and not task.has_preferences
    with pytest.raises(BenchError, match="no labelled answers"):
        task.labelled("train")
    with pytest.raises(BenchError, match="'label' says of no answer that it is wanted"):
        DataSet(path=json_file(tmp_path, [{**row, "label": False} for row in rows])).report()
    stars = [{"prompt": f"p {i}", "completion": " c", "stars": i} for i in range(3)]
    with pytest.raises(BenchError, match=r"columns.label.*not every value of 'stars'"):
        DataSet(path=json_file(tmp_path, stars), columns={"label": "stars"}).report()


def test_a_label_that_is_a_class_sets_nothing_aside(tmp_path: Path) -> None:
    rows = [{"prompt": f"p {i}", "completion": f"c {i}", "label": i} for i in range(4)]
    assert DataSet(path=json_file(tmp_path, rows)).report() == {}


@pytest.mark.parametrize("form", [json.dumps, str], ids=["JSON", "Python"])
def test_messages_in_the_words_of_a_table_are_messages(tmp_path: Path, form: Any) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt", "chosen", "rejected"])
        for i in range(4):
            turns = [[user(f"why {i}?"), assistant(f"it's {word}")] for word in ("so", "not")]
            rows.writerow([f"why {i}?", *map(form, turns)])
    task = DataSet(path=tmp_path / "a.csv", columns={"prompt": "prompt"})
    assert task.report() == {}
    assert {row.chosen[0]["content"] for row in task._rows} == {"it's so"}
    (tmp_path / "b.csv").write_text("messages\n\"[{'role': 'user', 'content': x}]\"\n")
    with pytest.raises(BenchError, match="a list of messages in words that cannot be read back"):
        DataSet(path=tmp_path / "b.csv").report()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"image": "a.jpg", "prompt": "p", "completion": "c"}, "has images, which are not read"),
        ({"audios": ["a.wav"], "prompt": "p", "completion": "c"}, "has audios, which are not read"),
        ({"prompt": "<image>\nWhat is it?", "completion": "c"}, "has images, which are not read"),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image"}]}], "completion": [assistant("c")]},
            "prompt has a part that is not text but image",
        ),
    ],
)
def test_rows_with_pictures_or_sound_are_set_aside(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    text: Any = isinstance(row["prompt"], str)
    prompts = ["p 1", "p 2"] if text else [[user("p 1")], [user("p 2")]]
    answer = "c" if text else [assistant("c")]
    good = [{"prompt": prompt, "completion": answer, "image": None} for prompt in prompts]
    assert DataSet(path=json_file(tmp_path, [*good, row])).report() == {reason: 1}


def test_the_parts_of_a_message_are_its_text(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "rain?"}]
    rows = [{"messages": [{"role": "user", "content": parts}, assistant(f"water {i}")]} for i in range(2)]
    rows.append({"messages": [user("snow?"), assistant("ice")]})
    task = DataSet(path=json_file(tmp_path, rows))
    assert task._rows[0].prompt == [user("What is rain?")]


def test_a_file_without_a_prompts_column_is_told_which_line_maps_it(tmp_path: Path) -> None:
    rows = [{"system": "s", "input": "i", "chosen": "a", "rejected": "b", "rating": [9, 1]}]
    with pytest.raises(BenchError) as caught:
        DataSet(path=json_file(tmp_path, rows)).report()
    said = str(caught.value)
    assert "read: chosen from chosen; rejected from rejected; system from system; of the columns system, i" in said
    assert "is the prompt in system and input? then say `columns: {prompt: [system, input]}`" in said
    mapped = DataSet(path=json_file(tmp_path, rows), columns={"prompt": ["system", "input"]})
    assert mapped._rows[0].prompt.startswith("s\ni")


def test_lists_of_texts_are_told_as_such(tmp_path: Path) -> None:
    rows = [{"text": ["a", "b"], "score": [1, 0]}]
    with pytest.raises(BenchError, match=r"text holds a list that is not one of messages: 1.*columns text, score"):
        DataSet(path=json_file(tmp_path, rows)).report()


def test_a_column_of_system_prompts_is_read_before_the_prompt(tmp_path: Path) -> None:
    texts = [{"system": "Be kind.", "prompt": f"Sky {i}?", "completion": " Blue."} for i in range(2)]
    assert DataSet(path=json_file(tmp_path, [*texts, {**texts[0], "system": ""}]))._rows[0].prompt == "Be kind.\nSky 0?"
    own = [{"role": "system", "content": "Be brief."}, user("Sky?"), assistant("Blue.")]
    rows = [{"orders": "Be kind.", "messages": messages} for messages in (own[1:], own)]
    prompts = [row.prompt for row in DataSet(path=json_file(tmp_path, rows), columns={"system": "orders"})._rows]
    assert prompts == [[{"role": "system", "content": "Be kind."}, user("Sky?")], own[:2]]
    mapped = DataSet(path=json_file(tmp_path, texts), columns={"prompt": ["prompt", "system"]})
    assert mapped._rows[0].prompt == "Sky 0?\nBe kind."


def test_columns_that_nobody_reads_are_named_and_rows_that_need_them_set_aside(tmp_path: Path) -> None:
    said = {"role": "assistant", "content": "b", "thinking": "hm"}
    rows: list[dict[str, Any]] = [
        {"messages": [user(f"a {i}"), said], "tools": [{"name": "f"}], "empty": None} for i in range(2)
    ]
    calls = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]}
    rows += [{"messages": [user("c"), calls]}, {"messages": [user("d"), {"role": "tool", "content": "1"}, said]}]
    rows += [{"messages": [user("e"), said], "history": [["a", "b"]]}]
    task = DataSet(path=json_file(tmp_path, rows))
    assert task.report() == {
        "has a turn of or for a tool, which is not read": 2,
        "has a history, which is not read: write dialogues as messages": 1,
    }
    assert task.about()["columns not read (messages.thinking, tools, messages.tool_calls, history)"] == 4


# -- several answers ------------------------------------------------------------------------------------------

BEST_AND_WORST: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "two columns and a number each": (
        {"a": " x", "b": " y", "s": "1", "t": 2},
        {"answers": ["a", "b"], "ratings": ["s", "t"]},
    ),
    "a list of answers with ratings": (
        {"all": [{"text": " z", "grade": 2}, {"text": " y", "grade": 3.5}, {"text": " x", "grade": 1}, {"text": " w"}]},
        {"answers": "all.text", "ratings": "all.grade"},
    ),
    "lists beside each other, with ranks": (
        {"all": [" x", " y"], "place": [2, 1]},
        {"answers": "all", "ranks": "place"},
    ),
    "a struct of lists": ({"all": {"t": [" y", " x"], "r": [1, 0]}}, {"answers": "all.t", "ratings": "all.r"}),
    "the place of the best": ({"a": " x", "b": " y", "best": 1}, {"answers": ["a", "b"], "best": "best"}),
    "the name of the best": ({"x_a": " x", "x_b": " y", "w": "model_b"}, {"answers": ["x_a", "x_b"], "best": "w"}),
}


@pytest.mark.parametrize("shape", BEST_AND_WORST)
def test_the_best_and_the_worst_of_several_answers_make_a_pair(tmp_path: Path, shape: str) -> None:
    row, columns = BEST_AND_WORST[shape]
    task = DataSet(path=json_file(tmp_path, with_another({"prompt": "Sky", **row})), columns=columns)
    assert task.report() == {}
    assert {(row.chosen, row.rejected) for row in task._rows} == {(" y", " x")}


def test_rated_answers_of_one_prompt_in_rows_of_their_own_make_a_pair(tmp_path: Path) -> None:
    rows = [{"q": f"q {i % 3}", "a": f" {i}", "stars": i % 5} for i in range(8)]  # of q 2 there are 2 and 5
    task = DataSet(path=json_file(tmp_path, rows), columns={"prompt": "q", "answers": "a", "ratings": "stars"})
    assert {(row.prompt, row.chosen, row.rejected) for row in task._rows} == {
        ("q 0", " 3", " 0"),
        ("q 1", " 4", " 1"),
        ("q 2", " 2", " 5"),
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"r": [1, 1]}, "answers are judged alike"),
        ({"r": [1, None]}, "fewer than two answers with ratings"),
        ({"r": [1]}, "answers and ratings are not as many"),
        ({"b": "tie"}, "`best` names none of the answers"),
        ({"b": "b", "x_a": " same", "x_b": "same"}, "chosen = rejected"),
    ],
)
def test_answers_of_which_none_is_best_are_set_aside(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    by = {"best": "b"} if "b" in row else {"ratings": "r"}
    good = [
        {"prompt": f"p {i}", "x_a": " a", "x_b": " b", "all": [" a", " b"], "r": [0, 1], "b": "a"} for i in range(2)
    ]
    columns: dict[str, Any] = {"answers": ["x_a", "x_b"] if "b" in row else "all", **by}
    task = DataSet(path=json_file(tmp_path, [*good, good[0] | row]), columns=columns)
    assert task.set_aside() == {reason: [3]}


@pytest.mark.parametrize("columns", [{"answers": "a"}, {"ratings": "a"}, {"answers": "a", "ranks": "b", "best": "c"}])
def test_answers_go_with_what_tells_the_best(columns: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="`answers` goes with one of ratings, ranks and best"):
        DataSet(path=Path("a.json"), columns=columns)
