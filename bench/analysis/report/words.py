"""Lists and numbers as English has them."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.loading import RunFrames


def listed(parts: Sequence[str], most: int | None = None) -> str:
    """``a``, ``a and b``, ``a, b and c``; beyond `most` the rest is counted: ``a, b and 3 more``."""
    if most is not None and len(parts) > most:
        parts = [*parts[:most], f"{len(parts) - most} more"]
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def counted(count: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``, ``no seeds``."""
    return f"{count:,} {noun}{'s' * (count != 1)}" if count else f"no {noun}s"


def labels(run: RunFrames) -> dict[tuple[str, str], str]:
    """What each task and model is called: by its task alone where the run has one model."""
    pairs = [(task, model) for task, model, _ in run.groups()]
    several = len({model for _, model in pairs}) > 1
    return {(task, model): f"{task} · {model}" if several else task for task, model in pairs}


def be(count: int) -> str:
    """``is`` of one, ``are`` of others."""
    return "is" if count == 1 else "are"
