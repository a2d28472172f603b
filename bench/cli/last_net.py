"""What is left of a command that cannot go on: one line, and for an error of ours a log with all that is behind it."""

from __future__ import annotations

import codecs
import platform
import sys
import tempfile
import time
import traceback
from pathlib import Path

from bench.contracts.errors import BenchError, shown
from bench.contracts.escaping import visible
from bench.contracts.release import release

_PLAIN = {
    **dict.fromkeys("−–—‐‑·", "-"), **dict.fromkeys("‘’", "'"), **dict.fromkeys("“”", '"'),
    "±": "+-", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "↑": "^", "↓": "v", "→": "->", "←": "<-", "…": "...",
    "½": "1/2", "×": "x", "π": "pi", "β": "beta", "‖": "||", "⁰": "0", "▏": "|", "█": "#",
}  # fmt: skip


def plain_letters() -> None:
    """Have output use plain letters where the terminal's encoding has no others."""
    codecs.register_error("plain_letters", _in_plain_letters)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plain_letters")


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


def in_one_line(error: Exception) -> tuple[str, int]:
    """What to say of an error that ends a command, and the exit status."""
    if isinstance(error, BenchError):
        return visible(shown(str(error), 1000), one_line=True), 2
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{visible(shown(str(error.filename)), one_line=True)}: " if error.filename else ""
        return f"{where}{error.strerror}", 1
    text = visible(shown(" ".join(f"{type(error).__name__}: {error}".split()), 300))
    return f"an error that should not be ({text}); please report it with {_log(error)}", 1


def _log(error: Exception) -> Path:
    """The file with the traceback, the command and the releases."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="bench-error-", suffix=".log", encoding="utf-8", errors="replace", delete=False
    ) as file:
        print(time.strftime("%Y-%m-%d %H:%M:%S"), *sys.argv, file=file)
        print(f"alignment-bench {release()}, Python {platform.python_version()}", file=file)
        print(platform.platform(), file=file)
        traceback.print_exception(error, file=file)
    return Path(file.name)
