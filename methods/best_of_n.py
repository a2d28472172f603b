"""`best_of_n`: rejection sampling at decoding time (Stiennon et al. 2020; Gao et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench import Field, Method, ModelPolicy, Policy, Prompt, Samples, Workbench
from bench.models.learned_reward import RewardModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


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

    KL(π‖π0) ≤ log n − (n−1)/n (Beirami et al. 2024): an upper bound, reached only if no two completions tie. Where all
    completions can be enumerated, `exact_logp` gives the distribution itself.
    """

    def __init__(self, policy: ModelPolicy, reward: RewardModel, n: int) -> None:
        from bench.measures.divergence import best_of_n_bound

        self.policy, self.reward, self.n = policy, reward, n
        self.kl_bound = best_of_n_bound(n)

    def sample(self, prompts: Sequence[Prompt], seed: int, temperature: float = 1.0) -> Samples:
        """One of n samples per prompt, see `choose`."""
        import numpy as np

        drawn = self.policy.sample([p for p in prompts for _ in range(self.n)], seed, temperature)
        scores = np.reshape(self.reward(drawn.prompts, drawn.completions), (-1, self.n))
        chosen = self.choose(scores, seed) + np.arange(len(scores)) * self.n
        return drawn.select(chosen.tolist())

    def choose(self, scores: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
        """The draw to keep of each row of `scores`, shape (prompts, n): the best, the first of those that tie."""
        return scores.argmax(1)

    def exact_logp(self, prompt: Prompt) -> Tensor | None:
        """See `Policy.exact_logp`; None for a reward model without a `score` head to read at every token."""
        from bench.models.closed_forms import best_of_n

        if not hasattr(self.reward.modules[0], "score"):
            return None
        rewards = self.reward.enumerated(prompt, self.policy.max_new_tokens)
        return best_of_n(self.policy.exact_logp(prompt), rewards, self.n)
