"""`best_of_n`: rejection sampling at decoding time (Stiennon et al. 2020; Gao et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench import Field, Method, ModelPolicy, Policy, Prompt, Samples, Workbench
from bench.reward import RewardModel


class BestOfN(Method):
    """Sample n completions of π0, keep the one that the reward model scores highest. Trains nothing."""

    needs: ClassVar[set[str]] = {"reward_model"}

    n: int = Field(16, ge=1, le=4096, description="completions drawn per prompt")

    def train(self, workbench: Workbench) -> Policy:
        """Nothing to train."""
        return BestOfNPolicy(workbench.policy(workbench.reference), workbench.reward_model, self.n)

    def load(self, workbench: Workbench, directory: Path) -> Policy:
        """Nothing was saved: the policy is its reference, its reward model and n."""
        return self.train(workbench)


class BestOfNPolicy(Policy):
    """Draws n completions per prompt from `policy` and returns the best by `reward`.

    KL(π‖π0) ≤ log n − (n−1)/n (Beirami et al. 2024): an upper bound, reached only if no two completions tie.
    """

    def __init__(self, policy: ModelPolicy, reward: RewardModel, n: int) -> None:
        self.policy, self.reward, self.n = policy, reward, n
        self.kl_bound = math.log(n) - (n - 1) / n

    def sample(self, prompts: Sequence[Prompt], seed: int, temperature: float = 1.0) -> Samples:
        """The best of n samples per prompt."""
        drawn = self.policy.sample([p for p in prompts for _ in range(self.n)], seed, temperature)
        scores = self.reward(drawn.prompts, drawn.completions)
        return drawn.select(winners(scores, self.n))


def winners(scores: Sequence[float], n: int) -> list[int]:
    """The row with the highest score among each n that lie side by side; of equal ones the first."""
    return [max(range(start, start + n), key=scores.__getitem__) for start in range(0, len(scores), n)]
