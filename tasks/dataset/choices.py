"""Multiple-choice questions from files, as probes.

- `.jsonl` (or `.jsonl.gz`): `query`, `choices` (a list of texts), `gold` (the place of the right one, from 0);
- `.csv` (or `.csv.gz`), as MMLU's: the question, its choices, the answer as a letter from A or a number from 0. A first
  line that ends in the word *answer* is a header, else it is a question like the others.

**How a question is put to a model.** Choices are continuations, each after a space, and what is asked is the
probability of their own words, not of letters. Where the query is a question (it begins with ``Question:``, or ends in
``?``, ``!`` or a full stop), a new line with ``Answer:`` stands between; a sentence left open is simply gone on with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.contracts.errors import BenchError
from bench.contracts.task import Probe
from tasks.dataset.reading import BadRow, is_utf8, read, read_lines

ENDINGS = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz")


def read_choices(path: Path) -> tuple[list[Probe], dict[str, list[int]]]:
    """The questions of a file, or of all files in a folder and its folders; and the numbers of bad lines, by reason.

    In an order without pattern, which depends on the questions alone: any first part of them is a sample of all.

    Raises:
        BenchError: no such file, nothing to read in the folder, unreadable, or no good question left.
    """
    files = sorted(f for f in path.rglob("*") if f.name.lower().endswith(ENDINGS)) if path.is_dir() else [path]
    if not files:
        raise BenchError(f"{path}: no file of questions in this folder: {', '.join(ENDINGS)}")
    probes: list[Probe] = []
    bad: dict[str, list[int]] = {}
    for file in files:
        where = f" in {file.relative_to(path).as_posix()}" if path.is_dir() else ""
        for number, question in _questions(file):
            if isinstance(question, Probe):
                probes.append(question)
            else:
                bad.setdefault(f"questions{where}: {question}", []).append(number)
    if not probes:
        raise BenchError(f"{path}: no good question left ({', '.join(f'{why}: {len(n)}' for why, n in bad.items())})")
    return sorted(probes, key=lambda probe: hashlib.sha256(repr(probe).encode()).digest()), bad


def _questions(path: Path) -> Iterator[tuple[int, Probe | BadRow]]:
    rows: list[tuple[int, Any]]
    if path.name.lower().endswith((".csv", ".csv.gz")):
        rows = [(n, fields) for n, fields in read_lines(path) if n > 1 or not _is_header(fields)]
    else:
        rows = list(read(path, None))
    for number, row in rows:
        try:
            if isinstance(row, BadRow):
                raise row
            yield number, _probe(*(_from_fields(row) if isinstance(row, list) else _from_object(row)))
        except BadRow as reason:
            yield number, reason


def _is_header(fields: list[str] | BadRow) -> bool:
    return isinstance(fields, list) and fields[-1].strip().lower() == "answer"


def _from_fields(fields: list[str]) -> tuple[str, list[str], int]:
    """A line of MMLU's: question, choices, answer."""
    answer = fields[-1].strip()
    if len(answer) == 1 and "A" <= answer <= "Z":
        return fields[0], fields[1:-1], ord(answer) - ord("A")
    return fields[0], fields[1:-1], int(answer) if answer.isascii() and answer.isdigit() else -1


def _from_object(row: dict[str, Any]) -> tuple[Any, Any, Any]:
    if missing := {"query", "choices", "gold"} - row.keys():
        raise BadRow(f"no {', '.join(sorted(missing))}")
    return row["query"], row["choices"], row["gold"]


def _probe(query: Any, choices: Any, answer: Any) -> Probe:
    if not isinstance(query, str) or not query.strip():
        raise BadRow("query is missing or empty")
    if not isinstance(choices, list) or not all(isinstance(c, str) and c.strip() for c in choices):
        raise BadRow("a choice is missing or empty")
    texts = [choice.strip() for choice in choices]
    if len(texts) < 2 or len(set(texts)) < len(texts):
        raise BadRow("fewer than two choices, or two alike")
    if not is_utf8("".join([query, *texts])):
        raise BadRow("not UTF-8")
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(texts):
        raise BadRow("answer is none of the choices")
    return Probe(_asked(query), tuple(f" {text}" for text in texts), answer)


def _asked(query: str) -> str:
    query = query.rstrip()
    return f"{query}\nAnswer:" if query.startswith("Question:") or query.endswith(("?", "!", ".")) else query
