"""The page "Your data": every schema on it, in a file of ten rows, is what its matrix says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tasks.dataset
from bench.matrix.reading import load_matrix
from bench.models.encoding import text_of
from bench.running.run import _unfit
from tasks.dataset import DataSet
from tasks.dataset.columns import COLUMNS

PAGE = (Path(tasks.dataset.__file__).with_name("README.md")).read_text(encoding="utf-8")
SCHEMAS = {title: body for title, body in re.findall(r"^## (\d+\. .*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)}
WORDS = ["rain", "snow", "hail", "fog", "wind", "sleet", "dew", "frost", "mist", "smog"]

BEFORE = {"2. ShareGPT": "Be brief.", "3. Alpaca": "Say it in one word.\n", "7. Orca pairs": "Be brief.\n"}
BEFORE |= {title: "\n\nHuman: " for title in ("4. HH", "8. Nectar")}
AFTER = {"4. HH": "\n\nAssistant:", "8. Nectar": "\n\nAssistant: ", "15. Dialogues": "Guess.Sand?"}
DEMONSTRATIONS = {"2. ShareGPT", "3. Alpaca", "10. HelpSteer", "11. KTO", "15. Dialogues"}


def block(title: str, language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", SCHEMAS[title], re.S)
    return found[0].splitlines() if found else []


def written(folder: Path, title: str) -> DataSet:
    """The task of the matrix on the page, on ten rows like those on the page."""
    header, *table = block(title, "csv") or [""]
    rows = block(title, "json") or table
    file = folder / ("rows.csv" if table else "rows.jsonl")
    lines = [row.replace("rain", word) for word in WORDS[: 10 // len(rows)] for row in rows]
    file.write_text("\n".join([header] * bool(header) + lines) + "\n")
    (folder / "matrix.yaml").write_text("\n".join(block(title, "yaml")))
    task = load_matrix(folder / "matrix.yaml").tasks[0].task
    assert isinstance(task, DataSet) and len(lines) == 10
    return task


def test_there_are_fifteen_and_each_takes_five_lines() -> None:
    assert len(SCHEMAS) == 15
    assert {len(block(title, "yaml")) for title in SCHEMAS} == {5}


def test_every_column_that_can_be_mapped_is_explained() -> None:
    table = PAGE[PAGE.index("| TRL's name") : PAGE.index("A list joins")]
    assert set(COLUMNS) <= set(re.findall(r"`(\w+)`", table))


@pytest.mark.parametrize("title", SCHEMAS)
def test_a_file_of_the_schema_is_read_as_it_means(tmp_path: Path, title: str) -> None:
    task = written(tmp_path, title)
    assert task.report() == {}
    prompts = {text_of(p).strip() for split in ("train", "test") for p in task.prompts(split)["prompt"]}
    asked = WORDS[: 10 // (len(block(title, "json")) or 1)]
    whole = [BEFORE.get(title, "") + f"What is {word}?" + AFTER.get(title, "") for word in asked]
    assert prompts == {each.strip() for each in whole}
    demonstrations = [*task.demonstrations(0)["completion"], *task.references()["completion"]]
    assert {text_of(each).strip() for each in demonstrations} == {"Water."}
    assert len(demonstrations) == len(asked)
    assert task.has_pairs == (title not in DEMONSTRATIONS)
    if task.has_pairs:
        pairs = [row for split in ("train", "test") for row in task.pairs(split)]
        assert {(text_of(row["chosen"]).strip(), text_of(row["rejected"]).strip()) for row in pairs} == {
            ("Water.", "Sand.")
        }


@pytest.mark.parametrize("title", SCHEMAS)
def test_every_arm_of_the_matrix_can_run_on_the_file(tmp_path: Path, title: str) -> None:
    written(tmp_path, title)
    cells = [cell for cell in load_matrix(tmp_path / "matrix.yaml").cells() if cell.seed == 0]
    assert [_unfit(cell) for cell in cells] == [None] * len(cells)


def test_answers_labelled_one_by_one_are_kept_on_both_sides(tmp_path: Path) -> None:
    task = written(tmp_path, "11. KTO")
    rows = [row for split in ("train", "test") for row in task.labelled(split)]
    assert {(row["completion"], row["label"]) for row in rows} == {("Water.", True), ("Sand.", False)}


def test_a_helpsteer_grade_is_the_quality(tmp_path: Path) -> None:
    assert set(written(tmp_path, "10. HelpSteer").demonstrations(0)["quality"]) == {4.0}
