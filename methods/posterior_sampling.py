"""`posterior_sampling`: π* ∝ π0 exp(r/β) approximately, by resampling draws from π0 at decoding time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench import Field, Method, ModelPolicy, Policy, Prompt, Workbench
from bench.models.learned_reward import RewardModel
from methods.best_of_n import BestOfNPolicy

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class PosteriorSampling(Method):
    """Sample n completions of π0, keep one by weights ∝ exp(r/β): the optimum of RLHF as n grows. Trains nothing."""

    needs: ClassVar[set[str]] = {"reward_model"}

    n: int = Field(16, ge=1, le=4096, description="completions drawn per prompt")
    beta: float = Field(0.5, gt=0, description="strength of the pull towards π0 (β), reward per nat")

    def train(self, workbench: Workbench) -> Policy:
        """Nothing to train."""
        return ResamplingPolicy(workbench.policy(workbench.reference), workbench.reward_model, self.n, self.beta)

    def load(self, workbench: Workbench, directory: Path) -> Policy:
        """Nothing was saved: the policy is its reference, its reward model, n and β."""
        return self.train(workbench)


class ResamplingPolicy(BestOfNPolicy):
    """Self-normalised importance resampling (Rubin 1987; Smith & Gelfand 1992) from π0 towards π*.

    Biased at finite n: with w(y) = exp(r(y)/β) / E_π0[exp(r/β)] a completion comes out with probability
    π*(y) [1 + (E_π0[w²] − w(y)) / n] + O(n⁻²), so that what deserves the most weight gets too little.

    KL(π‖π0) ≤ log n − (n−1)/n, as of best-of-n: an index drawn by weights exp(r/β) is the argmax of r/β plus Gumbel
    noise (Maddison et al. 2014), hence the best of n pairs (completion, noise), of which no two tie; that pair's KL is
    the bound, and its completion's alone is no larger.
    """

    def __init__(self, policy: ModelPolicy, reward: RewardModel, n: int, beta: float) -> None:
        super().__init__(policy, reward, n)
        self.beta = beta

    def choose(self, scores: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
        """One of the draws of each row with probability softmax(scores/β)."""
        import numpy as np

        return np.asarray((scores / self.beta + np.random.default_rng(seed).gumbel(size=scores.shape)).argmax(1))

    def exact_logp(self, prompt: Prompt) -> Tensor | None:
        """Not known: the normaliser depends on all n draws."""
        return None
