"""Commands that look after what is on disk: `store` and `verify`."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated

import typer

from bench.cli.app import RunArgument, StoreFolder, app, short
from bench.contracts.escaping import visible


@app.command()
def store(
    verify: Annotated[bool, typer.Option("--verify", help="Hold every artifact to its checksums.")] = False,
    store: StoreFolder = None,
) -> None:
    """Say what the store holds, by kind; with --verify, which artifacts are damaged.

    A damaged artifact is made again by the next run that needs it. Exit status: 1 where --verify found one.
    """
    from bench.running.run import store_at

    place = store_at(store)
    sizes: dict[str, list[int]] = defaultdict(list)
    damaged = []
    for kind, key in place.artifacts():
        sizes[kind].append(sum(file.stat().st_size for file in place.path(kind, key).rglob("*") if file.is_file()))
        if verify and (damage := place.damage(kind, key)):
            damaged.append(f"{place.path(kind, key)}: {damage}")
    for kind, of_kind in sorted(sizes.items()):
        print(f"{kind:<14}{len(of_kind):>7,}  {sum(of_kind) / 1e6:>10,.1f} MB")
    count = sum(map(len, sizes.values()))
    print(f"{count:,} artifacts in {short(place.root)}")
    for line in damaged:
        print(visible(f"damaged: {line}"))
    if verify:
        print(f"verified: {count - len(damaged):,} whole, {len(damaged):,} damaged")
    if damaged:
        raise typer.Exit(1)


@app.command()
def verify(run: RunArgument) -> None:
    """Hold every file of a run to its checksum.

    What is damaged is left out of every table, and the same `bench run` makes it again. Exit status: 1 where something
    is damaged.
    """
    from bench.records.verifying import verify as verify_run

    cells, faults = verify_run(run)
    for line in faults:
        print(visible(f"damaged: {line}"))
    without = f", {cells.unverified:,} of them without checksums" if cells.unverified else ""
    print(f"verified: {len(cells.records):,} cells whole{without}, {len(cells.damaged):,} damaged in {short(run)}")
    if faults:
        raise typer.Exit(1)
