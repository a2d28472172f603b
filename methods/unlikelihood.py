"""`unlikelihood`: likelihood training with negatives (Welleck et al. 2020, arXiv:1908.04319)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from bench import Field, Method, Policy, Range, SearchSpace, Workbench

if TYPE_CHECKING:
    from torch import Tensor

    from methods.completion_groups.trainer import Group


class Unlikelihood(Method):
    """SFT on the chosen completions, with the tokens that only negatives have made unlikely where they stand.

    The negatives are the model's own (the rejected completions, samples of π0 where the bench made the pairs),
    gibberish of the same lengths, or none, which is SFT on the chosen ones alone: the control.
    """

    needs: ClassVar[set[str]] = {"preferences"}
    search_space: ClassVar[SearchSpace] = {
        "alpha": Range(0.003, 1, log=True),
        "epochs": Range(1, 6, step=1),
        "learning_rate": Range(3e-5, 3e-3, log=True),
    }

    negatives: Literal["rejected", "random", "none"] = Field(
        "rejected", description="what is made unlikely: rejected completions, random tokens of like length, or nothing"
    )
    alpha: float = Field(0.3, ge=0, description="weight α of the unlikelihood beside the likelihood")
    epochs: float = Field(3, gt=0, description="passes over the pairs")
    batch_size: int = Field(32, ge=1, description="pairs per step")
    learning_rate: float = Field(3e-4, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Train from π0 on the training pairs."""
        from methods.completion_groups.trainer import train_on_groups

        def loss(logprobs: Tensor, mask: Tensor, values: Tensor, groups: Tensor) -> Tensor:
            return unlikelihood_loss(logprobs, mask, values > 0, self.alpha)

        model = workbench.sft_model()
        train_on_groups(workbench, self.groups(workbench), loss, self, model)
        return workbench.policy(model)

    def groups(self, workbench: Workbench) -> list[Group]:
        """A positive (value 1) and its negative (value −1), if there are negatives, per pair.

        A negative's tokens that its positive has as well are passed over, as the paper's candidates leave out the token
        that is right: else what is made unlikely is mostly the grammar that good and bad share.
        """
        from methods.completion_groups.trainer import Group, encode_groups

        pairs = workbench.preferences
        if self.negatives == "none":
            positives = [[chosen] for chosen in pairs["chosen"]]
            return encode_groups(workbench.tokenizer, pairs["prompt"], positives, [[1]] * len(pairs))
        both = list(zip(pairs["chosen"], pairs["rejected"], strict=True))
        tokenizer, rng = workbench.tokenizer, np.random.default_rng(workbench.seed)
        words = np.setdiff1d(np.arange(len(tokenizer)), tokenizer.all_special_ids)
        groups = []
        for group in encode_groups(tokenizer, pairs["prompt"], both, [[1, -1]] * len(pairs)):
            positive, (head, negative) = group.completions
            if self.negatives == "random":
                negative = [*rng.choice(words, len(negative) - 1).tolist(), negative[-1]]
            groups.append(Group([positive, (head, negative)], group.values, [set(), set(positive[1])]))
        return groups


def unlikelihood_loss(logprobs: Tensor, mask: Tensor, positive: Tensor, alpha: float) -> Tensor:
    """−mean log π over the tokens of positives, − α · mean log(1 − π) over those of negatives.

    Likelihood and unlikelihood of section 5, whose only negative candidate is here, at each position of a negative, the
    token that stands there.

    Args:
        logprobs, mask: (N, T), see `methods.completion_groups.trainer.Loss`.
        positive: (N) true for a positive, false for a negative.
    """
    from methods.completion_groups.trainer import token_mean

    likelihood = token_mean(logprobs, mask & positive[:, None])
    # 1 − π, kept away from 0 where π rounds to 1
    complement = (-logprobs.clamp(max=-1e-6).expm1()).log()
    return -likelihood - alpha * token_mean(complement, mask & ~positive[:, None])
