"""The split of a person's data: nothing of a test prompt is in training, and what nearly is, is counted."""

from __future__ import annotations

import json
import random
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.contracts.errors import BenchError
from tasks.dataset import DataSet
from tasks.dataset.fields import LONGEST_TEXT, LONGEST_WORD
from tasks.dataset.overlap import NEAR, _shingles, near_copies, normalised, similarity

FORMS: dict[str, Callable[[str], str]] = {
    "white space around": lambda s: s + " \n",
    "two spaces inside": lambda s: s.replace(" ", "  "),
    "capitals": str.upper,
    "another Unicode form": lambda s: unicodedata.normalize("NFD", s),
    "a letter of no width": lambda s: s[:4] + "\u200b" + s[4:],
}


def written(folder: Path, rows: list[dict[str, Any]]) -> DataSet:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataSet(path=folder / "rows.jsonl")


def turns(*contents: str) -> list[dict[str, str]]:
    """User and assistant in turn."""
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


def answer(content: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": content}]


def shared(task: DataSet) -> set[str]:
    """What both splits ask, however it is written."""
    asked = [
        {normalised(p if isinstance(p, str) else p[0]["content"]) for p in task.prompts(split)["prompt"]}
        for split in ("train", "test")
    ]
    return asked[0] & asked[1]


@pytest.mark.parametrize("conversation", [False, True], ids=["text", "conversation"])
@pytest.mark.parametrize("form", FORMS)
def test_prompts_that_only_look_different_are_in_one_split(tmp_path: Path, form: str, conversation: bool) -> None:
    rows = [
        {"prompt": turns(prompt), "completion": answer(f"yes {n}")}
        if conversation
        else {"prompt": prompt, "completion": f" yes {n}"}
        for i in range(30)
        for n, prompt in enumerate((f"qué es {i} ?", FORMS[form](f"qué es {i} ?")))
    ]
    task = written(tmp_path, rows)
    assert shared(task) == set()
    assert len(task.references()) == 12 and len(task.demonstrations(0)) == 48


@pytest.mark.parametrize("hh", [False, True], ids=["messages", "HH"])
def test_a_dialogue_stands_beside_its_own_continuation(tmp_path: Path, hh: bool) -> None:
    dialogues = [
        said
        for i in range(30)
        for said in ((f"what is {i} ?", f"it is {i * i} ."), (f"what is {i} ?", f"it is {i * i} .", "why ?", "so ."))
    ]
    if hh:
        written_out = ["".join(f"\n\n{'HA'[i % 2]}: {s}" for i, s in enumerate(said)) for said in dialogues]
        texts = [text.replace("\n\nH:", "\n\nHuman:").replace("\n\nA:", "\n\nAssistant:") for text in written_out]
        rows: list[dict[str, Any]] = [{"chosen": text, "rejected": text + " no"} for text in texts]
    else:
        rows = [{"messages": turns(*said)} for said in dialogues]
    task = written(tmp_path, rows)
    quoted = json.dumps(list(task.prompts("train")["prompt"]))
    references = [row["completion"] for row in task.references()]
    answers = [text.strip() if isinstance(text, str) else text[0]["content"] for text in references]
    assert len(answers) == 12
    assert not [text for text in answers if text.startswith("it") and text in quoted]


def test_dialogues_that_all_begin_alike_are_told_as_such(tmp_path: Path) -> None:
    rows = [{"messages": turns("Hi", "Hi", f"what is {i}?", "a number")} for i in range(3)]
    with pytest.raises(BenchError, match="dialogues that all begin with one question cannot be split"):
        written(tmp_path, rows).prompts("train")


def test_near_copies_are_those_that_comparing_all_with_all_finds() -> None:
    generator = random.Random(0)
    words = [f"w{i}" for i in range(40)]
    texts = [" ".join(generator.choice(words) for _ in range(generator.randint(1, 60))) for _ in range(80)]
    for text in texts[:40]:  # copies with more and more words changed
        copy = text.split()
        for _ in range(generator.randint(0, 4)):
            copy[generator.randrange(len(copy))] = generator.choice(words)
        texts.append(" ".join(copy))
    generator.shuffle(texts)
    train, test = texts[:60], texts[60:]
    expected = [
        text for text in set(test) if any(similarity(_shingles(text), _shingles(other)) >= NEAR for other in train)
    ]
    assert near_copies(train, sorted(set(test))) == len(expected) > 3


def test_what_nearly_is_in_both_splits_is_counted(tmp_path: Path) -> None:
    long = "Tell me in your own words how a fish that lives in the deep sea finds its food at night, number"
    names = "test prompts", "of them with a near copy in train", "test answers that are answers in train"
    task = written(tmp_path, [{"prompt": f"{long} {i}", "completion": f" so {i}"} for i in range(10)])
    assert task.about() == dict(zip(names, (2, 2, 0), strict=True))
    task = written(tmp_path, [{"prompt": f"What is {i}", "completion": " so" if i % 2 else " SO "} for i in range(10)])
    assert task.about() == dict(zip(names, (2, 0, 2), strict=True))


@pytest.mark.parametrize("letter", ["a", " ", "-", "界"])
def test_what_is_no_text_is_set_aside_before_a_tokenizer_learns_from_it(tmp_path: Path, letter: str) -> None:
    good = [{"prompt": f"p {i}", "completion": " ok yes no"} for i in range(4)]
    bad = {"prompt": "p", "completion": "x" + letter * (LONGEST_WORD + 1) + "x"}
    endless = {"prompt": "p", "completion": "x " * (LONGEST_TEXT // 2 + 1)}
    started = time.perf_counter()
    task = written(tmp_path, [*good, bad, endless])
    assert task.report() == {"a word of 10,000 characters or more": 1, "a text of more than 1,000,000 characters": 1}
    assert time.perf_counter() - started < 2
    assert max(map(len, task.corpus(0))) < 20
