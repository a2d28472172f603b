"""The stages by name, each with the function that runs it. Importing this imports all that they need.

No stage imports it: each stage's key rests on its own imports alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.stages import base, evaluation, policy, preferences, ratings, reference, reward_model, sft
from bench.stages.job import Job

RUN: dict[str, Callable[[Job], dict[str, Any]]] = {
    "base": base.run,
    "sft": sft.run,
    "preferences": preferences.run,
    "ratings": ratings.run,
    "reward_model": reward_model.run,
    "reference": reference.run,
    "policy": policy.run,
    "evaluation": evaluation.run,
}
"""Each writes its artifact into the job's folder, and returns what it reports about itself."""
