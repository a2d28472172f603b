"""The claims table: verdict, effect, what stands behind it; on the terminal, in Markdown, CSV and LaTeX."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

import pandas as pd
from rich.console import Console

from bench.analysis.claims.adjusting import LEVEL, adjusted
from bench.analysis.claims.derived import DERIVED
from bench.analysis.claims.kinds import KINDS
from bench.analysis.claims.kinds.kind import in_braces
from bench.analysis.claims.quantities import OF_ARMS, Quantities
from bench.analysis.claims.tested import Tested
from bench.analysis.claims.verdict import Judged, judge
from bench.analysis.interval import Interval
from bench.analysis.layout import Section, print_frame, wide_console, write_sections
from bench.analysis.tables.main_table_notes import state_notes
from bench.contracts.escaping import in_markdown, in_rich
from bench.records.claims import Claim, ClaimTest, Verdict, frozen, load_claims
from bench.records.loading import RunFrames

ORDER: tuple[Verdict, ...] = (
    "reproduced", "contradicted", "nil effect", "inconclusive", "not testable here", "not run"
)  # fmt: skip
DECIDED: tuple[Verdict, ...] = ("reproduced", "contradicted", "nil effect")
_COLUMNS = ["id", "says", "source", "world", "planted", "published", "before", "verdict", "because", "awaits"]
_COLUMNS += ["p_adjusted", "survives", "effect", "seeds", "details"]
_TEST_COLUMNS = ["id", "test", "measure", "arms", "at", "expect", "margin", "meaningful", "decides", "outcome"]
_TEST_COLUMNS += ["effect", "low", "high", "n", "p", "seeds_needed"]


def judged(run: RunFrames, claims: Path | None = None) -> list[Judged]:
    """Every claim of the run with its verdict: those frozen in its folder, or else those of the file `claims`."""
    if claims is None:
        known = [
            (Claim(**each["claim"]), each["commit"], each["written"], bool(each.get("anew")))
            for each in frozen(run.directory)
        ]
    else:
        known = [(claim, None, None, False) for claim in load_claims(claims)]
    quantities = Quantities(run)
    return adjusted([Judged(claim, *judge(claim, quantities), *origin) for claim, *origin in known])


def survives(each: Judged) -> str:
    """Does a decided verdict outlast the number of claims? ``yes`` or ``no``; empty where nothing is decided."""
    if each.verdict not in DECIDED or math.isnan(each.p_adjusted):
        return ""
    return "yes" if each.p_adjusted < LEVEL else "no"


def marked(each: Judged) -> str:
    """The verdict, an asterisk behind it where it awaits an arm that does what the claim says."""
    return each.verdict + ("*" if each.claim.awaits else "")


def as_frame(found: Sequence[Judged]) -> pd.DataFrame:
    """One row per claim.

    Columns: `id`, `says`, `source`, `world` (exact or sampled), `planted`, `published`, `before` (the verdict of an
    earlier reading; texts, empty where there is nothing to say), `verdict` (reproduced, contradicted, nil effect,
    inconclusive, not testable here, not run), `because` (what this reading changed), `awaits` (what an arm does not do
    yet), `p_adjusted`, `survives` (yes, no), `effect` (the tests that decide, a line each), `seeds`, `details` (a list
    of lines).
    """
    rows = [
        (
            each.claim.id,
            each.claim.says,
            each.claim.source,
            each.claim.world,
            each.claim.planted or "",
            each.claim.published or "",
            each.claim.before.verdict if each.claim.before else "",
            each.verdict,
            each.claim.before.because if each.claim.before else "",
            each.claim.awaits or "",
            each.p_adjusted,
            survives(each),
            effect_of(each),
            _seeds(each),
            list(details(each)),
        )
        for each in found
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def frame_of_tests(found: Sequence[Judged]) -> pd.DataFrame:
    """One row per test, plain numbers.

    Columns: `id` (of the claim), `test`, `measure`, `arms`, `at`, `expect`, `margin`, `meaningful`, `decides`,
    `outcome`, `effect`, `low`, `high`, `n`, `p`, `seeds_needed`. Rows that only show the effect elsewhere do not
    decide: their `at` is the place (end, equal kl, equal compute), their outcome ``shown`` or ``flips``.
    """
    rows: list[tuple[object, ...]] = []
    for each in found:
        for tested in each.tests:
            test, x = tested.test, tested.effect
            head = (each.claim.id, test.test, _measure(test), " | ".join(map(in_braces, test.arms)))
            wanted = (test.expect, test.margin, test.meaningful)
            came = (tested.outcome, *astuple(x), tested.p, tested.seeds_needed)
            rows.append((*head, test.at, *wanted, not test.also, *came))
            for variant in tested.variants:
                shown = "flips" if variant.flips else "shown"
                rows.append((*head, variant.place, *wanted, False, shown, *astuple(variant.effect), math.nan, None))
    return pd.DataFrame(rows, columns=_TEST_COLUMNS)


def effect_of(each: Judged) -> str:
    """The tests that decide, each with its effect and interval, one line each."""
    if each.claim.needs:
        return f"needs {each.claim.needs}"
    lines = [_effect(tested) for tested in each.tests if not tested.test.also]
    fewest = min(tested.effect.n for tested in each.tests if not tested.test.also)
    if each.verdict == "inconclusive" and fewest < each.claim.seeds:
        lines.append(f"{fewest} seeds: no verdict below {each.claim.seeds}")
    return "\n".join(lines)


def details(each: Judged) -> Iterator[str]:
    """Everything behind a verdict, one line each."""
    for tested in each.tests:
        yield f"{_effect(tested)}{' (does not decide)' if tested.test.also else ''}"
        if tested.arms:
            numbers = "; ".join(f"{name} {x.text()}" for name, x in tested.arms.items())
            yield f"    {numbers}"
        for variant in tested.variants:
            flip = ": the order flips" if variant.flips else ""
            yield f"    at {variant.place}: {variant.effect.text()}{flip}"
        yield from (f"    {note}" for note in tested.notes)
    if each.claim.before:
        yield f"before: {each.claim.before.verdict}. {each.claim.before.because}"
    if each.claim.awaits:
        yield f"* awaits: {each.claim.awaits}"
    if survives(each) == "no":
        yield f"does not survive the number of claims: adjusted p {each.p_adjusted:.2g}"
    if each.claim.planted:
        yield f"planted: {each.claim.planted}"
    if each.claim.published:
        yield f"published: {each.claim.published}"


def notes(found: Sequence[Judged], run: RunFrames) -> list[str]:
    """What the reader of the table has to know, one line each."""
    count = Counter(each.verdict for each in found)
    lines = [f"{len(found)} claims: {', '.join(f'{count[name]} {name}' for name in ORDER if count[name])}."]
    if before := Counter(each.claim.before.verdict for each in found if each.claim.before):
        lines.append(f"Before: {', '.join(f'{before[name]} {name}' for name in ORDER if before[name])}.")
    decided = [each for each in found if each.verdict in DECIDED]
    if waiting := [each.claim.id for each in decided if each.claim.awaits]:
        lines.append(
            f"* {len(waiting)} of {len(decided)} decided verdicts rest on an arm that does not do what the claim says, "
            f"and stand under reserve: {', '.join(map(str, waiting))}."
        )
    commits = sorted({each.commit for each in found if each.commit})
    if commits:
        when = min(each.written for each in found if each.written)
        whole = f"Claims, margins and tests as they stood in commit {', '.join(commits)}"
        if any(each.anew for each in found):
            lines.append(
                f"{whole} ({when}), written anew once the run had been read: the verdict of that reading stands beside "
                "the new one."
            )
        else:
            lines.append(f"{whole} when the run began ({when}); what has been changed since is not used.")
    made = sorted({str(each) for each in run.records.get("commit", pd.Series(dtype=object)).dropna()})
    if made:
        lines.append(f"Records made at commit {', '.join(made)}.")
    intervals = ["Student's t", *(kind.interval for kind in KINDS.values() if kind.interval)]
    lines.append(
        f"Effects are paired by seed, on held-out prompts: mean ± half of the 95 % interval ({'; '.join(intervals)})."
    )
    lines.append(
        "Reproduced: the interval of every test that decides lies beyond its margin, on the side expected. "
        "Contradicted: that of one of them excludes an effect that matters; nil effect: all do, on both sides. "
        "Inconclusive: one can exclude neither. What is reproduced is a mechanism in a small world, not a figure."
    )
    if lost := [each.claim.id for each in found if survives(each) == "no"]:
        fate = f"do not survive: {', '.join(map(str, lost))}"
    else:
        fate = "all survive"
    lines.append(
        "Intervals are not widened for the number of tests. Adjusted for it (Holm within a claim, Benjamini–Hochberg "
        f"over claims, at {LEVEL:g}), of the verdicts decided {fate}."
    )
    used = {name for each in found for t in each.tests for name in _derived(t.test)}
    lines += [f"{name}: {derived.says}." for name, derived in DERIVED.items() if name in used]
    together = {each.test.measure for one in found for each in one.tests if isinstance(each.test.measure, str)}
    lines += [f"{name}: {says}." for name, says in OF_ARMS.items() if name in together]
    return [*lines, *state_notes(run)]


def claims_table(found: Sequence[Judged]) -> pd.DataFrame:
    """As people read it: texts, one row per claim."""
    rows = [
        {
            "claim": f"{each.claim.id}. {each.claim.says}",
            "source": each.claim.source,
            "before": each.claim.before.verdict if each.claim.before else "",
            "verdict": marked(each) + (", planted" if each.claim.planted else ""),
            "survives": survives(each),
            "why": " ".join(filter(None, (each.claim.before.because if each.claim.before else "", _awaited(each)))),
            "effect": effect_of(each),
            "seeds": _seeds(each),
            "published": each.claim.published or "",
        }
        for each in found
    ]
    frame = pd.DataFrame(rows)
    return frame.loc[:, (frame != "").any()] if rows else frame


def render_claims(found: Sequence[Judged], run: RunFrames, console: Console | None = None) -> None:
    """Print the table, the claim's sentence above its effects, and the notes."""
    console = console or wide_console()
    if not found:
        console.print("No claims: the matrix names none, and no file was given (--claims).", highlight=False)
        return
    colours = {"reproduced": "green", "contradicted": "red", "nil effect": "cyan", "inconclusive": "yellow"}
    for each in found:
        remarks = ["planted"] * bool(each.claim.planted) + ["does not survive"] * (survives(each) == "no")
        remarks += [f"before: {each.claim.before.verdict}"] if each.claim.before else []
        behind = f" ({', '.join(remarks)})" if remarks else ""
        tag = f"[{colours.get(each.verdict, 'dim')}]{marked(each)}[/]{behind}"
        console.print(f"[bold]{each.claim.id:>2}[/] {tag}  ", end="", highlight=False)
        console.print(in_rich(f"{each.claim.says} ({each.claim.source})"))
        for line in effect_of(each).split("\n"):
            console.print(in_rich(f"     {line}", "dim"))
    console.print()
    for line in notes(found, run):
        console.print(in_rich(line, "dim"))


def write_claims(found: Sequence[Judged], run: RunFrames, directory: str | Path) -> list[Path]:
    """Write ``claims.md``, ``claims.tex``, ``claims.csv`` (a row per claim) and ``claims_tests.csv`` (per test).

    The Markdown holds all details below the table.
    """
    if not found:
        return []
    frame = as_frame(found)
    plain = {
        "claims": frame.assign(details=["\n".join(lines) for lines in frame["details"]]),
        "claims_tests": frame_of_tests(found),
    }
    remarks = ["## Behind the verdicts", *("\n".join(_behind(each)) for each in found)]
    return write_sections(
        directory, "claims", [Section("Claims", claims_table(found), notes(found, run))], plain, remarks
    )


def print_details(found: Sequence[Judged], wanted: Sequence[int], console: Console | None = None) -> None:
    """Print all that is behind the claims of the given numbers."""
    console = console or wide_console()
    for each in found:
        if each.claim.id in wanted:
            print_frame(f"{each.claim.id}. {each.claim.says}", claims_table([each])[["verdict", "effect"]], console)
            for line in details(each):
                console.print(in_rich(line))


def _awaited(each: Judged) -> str:
    return f"* Awaits: {each.claim.awaits}." if each.claim.awaits else ""


def _behind(each: Judged) -> Iterator[str]:
    yield f"**{each.claim.id}. {in_markdown(each.claim.says)}** {each.verdict}."
    for line in details(each):
        yield f"{'  ' if line.startswith('    ') else ''}- {in_markdown(line.strip())}"


def _effect(tested: Tested) -> str:
    test, kind = tested.test, KINDS[tested.test.test]
    place = "" if test.at == "end" else f" at {test.at}"
    what = f"{_measure(test)}: {kind.effect_in_words(test)}{place}"
    if tested.outcome == "not run":
        return f"{what}: not run"
    if not tested.effect.n:
        return f"{what}: not recorded"
    return f"{what} = {_number(tested.effect)} (expected {kind.expectation(test)}: {_outcome(tested)})"


def _outcome(tested: Tested) -> str:
    """The outcome, with the size of effect that it excludes, or the seeds that it would take."""
    test, words = tested.test, tested.outcome
    size = f"{test.meaningful:g}" + (" beyond it" if test.margin else "")
    if words in ("contradicted", "nil") and test.meaningful:
        return f"{words}, no effect as large as {size}"
    if words == "undecided" and tested.seeds_needed:
        return f"{words}, about {tested.seeds_needed} seeds would tell"
    return words


def _number(x: Interval) -> str:
    if math.isfinite(x.low) and abs((x.high + x.low) / 2 - x.mean) > 0.05 * (x.high - x.low):
        return f"{x.mean:.2g} [{x.low:.2g}, {x.high:.2g}]"
    return x.text()


def _measure(test: ClaimTest) -> str:
    return test.measure if isinstance(test.measure, str) else f"{test.measure[0]} … {test.measure[-1]}"


def _seeds(each: Judged) -> str:
    counts = sorted({tested.effect.n for tested in each.tests if tested.outcome != "not run"})
    return "" if not counts else f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"


def _derived(test: ClaimTest) -> Iterator[str]:
    measures = [test.measure] if isinstance(test.measure, str) else test.measure
    for name in DERIVED:
        if any(name in (measure, measure.partition(":")[0]) or f"({name})" in measure for measure in measures):
            yield name
