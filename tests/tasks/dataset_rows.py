"""Rows for the tests of the `dataset` task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def json_file(folder: Path, rows: list[Any]) -> Path:
    file = folder / "rows.json"
    file.write_text(json.dumps(rows), encoding="utf-8")
    return file


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def with_another(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Two rows, since one cannot be split: the second has Sun in the prompt where the first has Sky."""
    return [row, json.loads(json.dumps(row).replace("Sky", "Sun"))]
