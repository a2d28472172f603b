"""`exact_posterior`: what RLHF would converge to, sampled exactly (Rafailov et al. 2023, arXiv:2305.18290, eq. 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench import Field, Method, ModelPolicy, Policy, Prompt, Samples, Workbench
from bench.contracts.task import Task
from methods.exact_rewards import RewardName, rewards_of_all, why_not

if TYPE_CHECKING:
    from torch import Tensor


class ExactPosterior(Method):
    """Sample π* ∝ π0 exp(r/β) itself, where every completion can be written down. Trains nothing."""

    needs: ClassVar[set[str]] = {"reward_model"}

    beta: float = Field(0.1, gt=0, description="strength of the pull towards π0 (β), reward per nat")
    reward: RewardName = Field("gold", description="r: what is really wanted, or what the reward model says")

    def train(self, workbench: Workbench) -> Policy:
        """Nothing to train."""
        rewards = rewards_of_all(workbench, self.reward)
        return PosteriorPolicy(workbench.policy(workbench.reference), rewards, self.beta)

    def load(self, workbench: Workbench, directory: Path) -> Policy:
        """Nothing was saved: the policy is its reference, its reward and β."""
        return self.train(workbench)

    def unfit_for(self, task: Task) -> str | None:
        """Only tasks that can be enumerated."""
        return why_not(task)


class PosteriorPolicy(Policy):
    """Draws from π*, the maximiser of E[r] − β KL(π‖π0), by its exact probabilities.

    Args:
        policy: π0.
        rewards: r of all completions of a prompt, in the order of `bench.models.enumeration.all_completions`.
    """

    from_all = True

    def __init__(self, policy: ModelPolicy, rewards: Callable[[Prompt], Tensor], beta: float) -> None:
        self.policy, self.rewards, self.beta = policy, rewards, beta
        self._known: dict[str, Tensor] = {}

    def exact_logp(self, prompt: Prompt) -> Tensor:
        """log π*, see `Policy.exact_logp`; computed once per prompt."""
        from bench.models.closed_forms import optimal_policy

        if (key := repr(prompt)) not in self._known:
            self._known[key] = optimal_policy(self.policy.exact_logp(prompt), self.rewards(prompt), self.beta)
        return self._known[key]

    def sample(self, prompts: Sequence[Prompt], seed: int, temperature: float = 1.0) -> Samples:
        """See `Policy.sample`. A temperature tempers whole completions, not tokens."""
        import numpy as np

        from bench.models.encoding import decode_completions, encode_prompts
        from bench.models.enumeration import all_completions

        eos = self.policy.tokenizer.eos_token_id
        tokens, lengths = all_completions(len(self.policy.tokenizer), eos, self.policy.max_new_tokens)
        ids = []
        for prompt, point in zip(prompts, np.random.default_rng(seed).random(len(prompts)), strict=True):
            shares = (self.exact_logp(prompt) / temperature).softmax(0).cumsum(0)
            row = min(int((shares < point * shares[-1]).sum()), len(shares) - 1)  # inverse of the distribution function
            ids.append(tokens[row, : lengths[row]].tolist())
        prompt_ids = encode_prompts(self.policy.tokenizer, prompts)
        texts = decode_completions(self.policy.tokenizer, prompts, prompt_ids, ids)
        return Samples(list(prompts), texts, prompt_ids, ids, [row[-1] == eos for row in ids])
