"""Rewards: their mean and spread, and a scale on which they can be compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.measures.definition import Definitions
from bench.measures.valid_numbers import numbers

rewards = Definitions(of="a policy")
lengths = Definitions(of="a policy")
reference_rewards = Definitions(of="a policy")


def mean(values: ArrayLike) -> float:
    """Arithmetic mean over completions, one value each: (completions,).

    Trap: several completions of one prompt are not independent; an interval has to resample prompts, and seeds.
    """
    return float(numbers(values).mean())


def standard_deviation(values: ArrayLike) -> float:
    """Standard deviation over all completions (ddof = 1): (completions,). NaN for a single one.

    Trap: it mixes the spread between prompts with that between the completions of one prompt.
    """
    array = numbers(values)
    return float(array.std(ddof=1)) if len(array) > 1 else float("nan")


def standardise(values: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """(values − mean) / sd with mean and sd (ddof = 1) of `reference`, the rewards of π0's own samples.

    So expressed, proxy and gold reward share an axis: standard deviations of π0's samples above π0's mean.
    NaN where π0's samples all have the same reward. Trap: a reward model is identified only up to a shift per
    prompt, so the same prompts must stand behind both.
    """
    base = numbers(reference, "rewards of π0")
    return standardise_by(values, float(base.mean()), standard_deviation(base))


def standardise_by(values: ArrayLike, mean: float, sd: float) -> NDArray[np.float64]:
    """As `standardise`, from π0's mean and standard deviation as records keep them."""
    return (np.asarray(values, dtype=float) - mean) / (sd if sd > 0 else np.nan)


for _name, _label, _description in (
    ("proxy", "proxy reward", "mean score of the learned reward model"),
    ("gold", "gold reward", "mean of what is really wanted, where it is known"),
    ("judge", "judge", "mean score by gold, or by a reward model no policy has seen"),
):
    _spread = f"standard deviation of {_name} over completions"
    rewards(_name, _label, "", "higher", _description, column=_name)(mean)
    rewards(f"{_name}_sd", f"{_label}, sd", "", None, _spread, column=_name)(standard_deviation)

for _name, _unit, _description in (
    ("length", "tokens", "mean tokens per completion, end of sequence included"),
    ("finished", "", "share of completions that ended before the token limit"),
):
    lengths(_name, _name, _unit, None, _description, column=_name)(mean)

for _name, _label in (
    ("reference_proxy", "proxy reward of π0"),
    ("reference_gold", "gold reward of π0"),
    ("reference_judge", "judge of π0"),
):
    _description, _spread = "mean over π0's own samples, to standardise on", "its standard deviation over completions"
    reference_rewards(_name, _label, "", None, _description, column=_name)(mean)
    reference_rewards(f"{_name}_sd", f"{_label}, sd", "", None, _spread, column=_name)(standard_deviation)
