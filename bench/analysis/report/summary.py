"""What a run says, in sentences made from its claims' verdicts and its records."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from bench.analysis.report.words import be, counted, labels, listed
from bench.analysis.statistics import mean_interval, paired_difference
from bench.analysis.tables.main_table_notes import state_notes
from bench.analysis.tables.paired_cells import by_seed
from bench.records.loading import RunFrames

VERDICTS = ("contradicted", "nil effect", "reproduced", "inconclusive", "not testable here", "not run")
"""In the order in which a reader wants to hear of them."""
NAMED = 6


class Point(NamedTuple):
    """A sentence or two, and a list beneath them."""

    text: str
    items: list[str] = []


def summarise_in_words(run: RunFrames, verdicts: pd.DataFrame | None = None) -> list[Point]:
    """Contradicted claims first, then what each task says, then what is missing."""
    return [*_of_claims(verdicts), *_of_tasks(run), *_of_cells(run)]


def target_reward(cells: pd.DataFrame) -> tuple[str, str] | None:
    """The column that says what is really wanted, and its name: gold where known, else the judge."""
    for column, name in (("gold", "gold reward"), ("judge", "judge's score")):
        if column in cells and cells[column].notna().any():
            return column, name
    return None


def _of_claims(verdicts: pd.DataFrame | None) -> Iterator[Point]:
    if verdicts is None or verdicts.empty:
        yield Point("This run was not made to test claims.")
        return
    count, total = Counter(verdicts["verdict"]), len(verdicts)
    parts = [_verdict(count[name], name) for name in VERDICTS if count[name]]
    if len(parts) > 1:
        yield Point(f"Of {total} claims, {listed(parts)}.")
    else:
        subject = {1: "The only claim", 2: "Both claims"}.get(total, f"All {total} claims")
        yield Point(f"{subject} {parts[0].split(' ', 1)[1]}.")
    wrong = verdicts[verdicts["verdict"] == "contradicted"]
    if len(wrong):
        items = [
            f"Claim {row['id']} ({row['source']}): {_sentence(row['says'])} "
            f"Found: {_sentence('; '.join((row['effect'] or 'nothing').splitlines()))}"
            for row in wrong.to_dict("records")
        ]
        yield Point(f"The contradicted claim{'s' * (len(wrong) > 1)}:", items)
    elif count["reproduced"] or count["inconclusive"]:
        yield Point("No claim is contradicted.")


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}."


def _verdict(count: int, name: str) -> str:
    verb = ("was" if count == 1 else "were") if name == "not run" else be(count)
    return f"{count} {verb} {name}"


def _of_tasks(run: RunFrames) -> Iterator[Point]:
    names = labels(run)
    items = [_best(names[task, model], cells) for task, model, cells in run.groups()]
    if items:
        yield Point(
            "Which arm is best, and at what price (held against the others by differences paired by seed, 95 %):", items
        )
    hacked = [each for task, model, cells in run.groups() if (each := _hacked(names[task, model], cells))]
    if hacked:
        yield Point(
            "Reward hacking, the proxy above π0's and what is really wanted below π0's (95 % over seeds):", hacked
        )


def _best(where: str, cells: pd.DataFrame) -> str:
    ok = cells[cells["status"] == "ok"]
    if ok.empty:
        return f"{where}: no cell has ended well yet."
    target = target_reward(ok)
    if target is None:
        return f"{where}: neither a gold reward nor a judge says what is really wanted."
    column, name = target
    arms = {str(arm): each for arm, each in ok.groupby("arm", sort=False) if each[column].notna().any()}
    best = max(arms, key=lambda arm: arms[arm][column].mean())
    own = arms[best]
    score = mean_interval(own[column]).text(len(own))
    head = f"has the highest {name}" if len(arms) > 1 else f"is the only arm with a {name}"
    unknown = "" if column == "gold" else " No gold reward is known for this task."
    return f"{where}: {best} {head}, {score}{_price(own)}. {_rivals(arms, best, column)}{unknown}"


def _price(own: pd.DataFrame) -> str:
    """``, at a KL of 4.5 ± 0.6 nats and 34 seconds a cell``, as far as they are known."""
    kl, bound, seconds = (
        mean_interval(own[name]).text(len(own)) if name in own and own[name].notna().any() else ""
        for name in ("kl", "kl_bound", "cost_seconds")
    )
    parts = [
        f"a KL of {kl} nats" if kl else f"a KL of at most {bound} nats" if bound else "an unknown KL",
        *([f"{seconds} seconds a cell"] if seconds else []),
    ]
    return f", at {listed(parts)}"


def _rivals(arms: dict[str, pd.DataFrame], best: str, column: str) -> str:
    """Which other arms' differences to the best one, paired by seed, have intervals that include zero."""
    if len(arms) == 1:
        return "There is no other arm to hold it against."
    first = by_seed(arms[best], column)
    lows = {
        arm: paired_difference(first, by_seed(each, column)).difference.low for arm, each in arms.items() if arm != best
    }
    close = [arm for arm, low in lows.items() if math.isfinite(low) and low <= 0]
    unsure = [arm for arm, low in lows.items() if not math.isfinite(low)]
    if len(unsure) == len(lows):
        return "No two seeds to compare on: the lead may be chance."
    sentence = (
        f"It cannot be told from {listed(close, NAMED)}" if close else "Its lead over every other arm is clear of zero"
    )
    rest = f"; too few seeds to tell for {listed(unsure, NAMED)}" if unsure else ""
    return f"{sentence}{rest}."


def _hacked(where: str, cells: pd.DataFrame) -> str:
    ok = cells[cells["status"] == "ok"]
    target = target_reward(ok)
    if target is None:
        return ""
    needed = {"proxy": "reference_proxy", target[0]: f"reference_{target[0]}"}
    if not set(needed.values()) <= set(ok):
        return ""
    arms = []
    for arm, own in ok.groupby("arm", sort=False):
        up, down = (mean_interval(own[name].astype(float) - own[base].astype(float)) for name, base in needed.items())
        if up.low > 0 > down.high:  # one seed has no interval, and is not enough to say so
            arms.append(str(arm))
    return f"{where}: {listed(arms, NAMED)}." if arms else ""


def _of_cells(run: RunFrames) -> Iterator[Point]:
    total, count = len(run.records), Counter(run.records["status"])
    for line in state_notes(run):
        yield Point(line)
    if not total:
        yield Point("No cell has a record yet.")
        return
    if count["ok"] == total:
        with_record = " that have a record" if run.pending or run.damaged else ""
        yield Point(f"All {total:,} cells{with_record} ended well." if total > 1 else "The only cell ended well.")
        return
    forms = {"failed": ("failed", "failed"), "diverged": ("diverged", "diverged")}
    parts = []
    for status, n in sorted(count.items()):
        one, many = forms.get(status, (f"was {status}", f"were {status}"))
        if status != "ok":
            parts.append(f"{n:,} {one if n == 1 else many}")
    bad = run.records[run.records["status"] != "ok"]
    yield Point(f"Of {counted(total, 'cell')} with a record, {listed(parts)}:", list(_troubles(bad)))


def _troubles(bad: pd.DataFrame) -> Iterator[str]:
    """One line per arm, status and reason, the commonest first."""
    reason = bad["reason"].fillna("no reason recorded").astype(str).str.strip().str.split("\n").str[0].str[:160]
    keys = [bad["arm"], bad["status"], reason]
    groups = sorted(bad.groupby(keys, sort=False), key=lambda each: -len(each[1]))
    for (arm, status, why), rows in groups[:NAMED]:
        steps = rows["step"].dropna()
        where = f" at step {int(steps.iloc[0])}" if len(rows) == 1 and len(steps) else ""
        tasks, seeds = list(dict.fromkeys(rows["task"])), [str(seed) for seed in sorted(rows["seed"])]
        which = (
            f"seed{'s' * (len(seeds) > 1)} {listed(seeds, NAMED)}" if len(tasks) == 1 else counted(len(rows), "cell")
        )
        yield f"{arm} on {listed(tasks, NAMED)}, {which}: {status}{where}: {why}"
    if len(groups) > NAMED:
        left = sum(len(rows) for _, rows in groups[NAMED:])
        yield f"and {counted(left, 'further cell')}, for which see the notes beneath the results."
