"""`rank`: a ranking loss over several rated completions per prompt, RRHF (Yuan et al. 2023, arXiv:2304.05302)."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from bench import Field, Method, Policy, Range, SearchSpace, Workbench

if TYPE_CHECKING:
    from torch import Tensor

    from methods.completion_groups.trainer import Group


class Rank(Method):
    """Learns from 1–5 ratings directly: the better rated completion shall be the likelier one per token (RRHF).

    Only completions of the same prompt are compared, whoever rated them; equal ratings say nothing.
    """

    needs: ClassVar[set[str]] = {"ratings"}
    search_space: ClassVar[SearchSpace] = {
        "rank_weight": Range(0.03, 10, log=True),
        "epochs": Range(1, 6, step=1),
        "learning_rate": Range(3e-5, 3e-3, log=True),
    }

    rank_weight: float = Field(0.1, ge=0, description="weight of the ranking loss beside the cross-entropy of the best")
    epochs: float = Field(3, gt=0, description="passes over the rated prompts")
    batch_size: int = Field(16, ge=1, description="prompts per step, each with all its completions")
    learning_rate: float = Field(3e-4, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Train from π0 on the ratings."""
        from methods.completion_groups.trainer import train_on_groups

        def loss(logprobs: Tensor, mask: Tensor, values: Tensor, groups: Tensor) -> Tensor:
            return rank_loss(logprobs, mask, values, groups, self.rank_weight)

        model = workbench.sft_model()
        train_on_groups(workbench, self.groups(workbench), loss, self, model)
        return workbench.policy(model)

    def groups(self, workbench: Workbench) -> list[Group]:
        """The rated completions of each prompt, as they lie side by side, with their ratings."""
        from methods.completion_groups.trainer import encode_groups

        rows = workbench.ratings
        runs = [list(run) for _, run in groupby(range(len(rows)), key=list(rows["prompt"]).__getitem__)]
        columns = {name: list(rows[name]) for name in ("prompt", "completion", "score")}
        prompts = [columns["prompt"][run[0]] for run in runs]
        completions, scores = ([[columns[name][i] for i in run] for run in runs] for name in ("completion", "score"))
        return encode_groups(workbench.tokenizer, prompts, completions, scores)


def rank_loss(logprobs: Tensor, mask: Tensor, ratings: Tensor, groups: Tensor, rank_weight: float) -> Tensor:
    """RRHF's L_rank + L_ft, means over the groups of a batch (section 3.1).

    With p the mean log-probability of a completion's tokens (eq. 1), L_rank = Σ max(0, p_i − p_j) over the pairs of a
    group with r_i < r_j (eq. 2), and L_ft is the cross-entropy of the group's best completion, of several equally good
    ones the first (eq. 3). It too is taken per token, where the paper writes a sum, so that `rank_weight` weighs likes;
    the paper's own balance is that of 1 over a completion's length.

    Args:
        logprobs, mask: (N, T), see `methods.completion_groups.trainer.Loss`.
        ratings: (N) higher is better.
        groups: (N) which completions answer the same prompt.
    """
    import torch

    count = int(groups.max()) + 1
    p = (logprobs * mask).sum(1) / mask.sum(1).clamp(min=1)
    worse = (groups[:, None] == groups[None, :]) & (ratings[:, None] < ratings[None, :])  # [i, j]: i is worse than j
    ranking = ((p[:, None] - p[None, :]).clamp(min=0) * worse).sum() / count
    best = [int(ratings.masked_fill(groups != group, -torch.inf).argmax()) for group in range(count)]
    return rank_weight * ranking - p[best].mean()
