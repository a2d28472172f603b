"""Questions are read from both kinds of file, every bad one is accounted for, and what is right stays right."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bench.contracts.errors import BenchError
from tasks.dataset import DataSet
from tasks.dataset.choices import read_choices

MMLU = ["What is water?,stone,liquid,gas,wood,{}", '"Snow, when cold, is",white,black,red,blue,{}']
WATER = ("What is water?\nAnswer:", " liquid")
SNOW = ("Snow, when cold, is", " white")


def shared(name: str) -> Path:
    """Real questions; the test is skipped where the folder of real data is absent."""
    data = Path(os.environ.get("BENCH_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (data / name).exists():
        pytest.skip(f"no {name} in {data}: set BENCH_DATA to the folder of real data")
    return data / name


def right_answers(path: Path) -> set[tuple[str, str]]:
    """Queries with the choice that is right."""
    return {(probe.query, probe.choices[probe.answer]) for probe in read_choices(path)[0]}


def jsonl(folder: Path, rows: list[Any]) -> Path:
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize("answers", ["BA", "10"])
@pytest.mark.parametrize("header", ["", "question,choice0,choice1,choice2,choice3,answer\n"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_mmlu_is_read_with_and_without_header_with_letters_and_numbers(
    tmp_path: Path, answers: str, header: str, ending: str
) -> None:
    text = header + "".join(line.format(answer) + "\n" for line, answer in zip(MMLU, answers, strict=True))
    file = tmp_path / f"astronomy_test.{ending}"
    file.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    assert right_answers(file) == {WATER, SNOW}
    assert read_choices(file)[1] == {}


def test_jsonl_gives_the_query_a_line_for_the_answer_only_where_it_asks(tmp_path: Path) -> None:
    rows = [
        {"query": "What is water?", "choices": ["stone ", " liquid"], "gold": 1},
        {"query": "Snow, when cold, is ", "choices": ["white", "black", "red"], "gold": 0},
        {"query": "Question: Name a gas", "choices": ["air", "iron"], "gold": 0},
    ]
    assert right_answers(jsonl(tmp_path, rows)) == {WATER, SNOW, ("Question: Name a gas\nAnswer:", " air")}


BAD = [
    ({"query": " ", "choices": ["a", "b"], "gold": 0}, "query is missing or empty"),
    ({"query": "q", "choices": ["a", ""], "gold": 0}, "a choice is missing or empty"),
    ({"query": "q", "choices": "ab", "gold": 0}, "a choice is missing or empty"),
    ({"query": "q", "choices": ["a"], "gold": 0}, "fewer than two choices, or two alike"),
    ({"query": "q", "choices": ["a", "a "], "gold": 0}, "fewer than two choices, or two alike"),
    ({"query": "q", "choices": ["a", "b"], "gold": 2}, "answer is none of the choices"),
    ({"query": "q", "choices": ["a", "b"], "gold": -1}, "answer is none of the choices"),
    ({"query": "q", "choices": ["a", "b"], "gold": True}, "answer is none of the choices"),
    ({"query": "q", "choices": ["a", "b"]}, "no gold"),
    ({"query": "q", "choices": ["a", "\ud83d"], "gold": 0}, "not UTF-8"),
]


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_a_bad_question_is_set_aside_with_its_reason(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    good = {"query": "q", "choices": ["a", "b"], "gold": 1}
    probes, bad = read_choices(jsonl(tmp_path, [good, row, good]))
    assert len(probes) == 2
    assert bad == {f"questions: {reason}": [2]}


def test_a_bad_line_of_csv_is_set_aside_and_told_by_file_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    file = tmp_path / "one" / "a.csv"
    file.write_bytes(b"q?,yes,no,E\nq?,yes,no,4\nq?,yes,no,\nr?,y\xe9s,no,A\nq?,yes,no,A\n")
    probes, bad = read_choices(tmp_path)
    assert len(probes) == 1
    where = "questions in one/a.csv: "
    assert bad == {f"{where}answer is none of the choices": [1, 2, 3], f"{where}not UTF-8": [4]}


def test_mistakes_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match=r"no file of questions in this folder: \.jsonl"):
        read_choices(tmp_path / "empty")
    with pytest.raises(BenchError, match="no such file or folder"):
        read_choices(tmp_path / "none.csv")
    with pytest.raises(BenchError, match="no good question left"):
        read_choices(jsonl(tmp_path, [{"query": "q", "choices": ["a"], "gold": 0}]))


def test_a_data_set_has_probes_where_it_is_given_choices(tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([{"prompt": f"{i}?", "completion": " yes"} for i in range(4)]))
    questions = jsonl(tmp_path, [{"query": "q?", "choices": ["a", "b"], "gold": 1}, {"query": "q?"}])
    plain, task = DataSet(path=rows), DataSet(path=rows, choices=questions)
    assert not plain.has_probes and task.has_probes
    with pytest.raises(BenchError):
        plain.probes()
    assert [probe.answer for probe in task.probes()] == [1]
    assert task.report() == {"questions: no choices, gold": 1}
    digest = task.content_digest()
    assert digest != plain.content_digest()
    jsonl(tmp_path, [{"query": "q?", "choices": ["a", "b"], "gold": 0}])
    assert DataSet(path=rows, choices=questions).content_digest() != digest


def test_the_real_files_are_read_whole() -> None:
    counts = {"mmlu/test": (4008, 0), "arc_easy.jsonl": (2369, 7), "arc_challenge.jsonl": (1168, 4)}
    for name, (good, bad) in (counts | {"openbook_qa.jsonl": (500, 0)}).items():
        probes, aside = read_choices(shared(f"choices/{name}"))
        assert (len(probes), sum(map(len, aside.values()))) == (good, bad)
    # any first part of a folder's questions is a sample of all its files
    first = read_choices(shared("choices/mmlu/test"))[0][:200]
    law = sum(len(probe.query) > 500 for probe in first)
    assert 40 < law < 110
