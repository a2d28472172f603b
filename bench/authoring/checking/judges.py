"""What is promised of a judge, as `bench.authoring.checking.methods` has it for methods."""

from __future__ import annotations

import math

from bench.authoring.checking.check import Broken, Contract, Unsuited
from bench.authoring.checking.settings import check_settings
from bench.contracts.errors import BenchError
from bench.contracts.judge import Judge

promised: Contract[Judge] = Contract()

PROMPTS = ["red :", "blue :", "green red :"]
FIRST, SECOND = [" good good", " bad", " red"], [" bad", " good good", " red"]


@promised
def documented(judge: Judge) -> None:
    """has a docstring, and settings that are documented and bounded"""
    check_settings(judge)


@promised
def answers(judge: Judge) -> None:
    """answers 0, ½, 1 or NaN for each pair, and nothing for none"""
    for count in (3, 0):
        try:
            outcomes = list(judge.compare(PROMPTS[:count], FIRST[:count], SECOND[:count]))
        except BenchError as error:
            raise Unsuited(f"it cannot be asked here: {error}") from None
        if len(outcomes) != count:
            raise Broken(f"`compare` gave {len(outcomes)} answers for {count} pairs: one each, in their order")
        if odd := [answer for answer in outcomes if not math.isnan(answer) and answer not in (0, 0.5, 1)]:
            raise Broken(f"`compare` answered {odd[0]!r}: 1 if the first is better, 0 if the second, 0.5 for a tie")


@promised
def settings_matter(judge: Judge) -> None:
    """`immaterial` names settings of its own"""
    cls = type(judge)
    if unknown := sorted(cls.immaterial - cls.model_fields.keys()):
        raise Broken(f"`immaterial` names {unknown[0]!r}, which is no setting of it")
