"""Tables of texts as people see them: on the terminal, in Markdown, LaTeX and HTML; CSV has the plain numbers.

Markdown, LaTeX and HTML are written here and not by pandas: its `to_markdown` pads columns and escapes no `|`, its
Styler knows neither lines within a cell nor signs such as ± in LaTeX, and gives every cell of a page an id and a class.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pandas as pd
from rich.console import Console
from rich.table import Table

from bench.contracts.escaping import in_html, in_latex, in_markdown, in_rich, visible

Marks = Collection[tuple[str, str]]
"""Cells that stand out as the best, each by its row's first text and its column."""

T = TypeVar("T")


class Section(NamedTuple):
    """One table of a file: its title, the texts in it, the notes beneath it, and which cells stand out."""

    title: str
    frame: pd.DataFrame
    notes: list[str]
    marks: Marks = ()


def wide_console() -> Console:
    """The terminal; into a file or a pipe, lines of 200 characters."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def print_frame(title: str, frame: pd.DataFrame, console: Console, marks: Marks = ()) -> None:
    """Print a table of texts; columns that do not fit go into a further block, behind the first column again."""
    # as wide as the longest line of a cell or word of the header, an arrow staying with its word
    frame, marks = _visible(frame), [(visible(row), visible(name)) for row, name in marks]
    starred = pd.DataFrame(_marked(frame, marks, lambda text: text, lambda text: f"{text}*"), columns=list(frame))
    widths = {
        str(name): max(8, *map(len, [*re.split(r" (?![↑↓→0])", str(name)), *"\n".join(cells).split("\n")]))
        for name, cells in starred.items()
    }
    console.print(in_rich(title, "bold"))
    for block in _blocks(widths, console.width):
        table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
        for name in block:
            table.add_column(in_rich(name), justify="left" if name == block[0] else "right", width=widths[name])
        for row in _marked(frame[block], marks, in_rich, lambda text: in_rich(f"{text}*", "bold")):
            table.add_row(*row)
        console.print(table, highlight=False)
        console.print()


def print_sections(
    sections: Sequence[Section], console: Console | None = None, remarks: Sequence[str] = (), style: str = ""
) -> None:
    """Print each table and the notes beneath it, and remarks in their style at the end."""
    console = console or wide_console()
    for section in sections:
        print_frame(section.title, section.frame, console, section.marks)
        for line in section.notes:
            console.print(in_rich(line, "dim"))
        console.print()
    for line in remarks:
        console.print(in_rich(line, style))


def write_sections(
    directory: str | Path,
    name: str,
    sections: Sequence[Section],
    plain: Mapping[str, pd.DataFrame],
    remarks: Sequence[str] = (),
) -> list[Path]:
    """Write ``<name>.md``, ``.tex`` (booktabs) and ``.html``, and each of `plain` as ``<its name>.csv``.

    remarks: said at the end, as Markdown; in LaTeX as comments.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    parts: list[str] = []
    for title, frame, lines, marks in sections:
        notes = "\n".join(f"- {in_markdown(line)}" for line in lines)
        parts += [f"## {in_markdown(title)}", markdown(frame, marks), notes]
    tex = [latex(section) for section in sections]
    texts = {
        f"{name}.md": "\n\n".join([*parts, *remarks]) + "\n",
        f"{name}.tex": "\n".join([*tex, *(f"% {line}" for remark in remarks for line in visible(remark).split("\n"))])
        + "\n",
        f"{name}.html": html_page(name, sections, remarks),
        **{f"{each}.csv": _visible(frame).to_csv(index=False, lineterminator="\n") for each, frame in plain.items()},
    }
    for file, text in texts.items():
        (directory / file).write_text(text, encoding="utf-8")
    return [directory / file for file in texts]


def markdown(frame: pd.DataFrame, marks: Marks = ()) -> str:
    """A table of texts in Markdown; a line break within a cell stays one."""
    rule = [":---", *["---:"] * (len(frame.columns) - 1)]
    head = [in_markdown(name) for name in frame.columns]
    rows = _marked(frame, marks, in_markdown, lambda text: f"**{in_markdown(text)}**")
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def latex(section: Section) -> str:
    """A table of texts in LaTeX (booktabs), with its notes beneath it."""
    frame = section.frame
    rows = _marked(frame, section.marks, _latex_cell, lambda text: rf"\textbf{{{_latex_cell(text)}}}")
    head, *body = [" & ".join(row) + r" \\" for row in [[_latex_cell(name) for name in frame.columns], *rows]]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{in_latex(section.title)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(frame.columns) - 1)}}}",
            *(r"\toprule", head, r"\midrule", *body, r"\bottomrule"),
            r"\end{tabular}",
            *(rf"\par\footnotesize {in_latex(line)}" for line in section.notes),
            r"\end{table}",
        ]
    )


def html_table(section: Section) -> str:
    """A table of texts in HTML, its title as the caption."""
    frame = section.frame
    head = "".join(f'<th scope="col">{in_html(name)}</th>' for name in frame.columns)
    rows = _marked(frame, section.marks, in_html, lambda text: f"<strong>{in_html(text)}</strong>")
    body = [
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{text}</td>" for text in rest)}</tr>' for first, *rest in rows
    ]
    caption = f"<caption>{in_html(section.title)}</caption>"
    return "\n".join(["<table>", caption, f"<thead><tr>{head}</tr></thead>", "<tbody>", *body, "</tbody>", "</table>"])


def html_page(name: str, sections: Sequence[Section], remarks: Sequence[str] = ()) -> str:
    """A page of tables, each with its notes."""
    parts = []
    for section in sections:
        notes = "\n".join(f"<li>{in_html(line)}</li>" for line in section.notes)
        parts += [html_table(section), f"<ul>\n{notes}\n</ul>"]
    parts += [f"<p>{in_html(line)}</p>" for line in remarks]
    style = "td { text-align: right } th { text-align: left } th, td { padding: 0 0.6em; vertical-align: top }"
    head = f'<meta charset="utf-8">\n<title>{in_html(name)}</title>\n<style>{style}</style>'
    return "\n".join(["<!doctype html>", '<html lang="en">', head, *parts, "</html>"]) + "\n"


def _marked(
    frame: pd.DataFrame, marks: Marks, plain: Callable[[str], T], best: Callable[[str], T]
) -> Iterator[list[T]]:
    """The rows of a table, each text made by `best` where it is marked and by `plain` elsewhere."""
    names = [str(name) for name in frame.columns]
    for row in frame.to_numpy().tolist():
        yield [(best if (row[0], name) in marks else plain)(text) for name, text in zip(names, row, strict=True)]


def _blocks(widths: dict[str, int], width: int) -> Iterator[list[str]]:
    """Columns in as few blocks as fit into `width`, each with the first one in front."""
    head = next(iter(widths))
    block, used = [head], widths[head]
    for name in list(widths)[1:]:
        if used + widths[name] + 2 > width and len(block) > 1:
            yield block
            block, used = [head], widths[head]
        block.append(name)
        used += widths[name] + 2
    yield block


def _latex_cell(text: str) -> str:
    lines = [in_latex(line) for line in text.split("\n")]
    if len(lines) > 1:
        return r"\shortstack[r]{" + r" \\{} ".join(lines) + "}"
    # behind the end of a row, LaTeX would take these for the row's height or its star
    return f"{{}}{lines[0]}" if text.startswith(("[", "*")) else lines[0]


def _visible(frame: pd.DataFrame) -> pd.DataFrame:
    def shown(value: Any) -> Any:
        return visible(value) if isinstance(value, str) else value

    return frame.map(shown).rename(columns=shown)
