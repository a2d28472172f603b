"""A small finished run: its matrix, claims, judge's answers, store, and the same packed; and all figures in it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.commands import Outcome, ask, bench
from tests.faults.trial import Found

MATRIX = """\
name: small
tasks: strings
models: {t: {model: tiny, steps: 20, width: 16, layers: 1, heads: 2, context: 32}}
methods: {METHODS}
seeds: 2
stages: {sft: {epochs: 0.3}, preferences: {pairs: 32, heldout: 16}, reward_model: {epochs: 1}}
evaluation: {prompts: 8, samples: 2, references: 8, curve_points: 1, curve_prompts: 2}
"""
CLAIMS = """\
- {id: 1, says: DPO pays., source: this test, task: strings,
   tests: [{test: difference, measure: gold, arms: [dpo, sft], expect: above}]}
"""

Figures = dict[str, str]
"""All that tables, plots and verdicts are made of, by what it is of: a frame and a cell, a pair of arms, a claim."""


@dataclass
class World:
    """A finished run, and what is in it.

    Attributes:
        folder: has the matrix, its claims, the folders `run`, `packed` and `store`.
        seeds: of the matrix's two, how many were run.
        figures: of the run and of the packed run, by the name of the folder.
        tables: the text of each table that `bench table` writes of them, likewise.
    """

    folder: Path
    seeds: int
    figures: dict[str, Figures] = field(default_factory=dict)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """A store that has everything."""
        return self.folder / "store"

    def only(self) -> list[str]:
        """Options of `bench run` that leave the cells which are in the run."""
        return ["--only", "seed=0"] if self.seeds == 1 else []

    def run(self, work: Path, out: str = "run", store: Path | None = None, *more: str, **how: object) -> Outcome:
        """The command that made the run, once more; what is there is not made again."""
        command = ("run", self.folder / "small.yaml", "--out", out, "--store", store or self.store, *self.only(), *more)
        return bench(work, *command, **how)

    def copy(self, work: Path, name: str = "run") -> Path:
        """A copy of the run (or of the packed one) in `work`, under the name `run`."""
        return Path(shutil.copytree(self.folder / name, work / "run", symlinks=True))

    def cells(self) -> list[str]:
        """Ids of its cells."""
        return sorted(path.name for path in (self.folder / "run" / "cells").iterdir())


def make_world(folder: Path, seeds: int) -> World:
    """Run the small matrix in `folder`; have it judged and packed."""
    world = World(folder, seeds)
    folder.mkdir(parents=True)
    matrix = MATRIX.replace("{METHODS}", "[sft, dpo]")
    (folder / "small.yaml").write_text(matrix + "claims: claims.yaml\n", encoding="utf-8")
    (folder / "fewer.yaml").write_text(MATRIX.replace("{METHODS}", "[sft]"), encoding="utf-8")
    (folder / "claims.yaml").write_text(CLAIMS, encoding="utf-8")
    _must(world.run(folder))
    _must(bench(folder, "judge", "run", "--judge", "gold", "--store", "store"))
    shutil.copytree(folder / "run", folder / "packed")
    _must(bench(folder, "pack", "packed"))
    for name in ("run", "packed"):
        _must(bench(folder, "table", name))
        world.tables[name] = tables(folder / name)
        outcome, world.figures[name] = figures(folder / name)
        _must(outcome)
        for written in ("tables", "logs", ".lock"):
            shutil.rmtree(folder / name / written, ignore_errors=True)
    return world


def _must(outcome: Outcome) -> None:
    if outcome.code:
        raise SystemExit(f"the run that faults are tried on cannot be made:\nstatus {outcome.code}\n{outcome.text}")


def tables(run: Path) -> dict[str, str]:
    """The CSV files that `bench table` wrote beside a run, by name."""
    return {file.name: file.read_text(encoding="utf-8") for file in sorted((run / "tables").glob("*.csv"))}


def figures(run: Path) -> tuple[Outcome, Figures]:
    """What can be read of a run; nothing where it is refused."""

    def read() -> str:
        from bench.contracts.errors import BenchError

        try:
            return json.dumps(_figures(run))
        except BenchError as error:
            print(f"bench: {error}")
            return "{}"

    outcome, answer = ask(read, run.parent)
    return outcome, json.loads(answer or "{}")


def _figures(directory: Path) -> Figures:
    from bench.analysis.winrates.pairs import judged_pairs
    from bench.records.claims import frozen
    from bench.records.loading import load_run

    run, found = load_run(directory), {}
    for name in ("records", "completions", "curves", "training", "reliability"):
        for cell, rows in getattr(run, name).groupby("cell"):
            own = rows.drop(columns="index").sort_index(axis="columns")
            costs = [column for column in own if str(column).startswith("cost_")]
            found[f"{name} of {cell}"] = own.drop(columns=costs).to_json(orient="records", double_precision=15)
            if costs:
                found[f"costs of {cell}"] = own[costs].to_json(orient="records", double_precision=15)
    pairs = judged_pairs(run)
    if pairs is not None:
        for key, rows in pairs.rows.groupby(["first", "second", "seed"]):
            found[f"{pairs.judge} on {key}"] = rows.to_json(orient="records", double_precision=15)
    for entry in frozen(directory):
        found[f"claim {entry['claim']['id']}"] = json.dumps(entry["claim"], sort_keys=True)
    return found


def is_whole(
    world: World, run: Path, original: str = "run", costs: bool = True, judged: bool = True, only: str = ""
) -> bool:
    """Does the run hold, for each thing, what the intact one holds, as it was or as it was packed?

    Args:
        costs: hold the seconds and megabytes to it too: those of stages that ran again are others.
        judged: was a judge asked? Without one, the scores that are stored compare the arms.
        only: hold things to it whose name has this text, and claims.
    """

    def compared(name: str) -> bool:
        if name.startswith("claim"):
            return True
        return only in name and (costs or not name.startswith("costs of")) and (judged or " on (" not in name)

    _, now = figures(run)
    before, packed = world.figures["run"], world.figures[original]
    names = [name for name in dict.fromkeys([*now, *packed]) if compared(name)]
    unlike = [name for name in names if name not in now or now[name] not in (before.get(name), packed.get(name))]
    if unlike:
        (run.parent.parent / "unlike").write_text(
            "".join(f"{name}\n  is  {now.get(name)}\n  was {packed.get(name)}\n" for name in unlike), encoding="utf-8"
        )
    return not unlike


def examine(world: World, run: Path, original: str, table: Outcome, names: list[str]) -> Found:
    """What `bench table` (its outcome is `table`) made of a damaged run.

    Args:
        original: the folder of the intact run in the world.
        names: words of which a line that notices the damage has one.
    """
    before = world.figures[original]
    reading, now = figures(run)
    text = table.text + reading.text
    word = any(name in text for name in names)
    wrong = sorted(name for name in now if before.get(name, now[name]) != now[name])
    missing = before.keys() - now.keys()
    shown, written = world.tables[original], tables(run)
    changed = table.code == 0 and any(written.get(name) != text for name, text in shown.items())
    silent = bool(wrong) or (bool(missing or changed) and not word)
    note = f"\nwrong: {wrong}; missing: {sorted(missing)}; tables changed: {changed}" if silent else ""
    return Found(word, silent, table.traceback or reading.traceback, said=text + note)
