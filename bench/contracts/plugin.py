"""What methods, tasks, measures and judges share: typed settings, a name, a line about them.

A plug-in's fields are its settings: typed, bounded, described. They are frozen pydantic models, so an unknown or
ill-typed setting is refused where it is named.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from bench.contracts.errors import BenchError

__all__ = ["CONTRACT", "Field", "Plugin", "Settings", "snake_case"]

CONTRACT = 1
"""The version of what plug-ins build on: `bench.__all__`. It rises when a plug-in written for the old one may fail."""


def snake_case(name: str) -> str:
    """``BestOfN`` → ``best_of_n``, ``PPO`` → ``ppo``, ``RewardGradient`` → ``reward_gradient``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Settings(BaseModel):
    """Typed, bounded, frozen settings that refuse what they do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class Plugin(Settings):
    """What methods, tasks, measures and judges share: a name and a one-line summary from the docstring.

    `contract` is the version of the contract that a plug-in is written for, if it says so: one that asks for a newer
    one than `CONTRACT` is refused.
    """

    name: ClassVar[str]
    contract: ClassVar[int] = CONTRACT

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = snake_case(cls.__name__)
        if cls.contract > CONTRACT:
            raise BenchError(_too_new(cls.__name__, cls.contract))

    @classmethod
    def summary(cls) -> str:
        """The first line of the class's docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]


def _too_new(who: str, contract: int) -> str:
    from bench.contracts.release import release

    return (
        f"{who} is written for contract {contract} of the bench, and this release, alignment-bench "
        f"{release()}, has contract {CONTRACT}: install a newer alignment-bench, "
        f"or a release of the plug-in that is written for contract {CONTRACT}"
    )
