"""The command line, `bench …`: one file per kind of command, each a few calls to the rooms below.

Every command imports what it needs when it is called, so that help is quick; nothing is computed or laid out here.
"""

from __future__ import annotations

import sys

# each adds its commands to the application, which help shows in this order
from bench.cli import running, analysing, storing, authoring  # isort: skip
from bench.cli.app import app
from bench.contracts.errors import BenchError

__all__ = ["analysing", "app", "authoring", "main", "running", "storing"]


def main() -> None:
    """Entry point: mistakes become one message and exit status 2."""
    try:
        app()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
