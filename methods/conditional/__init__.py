"""`conditional`: condition on the reward while training, ask for the best in use.

Chen et al. 2021 (Decision Transformer, arXiv:2106.01345); for language models Lu et al. 2022 (Quark, arXiv:2205.13636),
whose quantiles and control codes these are, here with one exploration step and no KL term.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench import Completion, Field, Method, Policy, Prompt, Range, SearchSpace, Workbench

if TYPE_CHECKING:
    from torch import Tensor


class Conditional(Method):
    """SFT on π0's own samples, each marked with the quantile of its reward; in use every prompt asks for the best.

    The mark is a learned vector added to the embedding of every token, prompt and completion alike, so it needs no free
    token, no words and no room in the context. In use the best quantile's vector is folded into the embedding table:
    the policy is a plain language model on plain prompts, and its log-probabilities, KL and entropy are exact.
    """

    needs: ClassVar[set[str]] = {"reward_model"}
    search_space: ClassVar[SearchSpace] = {
        "quantiles": Range(2, 12),
        "epochs": Range(1, 6, step=1),
        "learning_rate": Range(1e-4, 1e-2, log=True),
    }

    samples: int = Field(4096, ge=2, description="completions of π0 to learn from, training prompts taken in turn")
    quantiles: int = Field(5, ge=2, le=100, description="levels of reward, equally many samples in each")
    epochs: float = Field(3, gt=0, description="passes over the samples")
    batch_size: int = Field(32, ge=1, description="samples per step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Label samples of π0 with the reward model and train π0 on them."""
        return self.condition(workbench, workbench.reward_model)

    def condition(
        self, workbench: Workbench, reward: Callable[[Sequence[Prompt], Sequence[Completion]], Sequence[float]]
    ) -> Policy:
        """The same with any `reward`."""
        from methods.completion_groups.trainer import encode_groups, token_mean, train_on_groups
        from methods.conditional.control import Controlled, ControlledTrainer, quantile_of

        prompts = workbench.prompts["prompt"]
        repeated = [prompts[i % len(prompts)] for i in range(self.samples)]
        samples = workbench.sample(workbench.policy(workbench.reference), repeated, workbench.seed)
        levels = quantile_of(reward(samples.prompts, samples.completions), self.quantiles)
        groups = encode_groups(
            workbench.tokenizer, repeated, [[each] for each in samples.completions], [[level] for level in levels]
        )

        def loss(logprobs: Tensor, mask: Tensor, values: Tensor, groups: Tensor) -> Tensor:
            return -token_mean(logprobs, mask)

        model = Controlled(workbench.sft_model(), self.quantiles)
        train_on_groups(workbench, groups, loss, self, model, ControlledTrainer)
        return workbench.policy(model.policy.eval())
