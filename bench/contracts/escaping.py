"""Text of others (labels, reasons, completions, paths), as it may be written: one function for every destination.

Each shows what is there and lets it command nothing: not the terminal, not markup, not the file that it stands in.
"""

from __future__ import annotations

import html
import re
import unicodedata

from rich.text import Text

# What commands a terminal, ends a line, turns the order of letters round (U+202E shows "exe.txt" for "txt.exe"), or may
# stand in no XML and no UTF-8. Marks of direction (U+200E, U+200F) are part of how Arabic and Hebrew are written.
_COMMANDS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_MARKDOWN = re.compile(r"[\\|~$]|^\*|\*(?!\s)|&(?=#?\w+;)|<(?=[A-Za-z/!?])|(?<=\])[(\[]|(?<![^\W_])_|_(?![^\W_])")
_LATEX = {"±": "$\\pm$", "≤": "$\\le$", "↑": "$\\uparrow$", "↓": "$\\downarrow$", "→": "$\\to$", "−": "$-$"}
_LATEX |= {"·": "$\\cdot$", "√": "$\\surd$", "≈": "$\\approx$", "½": "$\\frac12$", "π": "$\\pi$"}
_LATEX |= {"\\": "\\textbackslash{}", "^": "\\^{}", "~": "\\~{}", "|": "\\textbar{}"}


def command_in(text: str) -> str | None:
    """The first character of `text` that is a command and no letter, as ``U+202E (right-to-left override)``."""
    if found := _COMMANDS.search(text):
        name = unicodedata.name(found[0], "a control character" if unicodedata.category(found[0]) == "Cc" else "")
        return f"U+{ord(found[0]):04X}" + (f" ({name.lower()})" if name else "")
    return None


def visible(text: str, one_line: bool = False) -> str:
    r"""`text` for a terminal, a log or a CSV file: what is a command is spelt out, as ``\x1b`` or ``\u202e``.

    A CSV cell that a spreadsheet takes for a formula stays as it is: other programs have to read the label itself.

    Args:
        one_line: spell out line breaks and tabs, too.
    """
    return _COMMANDS.sub(lambda c: c[0] if c[0] in "\n\t" and not one_line else _spelt(c[0]), text)


def in_rich(text: str, style: str = "") -> Text:
    """`text` for rich, which takes ``[red]`` in a plain one for markup and ``:heart:`` for a picture."""
    return Text(visible(text), style)


def in_markdown(text: str) -> str:
    """`text` for a line or a cell of Markdown, a line break as ``<br>``; code between backticks stays code."""
    return _MARKDOWN.sub(_of_markdown, visible(text)).replace("\n", "<br>")


def in_latex(text: str) -> str:
    """`text` for LaTeX; line breaks stay, which there are spaces."""
    return "".join(_LATEX.get(c, "\\" + c if c in "&%$#_{}" else c) for c in visible(text))


def in_html(text: str) -> str:
    """`text` for an element or an attribute of a page, a line break as ``<br>``."""
    return html.escape(visible(text)).replace("\n", "<br>")


def in_plot(text: str) -> str:
    """`text` for matplotlib, which takes what stands between two ``$`` for mathematics; its SVG stays XML."""
    return visible(text).replace("$", r"\$")


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _of_markdown(found: re.Match[str]) -> str:
    return {"&": "&amp;", "<": "&lt;"}.get(found[0], f"\\{found[0]}")
