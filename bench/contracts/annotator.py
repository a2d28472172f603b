"""The simulated annotator of worlds whose gold reward is known: pairs, graded pairs and 1–5 ratings.

One noise model for all three. Whoever annotates perceives a completion's worth as

    u = g + noise · (Gumbel − γ),        γ = 0.5772…, so that the error has mean zero,

where g is the gold reward, or the one of its parts that the annotator `sees`. The difference of two Gumbel variables is
logistic, so comparing two worths is Bradley–Terry: P(first preferred) = sigmoid((g₁ − g₂) / noise) (Bradley and Terry
1952; Train 2009, section 3.1). The functions here are pure: arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from bench.contracts.errors import nearest
from bench.contracts.plugin import Field
from bench.contracts.task import Completion, Prompt, Rating, Task

Array = NDArray[np.float64]

# Streams of random numbers; far from those that worlds use for their texts.
COMPARISONS, RATINGS, PEOPLE = 101, 102, 103


class Annotated(Task):
    """A world with a gold reward and an annotator who compares, grades and rates by it.

    Everything that may be wrong with an annotator is a setting, so each has its control: `noise` 0, `flips` 0,
    `rater_spread` 0 and `sees` None together give answers that are always right.

    - **Comparisons**: the first is preferred where the difference of perceived worths m = u₁ − u₂ is positive; then,
      with probability `flips`, the answer is turned round. Equal worths without noise: a fair coin.
    - **Grades**: the same answer with the same seed, and how much better: |m| up to 1/8 of the range of gold is
      "slightly" (1), up to 3/8 "clearly" (2), beyond that "much" (3).
    - **Ratings**: each completion is rated once, by one of `raters` drawn at random. Its worth's place t in the range
      of gold (0 to 1) becomes expit(a · logit(t) + b), is spread over 1 to 5 and rounded. The rater's severity
      b ~ N(0, spread) and use of the extremes log a ~ N(0, spread / 2) depend on neither seed nor completion: monotone
      scales, so that comparisons are the same whoever makes them. A flip turns 5 into 1.

    A subclass gives `gold`, and `gold_parts` where a partial reward makes sense.

    Attributes:
        gold_range: between which numbers gold and each of its parts lie.
    """

    gold_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    noise: float = Field(
        0.2, ge=0, description="the gold difference that the annotator gets right in 73 of 100; 0 for no noise"
    )
    flips: float = Field(0.0, ge=0, le=0.5, description="share of the annotator's answers that are turned round")
    raters: int = Field(1, ge=1, le=1000, description="people who give ratings")
    rater_spread: float = Field(0.0, ge=0, le=5, description="how much the raters' scales differ; 0 for all alike")
    sees: str | None = Field(
        None, description="the one part of gold that the annotator goes by; all of it if not given"
    )

    @model_validator(mode="after")
    def _sees_a_part(self) -> Annotated:
        if self.sees is not None:
            parts = self.gold_parts([], [])
            if self.sees not in parts:
                raise ValueError(
                    f"`sees`: gold has no part {self.sees!r}{nearest(self.sees, parts) or ', nor any other'}"
                )
        return self

    def seen(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> Array:
        """(N) what the annotator goes by: gold, or the part of it that it `sees`."""
        values = (
            self.gold(prompts, completions) if self.sees is None else self.gold_parts(prompts, completions)[self.sees]
        )
        return np.asarray(values, dtype=float)

    def prefers_first(
        self, prompts: Sequence[Prompt], first: Sequence[Completion], second: Sequence[Completion], seed: int
    ) -> list[bool]:
        """Is the first completion preferred? Bradley–Terry with flips, see the class."""
        return [grade > 0 for grade in self.grades(prompts, first, second, seed)]

    def grades(
        self, prompts: Sequence[Prompt], first: Sequence[Completion], second: Sequence[Completion], seed: int
    ) -> list[int]:
        """How much better the first is than the second: 1 to 3, or −1 to −3 where the second is preferred.

        Never 0: its sign is what `prefers_first` answers with the same seed.
        """
        rng = np.random.default_rng([seed, COMPARISONS])
        margin = perceived_margin(self.seen(prompts, first) - self.seen(prompts, second), self.noise, rng)
        turned = np.where(rng.random(len(margin)) < self.flips, -1, 1)
        low, high = self.gold_range
        return [int(grade) for grade in turned * grade_of(margin, high - low, rng)]

    def ratings(self, prompts: Sequence[Prompt], completions: Sequence[Completion], seed: int) -> list[Rating]:
        """One rating per completion."""
        rng = np.random.default_rng([seed, RATINGS])
        rater = rng.integers(self.raters, size=len(completions))
        worth = perceived(self.seen(prompts, completions), self.noise, rng)
        turned = rng.random(len(worth)) < self.flips
        low, high = self.gold_range
        slope, shift = rater_scales(self.raters, self.rater_spread)
        score = score_of((worth - low) / (high - low), slope[rater], shift[rater])
        score = np.where(turned, 6 - score, score)
        return [Rating(int(r), int(s)) for r, s in zip(rater, score, strict=True)]


def perceived(gold: Array, noise: float, rng: np.random.Generator) -> Array:
    """(N) gold + noise · (Gumbel − γ): worths whose differences have logistic errors of scale `noise`."""
    return gold + noise * (rng.gumbel(size=len(gold)) - np.euler_gamma)


def perceived_margin(difference: Array, noise: float, rng: np.random.Generator) -> Array:
    """(N) the difference of two perceived worths: its sign is Bradley–Terry on `difference` / `noise`."""
    return difference + noise * rng.logistic(size=len(difference))


def grade_of(margin: Array, span: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """(N) ±1, ±2, ±3 with bounds at 1/8 and 3/8 of `span`, the range of gold; the sign of a zero is a fair coin."""
    sign = np.where(margin == 0, rng.choice((-1, 1), size=len(margin)), np.sign(margin)).astype(np.int64)
    return sign * (1 + np.digitize(np.abs(margin), (span / 8, 3 * span / 8), right=True))


def rater_scales(raters: int, spread: float) -> tuple[Array, Array]:
    """(raters) slope and (raters) shift of each rater's scale: the same people whatever the seed and the spread."""
    z = np.random.default_rng(PEOPLE).standard_normal((raters, 2))
    return np.exp(spread / 2 * z[:, 0]), spread * z[:, 1]


def score_of(place: Array, slope: Array, shift: Array) -> NDArray[np.int64]:
    """(N) 1 to 5: round(1 + 4 expit(slope · logit(place) + shift)), for places in the range of gold, 0 to 1.

    Places outside, where noise may lead, count as its ends. Never falls as `place` rises.
    """
    inside = np.clip(place, 1e-6, 1 - 1e-6)
    logit = slope * (np.log(inside) - np.log1p(-inside)) + shift
    return np.rint(1 + 4 * np.exp(-np.logaddexp(0.0, -logit))).astype(np.int64)
