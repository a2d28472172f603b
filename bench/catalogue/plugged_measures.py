"""The measures that plug-ins add to those of the bench.

Apart from `bench.catalogue.plugins`, on which every stage's key rests: a new row in the registry of measures must not
train anything again.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

from bench.catalogue import plugins
from bench.contracts.errors import BenchError
from bench.contracts.measure import Measure
from bench.measures.registry import MEASURES


def plugged_measures(files: Iterable[Path] = ()) -> dict[str, type[Measure]]:
    """Every measure by name that is not built in, as `plugins.measures` finds them.

    Raises:
        BenchError: one has the name of a built-in measure, or two have one name; both origins are named.
    """
    found = plugins.measures(files)
    for name in found.keys() & MEASURES.keys():
        builtin, plugged = f"bench.measures.{MEASURES[name].function}", inspect.getfile(found[name])
        raise BenchError(f"two measures are called {name!r}: in {builtin} and {plugged}")
    return found
