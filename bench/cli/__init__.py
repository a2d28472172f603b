"""The command line, `bench …`: one file per kind of command, each a few calls to the rooms below.

Every command imports what it needs when it is called, so that help is quick; nothing is computed or laid out here.
"""

from __future__ import annotations

import sys

# each adds its commands to the application, which help shows in this order
from bench.cli import running, analysing, storing, authoring  # isort: skip
from bench.cli.app import app
from bench.cli.last_net import in_one_line, plain_letters

__all__ = ["analysing", "app", "authoring", "main", "running", "storing"]


def main() -> None:
    """Entry point: whatever goes wrong becomes one message. Exit status 2 for a mistake, 1 for what cannot be done."""
    plain_letters()
    try:
        app()
    except Exception as error:
        message, status = in_one_line(error)
        print(f"bench: {message}", file=sys.stderr)
        sys.exit(status)
