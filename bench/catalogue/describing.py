"""What is known of a thing, as the text that `bench describe` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench.catalogue.entries import Entry
from bench.catalogue.settings_in_words import Setting, settings_of
from bench.contracts.validation import quoted


def describe(entry: Entry, width: int = 120) -> str:
    """An entry as text: what it is, its settings as a table, where it comes from, an example.

    Args:
        width: in characters; meanings are wrapped to it.
    """
    rows = [*settings_of(entry.settings)] if entry.settings else []
    facts = {"source": entry.source, **({"about": entry.about} if entry.about else {}), **entry.facts}
    parts = [f"{entry.name} ({entry.kind})", entry.text]
    if rows:
        parts.append(_table(rows, width))
    parts.append("\n".join(f"{name}: {value}" for name, value in facts.items()))
    if entry.example:
        parts.append(f"Example:\n\n{_indented(entry.example)}")
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Setting], width: int) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for head in ("setting", "type", "default", "bounds"):
        table.add_column(head, max_width=32 if head == "type" else 20 if head == "default" else None)
    table.add_column("meaning")
    for row in rows:
        default = "must be given" if row.default is None else quoted(json.loads(row.default)).strip("'")
        table.add_row(*map(Text, (row.name, row.type, default, row.bounds, row.meaning)))
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.rstrip().splitlines())
