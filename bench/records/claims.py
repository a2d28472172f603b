"""What a claim is: data in a YAML file, and, once a run has begun, frozen in the run's folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from bench.contracts.errors import BenchError, nearest
from bench.contracts.plugin import Settings
from bench.contracts.validation import Source, mapping_of
from bench.contracts.yaml import read_yaml
from bench.records.provenance import commit
from bench.records.reading import described
from bench.records.sealing import Damaged, check_seal, parse_object, read_bytes, write_sealed

FROZEN = "claims.json"
"""In a run's folder: its claims as they stood when the run began."""

KindName: TypeAlias = Literal[
    "difference", "equivalence", "spread", "survival", "front", "level", "limit", "trend", "correlation", "prediction",
    "hazard",
]  # fmt: skip
Verdict: TypeAlias = Literal[
    "reproduced", "contradicted", "nil effect", "inconclusive", "not testable here", "not run"
]  # fmt: skip
Group: TypeAlias = str | list[str]


@dataclass(frozen=True)
class Takes:
    """What a file of claims says of a kind of test.

    Attributes:
        arms: how many; None where any number will do.
        needs: fields that it cannot do without, and that go with no kind that does not name them.
        positive_margin: must the margin be above 0?
        measures: how many, where it is not one (of a trend: any number, over a single arm).
    """

    arms: int | None = None
    needs: tuple[str, ...] = ()
    positive_margin: bool = False
    measures: int | None = None


KINDS: dict[KindName, Takes] = {
    "difference": Takes(arms=2),
    "equivalence": Takes(arms=2, positive_margin=True),
    "spread": Takes(arms=2),
    "survival": Takes(arms=2),
    "front": Takes(arms=2, measures=2),
    "level": Takes(arms=1),
    "limit": Takes(needs=("x",)),
    "trend": Takes(needs=("x",)),
    "correlation": Takes(needs=("against",)),
    "prediction": Takes(needs=("against",)),
    "hazard": Takes(needs=("against",)),
}
"""What each computes, and how it is told, is a class of the same name in `bench.analysis.claims.kinds`."""


class ClaimTest(Settings):
    """One comparison. See `bench.analysis.claims.kinds` for what each kind computes."""

    test: KindName = Field(description="what is computed")
    measure: str | list[str] = Field(description="of each cell: see `bench.analysis.claims.quantities`")
    arms: list[Group] = Field(min_length=1, description="labels; a list of labels is taken together")
    expect: Literal["above", "below"] = Field("above", description="on which side of the margin; for a trend: rises")
    margin: float = Field(0.0, description="in the measure's unit; of an equivalence: either way")
    meaningful: float = Field(
        0.0, ge=0, description="how far beyond the margin an effect has to lie to matter; 0: the margin says it already"
    )
    because: str | None = Field(None, description="why no smaller effect would matter, in a word")
    at: Literal["end", "equal kl", "equal compute", "equal proxy"] = Field(
        "end", description="where two arms are compared: at the end of training, or where they have spent as much"
    )
    x: list[float] | None = Field(None, description="of a trend: what stands for each arm (or measure)")
    against: str | None = Field(None, description="the other measure of a correlation or a prediction")
    task: str | None = Field(None, description="label of the task, where it is not the claim's")
    also: bool = Field(False, description="reported, and not deciding")

    @model_validator(mode="after")
    def _complete(self) -> ClaimTest:
        takes = KINDS[self.test]
        if takes.arms is not None and len(self.arms) != takes.arms:
            wanted = f"{takes.arms} arm{'s' * (takes.arms > 1)}"
            raise ValueError(f"test {self.test} takes {wanted}, not {len(self.arms)}")
        for field in ("x", "against"):
            if (field in takes.needs) != (getattr(self, field) is not None):
                raise ValueError(_goes_with(field))
            points = len(self.measure) if isinstance(self.measure, list) else len(self.arms)
            if field == "x" and self.x is not None and len(self.x) != points:
                raise ValueError(f"`x` has {len(self.x)} values for {points} points")
        if takes.measures is not None and not (isinstance(self.measure, list) and len(self.measure) == takes.measures):
            raise ValueError(f"{_a(self.test)} takes a list of {takes.measures} measures")
        if takes.positive_margin and self.margin <= 0:
            raise ValueError(f"{_a(self.test)} needs a margin above 0")
        return self


def _goes_with(field: str) -> str:
    kinds = [_a(kind) for kind, takes in KINDS.items() if field in takes.needs]
    needed = f"{kinds[0]} needs" if len(kinds) == 1 else "they need"
    return f"`{field}` goes with {' or '.join(kinds)}, and {needed} it"


def _a(kind: str) -> str:
    return f"a{'n' * (kind[0] in 'aeiou')} {kind}"


class Before(Settings):
    """What an earlier reading of the same records made of a claim, and why this one reads it otherwise, or does not."""

    verdict: Verdict = Field(description="of the earlier reading")
    because: str = Field(min_length=1, description="what has changed since, in a sentence")


class Claim(Settings):
    """A sentence and its tests: it is reproduced if all that decide hold, contradicted if one is contradicted."""

    id: int = Field(ge=1, description="its number")
    says: str = Field(min_length=1, description="the sentence")
    source: str = Field(description="who says so")
    world: Literal["exact", "sampled"] = Field("sampled", description="by enumeration, or by sampling")
    task: str = Field(description="label of the task that it is tested on")
    planted: str | None = Field(None, description="what was put into the world for it, and the control")
    published: str | None = Field(None, description="figures that others measured, with their source")
    needs: str | None = Field(None, description="why it cannot be tested here")
    awaits: str | None = Field(None, description="what an arm would have to do, and does not, for the verdict to stand")
    before: Before | None = Field(None, description="an earlier reading of the same records")
    seeds: int = Field(10, ge=2, description="the fewest that a verdict rests on")
    tests: list[ClaimTest] = Field([], description="what is compared")

    @model_validator(mode="after")
    def _testable(self) -> Claim:
        if bool(self.tests) == bool(self.needs):
            raise ValueError("a claim has `tests`, or says in `needs` why it has none")
        if self.tests and all(test.also for test in self.tests):
            raise ValueError("every test is `also`: none decides")
        return self


def load_claims(path: Path) -> list[Claim]:
    """The claims in a YAML file: a list, each a mapping of `Claim`'s fields.

    Raises:
        BenchError: the first mistake, with file, line, key and the nearest valid one.
    """
    try:
        value, lines = read_yaml(path.read_bytes().decode("utf-8-sig"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: cannot be read as claims: {error}") from None
    source = Source(path.name, path.parent, lines)
    if not isinstance(value, list):
        raise source.error((), "claims are a list")
    claims = []
    for i, each in enumerate(value):
        claims.append(source.settings((i,), Claim, mapping_of(source, (i,), each), "a claim"))
        if claims[-1].id in {earlier.id for earlier in claims[:-1]}:
            raise source.error((i, "id"), f"duplicate: there are two claims {claims[-1].id}")
    return claims


def check_claims(claims: Sequence[Claim], arms: dict[str, set[str]], name: str) -> None:
    """Refuse a claim about an arm or a task that the matrix does not have.

    Args:
        arms: the arms of each task, by label.
        name: how errors call the claims.
    """
    for claim in claims:
        for test in claim.tests:
            task = test.task or claim.task
            if task not in arms:
                raise BenchError(f"{name}: claim {claim.id}: no task {task!r} in the matrix{nearest(task, arms)}")
            for arm in arm_labels(test.arms):
                if arm not in arms[task]:
                    raise BenchError(
                        f"{name}: claim {claim.id}: no arm {arm!r} on task {task!r}{nearest(arm, arms[task])}"
                    )


def arm_labels(arms: Sequence[Group]) -> list[str]:
    """The labels of all arms, those that are taken together among them."""
    return [label for group in arms for label in ([group] if isinstance(group, str) else group)]


# -- in a run's folder ----------------------------------------------------------------------------------------


def freeze(path: Path, directory: Path) -> None:
    """Keep the claims of `path` in the run's folder as they are before anything runs.

    A claim that is there already stays as it was: what is changed once a run has begun is no prediction any more.
    """
    known = frozen(directory) if os.path.lexists(directory / FROZEN) else []
    ids = {entry["claim"]["id"] for entry in known}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = [
        {"commit": commit(), "written": now, "claim": claim.model_dump(mode="json", exclude_unset=True)}
        for claim in load_claims(path)
        if claim.id not in ids
    ]
    if new or not known:
        _keep([*known, *new], directory)


def write_anew(path: Path, directory: Path) -> None:
    """Put the claims of `path` in the place of those that the run has, and keep these beside them.

    For records that are read again with other tests. Tables say that the claims are younger than the run.
    """
    earlier = [*_earlier(directory), *frozen(directory)]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entries = [
        {"commit": commit(), "written": now, "claim": claim.model_dump(mode="json", exclude_unset=True), "anew": True}
        for claim in load_claims(path)
    ]
    write_sealed(directory / FROZEN, {"claims": entries, "earlier": earlier})


def _earlier(directory: Path) -> list[dict[str, Any]]:
    """The entries whose place others have taken."""
    file = directory / FROZEN
    text = read_bytes(file) if os.path.lexists(file) else b"[]"
    return [] if text.lstrip()[:1] == b"[" else list(parse_object(text, file).get("earlier", []))


def _keep(entries: Iterable[dict[str, Any]], directory: Path) -> None:
    earlier = _earlier(directory)
    ordered = sorted(entries, key=lambda entry: int(entry["claim"]["id"]))
    write_sealed(directory / FROZEN, {"claims": ordered} | ({"earlier": earlier} if earlier else {}))


def seal_claims(directory: Path) -> None:
    """Give the claims that an earlier release kept their checksum."""
    if entries := frozen(directory):
        _keep(entries, directory)


def frozen(directory: Path) -> list[dict[str, Any]]:
    """What `freeze` kept: `commit` (of the bench), `written` (when) and `claim`, for each; empty without claims.

    `anew` is true where `write_anew` put it there.

    Raises:
        Damaged: the file is missing, or is not what was written. What an earlier release wrote, a list, has no
            checksum.
    """
    file = directory / FROZEN
    if not os.path.lexists(file):
        if described(directory).get("claims"):
            raise Damaged(f"{file}: is missing; bring it back, or `bench run` keeps the claims as they are now")
        return []
    text = read_bytes(file)
    try:
        if text.lstrip()[:1] == b"[":
            entries: list[dict[str, Any]] = json.loads(text)
        else:
            value = parse_object(text, file)
            check_seal(value, file)
            entries = value["claims"]
        for entry in entries:
            Claim(**entry["claim"])
    except Damaged as error:
        raise Damaged(f"{error}; bring it back, or remove it to keep the claims as they are now") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{file}: not a file of claims ({error})") from None
    return entries
