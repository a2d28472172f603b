"""The `dataset` task: every shape is recognised, every bad row accounted for, every mistake named."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.contracts.errors import BenchError
from bench.contracts.task import Task
from tasks.dataset import DataSet
from tasks.dataset.reading import LARGEST_RATIO, SMALL
from tests.tasks.dataset_rows import assistant, json_file, user, with_another

ROOT = Path(__file__).parents[2]
PAIRS = [{"prompt": f"Question {i}?", "chosen": f" yes {i}", "rejected": f" no {i}"} for i in range(10)]
DEMONSTRATIONS = [{"prompt": f"Question {i}?", "completion": f" yes {i}"} for i in range(10)]


def shared(name: str) -> Path:
    """A real file; the test is skipped where the folder of real data is absent."""
    data = Path(os.environ.get("BENCH_DATA") or ROOT.parent / "shared" / "data")
    if not (data / name).is_file():
        pytest.skip(f"no {name} in {data}: set BENCH_DATA to the folder of real data")
    return data / name


def all_pairs(task: Task) -> list[dict[str, Any]]:
    """Train and test pairs, in the order of their prompts."""
    return sorted([*task.pairs("train"), *task.pairs("test")], key=lambda row: str(row["prompt"]))


# -- files ---------------------------------------------------------------------------------------------------


def write(file: Path, rows: list[dict[str, str]]) -> Path:
    """`rows` written as the file's ending says."""
    if file.suffix == ".gz":
        file.write_bytes(gzip.compress(write(file.with_suffix(""), rows).read_bytes()))
    elif file.suffix == ".parquet":
        import pyarrow
        from pyarrow.parquet import write_table

        write_table(pyarrow.Table.from_pylist(rows), file)
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows), encoding="utf-8")
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        separator = {".csv": ",", ".tsv": "\t"}[file.suffix]
        lines = [list(rows[0]), *(row.values() for row in rows)]
        file.write_text("".join(separator.join(line) + "\n" for line in lines), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "ending",
    ["json", "jsonl", "csv", "tsv", "json.gz", "jsonl.gz", "csv.gz", "tsv.gz", "parquet", "JSONL"],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    file = write(tmp_path / f"rows.{ending.lower()}", PAIRS)
    task = DataSet(path=file.rename(tmp_path / f"rows.{ending}"))
    assert all_pairs(task) == PAIRS
    assert task.report() == {}


def test_a_byte_order_mark_is_not_part_of_the_data(tmp_path: Path) -> None:
    for ending in ("json", "jsonl", "csv"):
        file = write(tmp_path / f"rows.{ending}", PAIRS)
        file.write_bytes(codecs.BOM_UTF8 + file.read_bytes())
        assert all_pairs(DataSet(path=file)) == PAIRS


def test_quoted_csv_fields_may_hold_separators_newlines_and_quotes(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('prompt,completion\n"a, ""b""\nc", d\ne, f\n', encoding="utf-8")
    task = DataSet(path=file)
    prompts = {row["prompt"] for split in ("train", "test") for row in task.prompts(split)}
    assert prompts == {'a, "b"\nc', "e"}


def test_a_folder_saved_by_datasets_is_read_with_or_without_splits(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    Dataset.from_list(PAIRS).save_to_disk(tmp_path / "plain")
    assert all_pairs(DataSet(path=tmp_path / "plain")) == PAIRS
    DatasetDict(train=Dataset.from_list(PAIRS[:4]), extra=Dataset.from_list(PAIRS[4:])).save_to_disk(
        tmp_path / "splits"
    )
    assert all_pairs(DataSet(path=tmp_path / "splits")) == PAIRS[:4]
    assert all_pairs(DataSet(path=tmp_path / "splits", split="extra")) == PAIRS[4:]
    with pytest.raises(BenchError, match="no split 'extr' — did you mean 'extra'"):
        DataSet(path=tmp_path / "splits", split="extr").report()
    with pytest.raises(BenchError, match="without splits"):
        DataSet(path=tmp_path / "plain", split="train").report()


def test_a_hub_data_set_is_asked_for_by_name_and_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple[Any, ...]] = []

    def load(name: str, config: str | None, *, split: str) -> datasets.Dataset:
        asked.append((name, config, split))
        return datasets.Dataset.from_list(PAIRS)

    monkeypatch.setattr(datasets, "load_dataset", load)
    task = DataSet(hub="someone/pairs", config="small", split="extra")
    assert all_pairs(task) == PAIRS
    assert asked == [("someone/pairs", "small", "extra")]
    assert len(task.content_digest()) == 64

    def fail(name: str, config: str | None, *, split: str) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(BenchError, match="'someone/pairs' cannot be loaded: no network"):
        DataSet(hub="someone/pairs").report()


def test_the_digest_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write(first, PAIRS), write(second, PAIRS)
    assert DataSet(path=first).content_digest() == DataSet(path=second).content_digest()
    write(second, PAIRS[:9])
    assert DataSet(path=first).content_digest() != DataSet(path=second).content_digest()


def test_the_digest_of_a_folder_covers_its_files_and_their_names(tmp_path: Path) -> None:
    digests = set()
    for name, text in (("a", "1"), ("a", "2"), ("b", "2")):
        folder = tmp_path / f"{name}{text}"
        folder.mkdir()
        (folder / name).write_text(text)
        digests.add(DataSet(path=folder).content_digest())
    assert len(digests) == 3


# -- shapes --------------------------------------------------------------------------------------------------

SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "TRL standard": (
        {"prompt": "Sky is", "chosen": " blue.", "rejected": " red."},
        {"prompt": "Sky is", "chosen": " blue.", "rejected": " red."},
    ),
    "standard without white space at the seam": (
        {"prompt": "Sky?", "chosen": "Blue.", "rejected": " Red."},
        {"prompt": "Sky?\n", "chosen": "Blue.", "rejected": " Red."},
    ),
    "TRL conversational, explicit prompt": (
        {"prompt": [user("Sky")], "chosen": [assistant("yes")], "rejected": [assistant("no")]},
        {"prompt": [user("Sky")], "chosen": [assistant("yes")], "rejected": [assistant("no")]},
    ),
    "TRL conversational, implicit prompt": (
        {
            "chosen": [user("Sky"), assistant("b"), user("c"), assistant("d")],
            "rejected": [user("Sky"), assistant("b"), user("c"), assistant("e")],
        },
        {
            "prompt": [user("Sky"), assistant("b"), user("c")],
            "chosen": [assistant("d")],
            "rejected": [assistant("e")],
        },
    ),
    "a text prompt repeated in whole dialogues": (
        {"prompt": "Sky", "chosen": [user("Sky"), assistant("d")], "rejected": [user("Sky"), assistant("e")]},
        {"prompt": [user("Sky")], "chosen": [assistant("d")], "rejected": [assistant("e")]},
    ),
    "a text prompt with answers as messages": (
        {"prompt": "Sky", "chosen": [assistant("d")], "rejected": assistant("e")},
        {"prompt": [user("Sky")], "chosen": [assistant("d")], "rejected": [assistant("e")]},
    ),
    "HH": (
        {
            "chosen": "\n\nHuman: Sky\n\nAssistant: b\n\nHuman: c\n\nAssistant: d\n",
            "rejected": "\n\nHuman: Sky\n\nAssistant: b\n\nHuman: c\n\nAssistant: e",
        },
        {
            "prompt": "\n\nHuman: Sky\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
            "chosen": " d\n",
            "rejected": " e",
        },
    ),
    "ShareGPT": (
        {
            "conversations": [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Sky"}],
            "chosen": {"from": "gpt", "value": "yes"},
            "rejected": {"from": "gpt", "value": "no"},
        },
        {
            "prompt": [{"role": "system", "content": "Be kind."}, user("Sky")],
            "chosen": [assistant("yes")],
            "rejected": [assistant("no")],
        },
    ),
    "Alpaca": (
        {"instruction": "Sky.", "input": "1 + 1", "output": "2", "chosen": "It is 2", "rejected": "3"},
        {"prompt": "Sky.\n1 + 1\n", "chosen": "It is 2", "rejected": "3"},
    ),
    "Alpaca without input": (
        {"instruction": "Sky.", "input": "", "output": "2", "chosen": "It is 2", "rejected": "3"},
        {"prompt": "Sky.\n", "chosen": "It is 2", "rejected": "3"},
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_pairs_is_recognised(tmp_path: Path, shape: str) -> None:
    given, expected = SHAPES[shape]
    task = DataSet(path=json_file(tmp_path, with_another(given)))
    assert task.report() == {}
    assert expected in [*task.pairs("train"), *task.pairs("test")]
    assert task.has_pairs and task.has_preferences
    assert not task.has_gold and not task.has_probes


@pytest.mark.parametrize(
    ("given", "prompt", "completion"),
    [
        ({"prompt": "Sky?", "completion": " b"}, "Sky?", " b"),
        ({"prompt": [user("Sky")], "completion": [assistant("b")]}, [user("Sky")], [assistant("b")]),
        ({"messages": [user("Sky"), assistant("b")]}, [user("Sky")], [assistant("b")]),
        ({"prompt": "Sky", "messages": [user("Sky"), assistant("b")]}, [user("Sky")], [assistant("b")]),
        (
            {"conversations": [{"from": "human", "value": "Sky"}, {"from": "gpt", "value": "b"}]},
            [user("Sky")],
            [assistant("b")],
        ),
        ({"instruction": "Sky", "input": "", "output": "b"}, "Sky\n", "b"),
        ({"instruction": "Sky", "output": "b"}, "Sky\n", "b"),
    ],
)
def test_every_shape_of_demonstrations_is_recognised(
    tmp_path: Path, given: dict[str, Any], prompt: Any, completion: Any
) -> None:
    task = DataSet(path=json_file(tmp_path, with_another(given)))
    found = [*task.demonstrations(0), *task.references()]
    assert {"prompt": prompt, "completion": completion} in found
    assert not task.has_pairs and not task.has_preferences
    with pytest.raises(BenchError):
        task.pairs("train")


def test_columns_map_the_datas_own_names_and_the_rest_is_recognised(tmp_path: Path) -> None:
    rows = [{"q": f"q{i}", "context": "" if i else "c", "good": "g", "rejected": "r"} for i in range(2)]
    task = DataSet(path=json_file(tmp_path, rows), columns={"prompt": ["q", "context"], "chosen": "good"})
    assert [row["prompt"] for row in all_pairs(task)] == ["q0\nc\n", "q1\n"]
    rows = [{**row, "messages": "of the day"} for row in DEMONSTRATIONS]
    mapped = DataSet(path=json_file(tmp_path, rows), columns={"prompt": "prompt"})
    assert len(mapped.demonstrations(0)) == 8


def test_quality_grades_the_demonstrations(tmp_path: Path) -> None:
    rows = [{**row, "score": str(i)} for i, row in enumerate(DEMONSTRATIONS)]
    rows[3]["score"] = "good"
    task = DataSet(path=json_file(tmp_path, rows), columns={"quality": "score"})
    graded = {row["prompt"]: row["quality"] for row in task.demonstrations(0)}
    assert graded and all(f"Question {quality:.0f}?" == prompt for prompt, quality in graded.items())
    assert task.report() == {"quality is missing or not a number": 1}


def test_a_file_with_pairs_and_completions_uses_each_for_what_it_is(tmp_path: Path) -> None:
    task = DataSet(path=json_file(tmp_path, [{**row, "completion": " own"} for row in PAIRS]))
    assert set(task.demonstrations(0)["completion"]) == {" own"}
    assert all(row["completion"].startswith(" yes") for row in task.references())


# -- what the bench is handed --------------------------------------------------------------------------------


def test_no_prompt_is_in_both_splits_and_the_share_is_as_asked(tmp_path: Path) -> None:
    rows = [{**PAIRS[i % 10], "chosen": f" answer {i}"} for i in range(30)]
    task = DataSet(path=json_file(tmp_path, rows), heldout=0.3)
    train, test = (list(task.prompts(split)["prompt"]) for split in ("train", "test"))
    assert len(train) == 7 and len(test) == 3
    assert {*train, *test} == {row["prompt"] for row in PAIRS}
    assert len(task.pairs("train")) == 21 and len(task.pairs("test")) == len(task.references()) == 9
    assert set(task.pairs("test")["prompt"]) == set(test)
    assert len(task.demonstrations(0)) == 21


def test_the_split_depends_on_the_prompts_alone(tmp_path: Path) -> None:
    forward = DataSet(path=write(tmp_path / "a.json", PAIRS))
    backward = DataSet(path=write(tmp_path / "b.jsonl", [{**row, "chosen": " x"} for row in PAIRS[::-1]]))
    assert set(forward.prompts("test")["prompt"]) == set(backward.prompts("test")["prompt"])
    assert list(forward.demonstrations(0)) == list(forward.demonstrations(1))


def test_both_splits_hold_a_prompt_however_few_there_are(tmp_path: Path) -> None:
    for share in (0.01, 0.99):
        task = DataSet(path=json_file(tmp_path, PAIRS[:2]), heldout=share)
        assert len(task.prompts("train")) == len(task.prompts("test")) == 1
    with pytest.raises(BenchError, match="cannot be split"):
        DataSet(path=json_file(tmp_path, [PAIRS[0], PAIRS[0]])).prompts("train")


def test_the_corpus_holds_the_training_texts_and_none_of_the_test_split(tmp_path: Path) -> None:
    task = DataSet(path=json_file(tmp_path, PAIRS))
    assert task.corpus(0) == [row["prompt"] + row["chosen"] for row in task.pairs("train")]
    assert not {row["prompt"] for row in task.references()} & {t.partition("?")[0] + "?" for t in task.corpus(0)}


def test_conversations_enter_the_corpus_as_the_tiny_tokenizer_writes_them(tmp_path: Path) -> None:
    from bench.models.encoding import encode
    from bench.models.tokenizers import bpe_tokenizer

    rows = [{"messages": [user(f"a{i}"), assistant("b"), user("c & d"), assistant("e")]} for i in range(3)]
    task = DataSet(path=json_file(tmp_path, rows))
    tokenizer = bpe_tokenizer(task.corpus(0), 300)
    for text, row in zip(task.corpus(0), task.demonstrations(0), strict=True):
        prompt, completion = encode(tokenizer, row["prompt"], row["completion"])
        assert [*tokenizer(text)["input_ids"], tokenizer.eos_token_id] == prompt + completion


def test_max_rows_ends_the_reading_after_so_many_good_rows(tmp_path: Path) -> None:
    rows = [PAIRS[0], {"prompt": ""}, *PAIRS[1:], {"prompt": ""}]
    task = DataSet(path=json_file(tmp_path, rows), max_rows=4)
    assert all_pairs(task) == PAIRS[:4]
    assert sum(task.report().values()) == 1


def test_max_completion_tokens_is_a_setting_that_the_bench_can_read(tmp_path: Path) -> None:
    file = json_file(tmp_path, PAIRS)
    task: Task = DataSet(path=file)
    assert task.max_completion_tokens == 64
    assert DataSet(path=file, max_completion_tokens=7).max_completion_tokens == 7
    with pytest.raises(ValidationError):
        DataSet(path=file, max_completion_tokens=0)


def test_settings_are_the_same_before_and_after_reading(tmp_path: Path) -> None:
    task = DataSet(path=json_file(tmp_path, PAIRS))
    before = task.model_dump(mode="json")
    task.report(), task.prompts("train"), task.content_digest()
    assert task.model_dump(mode="json") == before
    assert DataSet.model_validate(before).prompts("test")["prompt"] == task.prompts("test")["prompt"]


def test_the_class_is_imported_without_heavy_libraries() -> None:
    heavy = "torch transformers datasets pandas pyarrow scipy sklearn jinja2"
    code = f"import sys, tasks.dataset; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


# -- bad rows ------------------------------------------------------------------------------------------------

HH = "\n\nHuman: a\n\nAssistant:"
BAD_ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("no prompt", {"chosen": " a", "rejected": " b"}, "prompt is missing or empty"),
    ("null prompt", {"prompt": None, "chosen": " a", "rejected": " b"}, "prompt is missing or empty"),
    ("blank chosen", {"prompt": "p", "chosen": " \n", "rejected": " b"}, "chosen is missing or empty"),
    ("no rejected", {"prompt": "p", "chosen": " a"}, "rejected is missing or empty"),
    ("equal", {"prompt": "p", "chosen": " a", "rejected": "a "}, "chosen = rejected"),
    ("half an escape", {"prompt": "p", "chosen": " \ud83d", "rejected": " b"}, "not UTF-8"),
    ("a number", {"prompt": 5, "chosen": " a", "rejected": " b"}, "prompt is no text"),
    ("numbers", {"prompt": [5], "chosen": " a", "rejected": " b"}, "prompt holds a list that is not one of messages"),
    (
        "long prompt",
        {"prompt": "p" * 31, "chosen": " a", "rejected": " b"},
        "prompt longer than 30 characters",
    ),
    (
        "long rejected",
        {"prompt": "p", "chosen": " a", "rejected": "b" * 21},
        "completion longer than 20 characters",
    ),
    (
        "a conversation among texts",
        {"prompt": [user("p")], "chosen": [assistant("a")], "rejected": [assistant("b")]},
        "text among conversations or the reverse",
    ),
    (
        "a tool's turn",
        {"prompt": [{"role": "tool", "content": "p"}], "chosen": "a", "rejected": "b"},
        "has a turn of or for a tool, which is not read",
    ),
    (
        "content that is no text",
        {"prompt": [{"role": "user", "content": None}], "chosen": "a", "rejected": "b"},
        "prompt has a message without text",
    ),
    (
        "dialogues that differ early",
        {"prompt": "p", "chosen": [user("p"), assistant("a")], "rejected": [user("q"), assistant("b")]},
        "prompts differ",
    ),
    (
        "a dialogue that ends in a question",
        {"prompt": "p", "chosen": [user("p")], "rejected": [user("q"), assistant("b")]},
        "the last turn is not the assistant's",
    ),
    ("unwanted", {"prompt": "p", "chosen": " a", "rejected": " b", "label": False}, "label is false"),
]


@pytest.mark.parametrize(("row", "reason"), [case[1:] for case in BAD_ROWS], ids=[case[0] for case in BAD_ROWS])
def test_a_bad_row_is_set_aside_and_counted_with_its_reason(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    file = json_file(tmp_path, [*PAIRS[:3], row, *PAIRS[3:]])
    task = DataSet(path=file, max_prompt_characters=30, max_completion_characters=20)
    assert task.report() == {reason: 1}
    assert task.set_aside() == {reason: [4]}
    assert all_pairs(task) == PAIRS


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        (HH + " yes", "\n\nHuman: b\n\nAssistant: no", "prompts differ"),
        (HH + " ", HH + " no", "chosen is missing or empty"),
        (HH + " yes", HH, "rejected is missing or empty"),
        (HH + " yes\n\nHuman: more", HH + " no", "the last turn is not the assistant's"),
        ("yes", "no", "no assistant's turn"),
    ],
)
def test_a_bad_dialogue_in_hh_style_is_set_aside(tmp_path: Path, chosen: str, rejected: str, reason: str) -> None:
    good = {"chosen": HH + " yes", "rejected": HH + " no"}
    task = DataSet(path=json_file(tmp_path, [good, {"chosen": chosen, "rejected": rejected}]))
    assert task.set_aside() == {reason: [2]}


def test_lines_that_are_not_utf8_or_not_json_are_set_aside_by_line_number(tmp_path: Path) -> None:
    good = [json.dumps(row).encode() for row in PAIRS[:2]]
    bad = [b'{"prompt": "\xff", "chosen": " a", "rejected": " b"}', b'{"prompt": ', b"[1]", b"[" * 100_000]
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n".join([good[0], bad[0], b"", *bad[1:], good[1]]))
    task = DataSet(path=file)
    no_object = "a list, not an object with named columns"
    assert task.set_aside() == {"not UTF-8": [2], "unparsable": [4, 6], no_object: [5]}
    assert all_pairs(task) == PAIRS[:2]


@pytest.mark.parametrize(("ending", "separator"), [("csv", b","), ("tsv", b"\t")])
def test_lines_of_a_table_that_cannot_be_read_are_set_aside_by_line_number(
    tmp_path: Path, ending: str, separator: bytes
) -> None:
    lines = [b"prompt,completion", b'"two\nlines", a', b"p\xff, b", b"too few", b'p,"a" b', b"p, c"]
    file = tmp_path / f"rows.{ending}"
    file.write_bytes(b"\n".join(lines).replace(b",", separator))
    task = DataSet(path=file)
    assert task.set_aside() == {"not UTF-8": [4], "unparsable": [5, 6]}
    assert len(task.demonstrations(0)) + len(task.references()) == 2


def test_parquet_text_that_is_not_utf8_is_set_aside(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow.parquet import write_table

    columns = [pyarrow.array([b"p", b"\xff", b"q"]).view(pyarrow.string()), pyarrow.array([" a", " b", " c"])]
    write_table(pyarrow.table(columns, names=["prompt", "completion"]), tmp_path / "rows.parquet")
    assert DataSet(path=tmp_path / "rows.parquet").set_aside() == {"not UTF-8": [2]}


def test_only_the_first_rows_of_a_reason_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    task = DataSet(path=json_file(tmp_path, [*PAIRS, *({"prompt": ""} for _ in range(25))]))
    ((reason, count),) = task.report().items()
    assert count == 25
    assert task.set_aside() == {reason: list(range(11, 21))}
    assert task.set_aside(most=2) == {reason: [11, 12]}


# -- mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "either `path` or `hub`"),
        ({"path": "a.json", "hub": "a/b"}, "either `path` or `hub`"),
        ({"path": "a.json", "config": "c"}, "goes with `hub`"),
        ({"path": "a.json", "columns": {"promt": "q"}}, "did you mean 'prompt'"),
        ({"path": "a.json", "columns": {"prompt": []}}, "mapped to no column"),
        ({"path": "a.json", "columns": {"quality": ["a", "b"]}}, "only texts can be joined"),
        ({"path": "a.json", "heldout": 1}, "less than 1"),
        ({"path": "a.json", "rows": 1}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataSet(**settings)


@pytest.mark.parametrize("wanted", ["row.json", "rows/x.json", "missing/x.json"])
def test_a_missing_file_is_named_with_the_nearest_that_exists(tmp_path: Path, wanted: str) -> None:
    json_file(tmp_path, PAIRS)
    (tmp_path / "missin").mkdir()
    near = "missin" if wanted.startswith("missing") else "rows.json"
    for act in (DataSet.report, DataSet.content_digest):
        with pytest.raises(BenchError, match=f"no such file.*{wanted}.*{near}'"):
            act(DataSet(path=tmp_path / wanted))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"body": "a", "stars": 5}], "found the columns body, stars — expected one of: prompt, chosen"),
        ([{"promt": "a", "completion": "b"}], "is 'promt' meant as 'prompt'"),
        ([{"prompt": "a", "choosen": "b", "rejected": "c"}], "is 'choosen' meant as 'chosen'"),
        ([{"prompt": "a", "chosen": "b", "completion": "c"}], "found the columns prompt, chosen, completion"),
        ([{"prompt": "a"}], "or map them with `columns`"),
    ],
)
def test_an_unknown_shape_is_told_with_the_columns_found(tmp_path: Path, rows: Any, message: str) -> None:
    file = json_file(tmp_path, rows)
    with pytest.raises(BenchError, match=message) as caught:
        DataSet(path=file).report()
    assert str(file) in str(caught.value)


def test_a_mapped_column_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"columns.prompt`: no column 'promt' — did you mean 'prompt'"):
        DataSet(path=json_file(tmp_path, PAIRS), columns={"prompt": "promt"}).report()


def test_no_good_row_left_is_an_error_with_the_counts(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "completion": ""}] * 2 + [{"prompt": "", "completion": "c"}]
    file = json_file(tmp_path, rows)
    with pytest.raises(BenchError, match=r"no good row left of 3.*completion is missing or empty: 2") as caught:
        DataSet(path=file).report()
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'[{"prompt": "p"},', "not JSON.* at line 1 column 18"),
        ("a.json", b'{"a": 1}\n{"a": 2}\n', "line 2 column 1 — one object per line"),
        ("a.json", b'{"prompt": ["p"]}', "expected a list of objects, found one dict"),
        ("a.json", b'[{"prompt": "\xff"}]', "not UTF-8 at byte 13"),
        ("a.json", b"[" * 100_000, "not JSON that can be read"),
        ("a.json", b"[]", "holds no rows"),
        ("a.json", b"[1, 2]", "not one row can be read.*row 1: a int, not an object with named columns"),
        ("a.jsonl", b"", "holds no rows"),
        ("a.jsonl", b"PK\x03\x04\xff\n", "is a zip archive: unpack it"),
        ("a.jsonl", b"[\n{},\n{}\n]", "a list, not one object per line"),
        ("a.jsonl.gz", b'{"prompt": "p"}', "not what its ending says.*[Nn]ot a gzipped file"),
        ("a.jsonl.gz", gzip.compress(b'{"prompt": "p"}' * 99, mtime=0)[:-9], "is damaged"),
        ("a.csv", b'prompt,completion\np,c\n"p,c\np,c\n', "line 3: .*quote that is never closed"),
        ("a.csv", b"\xff\xfep\x00\n", "is UTF-16: save it as UTF-8"),
        ("a.csv", b"p\xff,\n", "the header, is not UTF-8"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer.*git lfs pull"),
        ("a.json", b"\n<!DOCTYPE html><p>404", "a web page, not the file"),
        ("a.json", gzip.compress(b"[]", mtime=0), "packed by gzip: name it .gz"),
        ("a.jsonl", b"PAR1 and so on", "a Parquet file: name it .parquet"),
        ("a.csv", b"prompt,completion\n", "holds no rows"),
        ("a.tsv", b"prompt,completion\np,c\n", "found the columns prompt,completion"),
        ("a.parquet", b"PAR1 it is not", "not what its ending says"),
        ("a.txt", b"p", r"cannot read \*.txt"),
        ("a.parquet.gz", b"p", r"cannot read \*.gz"),
    ],
)
def test_a_file_that_is_not_what_its_ending_says_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(BenchError, match=message) as caught:
        DataSet(path=file).report()
    assert str(file) in str(caught.value)


def test_a_small_file_that_becomes_a_large_one_is_refused_before_it_does(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    zeros, repeated = tmp_path / "a.jsonl.gz", tmp_path / "b.parquet"
    zeros.write_bytes(gzip.compress(bytes(SMALL + 1), 1, mtime=0))
    parquet.write_table(pyarrow.table({"text": ["x" * 2**17] * 600}), repeated)
    for file in (zeros, repeated):
        assert file.stat().st_size < SMALL // LARGEST_RATIO
        with pytest.raises(BenchError, match=r"MB hold more than 67 MB: .* give the file unpacked") as caught:
            DataSet(path=file).report()
        assert str(file) in str(caught.value)


def test_what_never_ends_is_refused_and_not_waited_for() -> None:
    with pytest.raises(BenchError, match="/dev/zero: is neither a file nor a folder"):
        DataSet(path=Path("/dev/zero")).report()


def test_a_split_of_a_file_and_a_folder_of_something_else_are_refused(tmp_path: Path) -> None:
    file = json_file(tmp_path, PAIRS)
    with pytest.raises(BenchError, match="a file has no splits"):
        DataSet(path=file, split="train").report()
    with pytest.raises(BenchError, match="not a folder saved by `datasets`"):
        DataSet(path=tmp_path).report()


# -- real files ----------------------------------------------------------------------------------------------


def test_the_hh_file_is_cut_at_the_last_turn_and_its_nine_bad_rows_are_told() -> None:
    path = shared("preferences/hh-rlhf-harmless-base-test.jsonl.gz")
    task = DataSet(path=path)
    assert task.report() == {"chosen is missing or empty": 4, "prompts differ": 5}
    assert task.set_aside()["prompts differ"] == [1255, 1689, 1951, 1953, 2037]
    pairs = all_pairs(task)
    assert len(pairs) == 2312 - 9
    with gzip.open(path, "rt", encoding="utf-8") as file:
        dialogues = {(row["chosen"], row["rejected"]) for row in map(json.loads, file)}
    assert all((p["prompt"] + p["chosen"], p["prompt"] + p["rejected"]) in dialogues for p in pairs)
    assert all(p["prompt"].endswith("\n\nAssistant:") and p["chosen"].startswith(" ") for p in pairs)
    assert not set(task.prompts("train")["prompt"]) & set(task.prompts("test")["prompt"])


def test_the_instruction_file_gives_pairs_and_demonstrations() -> None:
    task = DataSet(path=shared("preferences/instruction-data-with-preference.json"))
    assert task.report() == {"chosen = rejected": 6}
    assert len(all_pairs(task)) == 1094
    assert len(task.demonstrations(0)) == len(task.pairs("train")) == len(task.corpus(0))
    assert all(prompt.endswith("\n") for prompt in task.prompts("train")["prompt"])


def test_the_sharegpt_file_gives_conversations() -> None:
    task = DataSet(path=shared("preferences/dpo_en_demo.json"))
    assert task.report() == {}
    pairs = all_pairs(task)
    assert len(pairs) == 300
    assert all(p["prompt"][-1]["role"] == "user" and p["chosen"][0]["role"] == "assistant" for p in pairs)


def test_the_alpaca_file_gives_demonstrations_alone() -> None:
    task = DataSet(path=shared("demonstrations/alpaca_en_demo.json"))
    assert len(task.demonstrations(0)) + len(task.references()) == 999
    assert not task.has_preferences


def test_the_unpaired_file_gives_its_wanted_answers() -> None:
    task = DataSet(path=shared("unpaired/kto_en_demo.json"))
    assert task.report() == {}
    assert len(task.demonstrations(0)) + len(task.references()) == 150
    assert len(task.labelled("train")) + len(task.labelled("test")) == 300
