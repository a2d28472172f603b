"""What a result was made with: releases of the libraries, and the commit of the bench."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from pathlib import Path

from bench.contracts.release import release
from bench.stages.graph import library_versions


@cache
def versions() -> dict[str, str]:
    """Releases of the bench and of the libraries that results depend on."""
    return {
        "alignment-bench": release(),
        "python": platform.python_version(),
        **library_versions(),
    }


@cache
def commit() -> str | None:
    """The git commit of the bench's source, with ``-dirty`` appended where it was changed; None outside a checkout."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None
    try:
        git = ["git", "-C", str(here)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + ("-dirty" if changed.strip() else "")
