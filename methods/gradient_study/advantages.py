"""How good advantage estimates are: generalised advantage estimation against Q − V as sums over all completions."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.models.enumeration import by_length
from methods.policy_gradient.advantages import gae
from methods.policy_gradient.rewards import terminal_rewards


class Tree(NamedTuple):
    """All completions of a prompt under π, one row each, and where they go through.

    logp: (N), nats. tokens, states: (N, T), the actions and the states before them as `enumeration.all_completions` and
    `enumeration.states` number them; states are −1 after a completion's end. vocabulary: the number of actions.
    """

    logp: Tensor
    tokens: Tensor
    states: Tensor
    vocabulary: int

    @property
    def mask(self) -> Tensor:
        """(N, T), 1 on the tokens of a completion."""
        return (self.states >= 0).long()

    def weights(self) -> Tensor:
        """(visits,) how often π comes through each (completion, token), relative to all tokens."""
        visits = self.logp.exp()[:, None].expand_as(self.states)[self.states >= 0]
        return visits / visits.sum()

    def given_state(self, values: Tensor) -> Tensor:
        """E_π[values | s] at each visit; `values` (visits,)."""
        return _mean_by(self.states[self.states >= 0], values, self.weights())

    def given_action(self, values: Tensor) -> Tensor:
        """E_π[values | s, a] at each visit; `values` (visits,)."""
        pairs = self.states * self.vocabulary + self.tokens
        return _mean_by(pairs[self.states >= 0], values, self.weights())


def _mean_by(group: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    sums = torch.zeros(2, int(group.max()) + 1, dtype=values.dtype)
    sums.index_add_(1, group, torch.stack([values * weights, weights]))
    return (sums[0] / sums[1])[group]


def advantage_quality(tree: Tree, scores: Tensor, values: Tensor, gae_lambda: float) -> tuple[float, float]:
    """Bias and standard deviation of A^GAE(1, λ) over the states and actions that π visits; in the reward's unit.

    Bias: root mean square over (s, a) of E[Â | s, a] − A(s, a), less its mean over the actions of s, which is a
    baseline and moves no policy gradient. 0 at λ = 1 (Schulman et al. 2016, arXiv:1506.02438, section 3: γ-just).
    Deviation: of Â given (s, a). 0 at λ = 0, since the next state of a text is what was written.

    Args:
        scores: (N) the reward of each completion, given at its end.
        values: (states,) the critic's V.
    """
    there = tree.states >= 0
    rewards = terminal_rewards(scores, tree.mask)
    estimates = gae(rewards, values[tree.states.clamp(min=0)], tree.mask, 1.0, gae_lambda)[there]
    returns = scores[:, None].expand_as(rewards)[there]
    truth = tree.given_action(returns) - tree.given_state(returns)
    mean = tree.given_action(estimates)
    error = mean - truth
    bias = (tree.weights() * (error - tree.given_state(error)).square()).sum().sqrt()
    deviation = (tree.weights() * (estimates - mean).square()).sum().sqrt()
    return bias.item(), deviation.item()


def fitted_values(model: Any, prompt_ids: list[int], tree: Tree, scores: Tensor, rollouts: int, seed: int) -> Tensor:
    """(states,) V of a linear critic on the model's last hidden state, fitted by ridge regression to sampled returns.

    What a critic knows that has seen `rollouts` completions: it is wrong, and differently so at each state.
    """
    with torch.no_grad():
        outputs = by_length(model, prompt_ids, tree.states.shape[1], output_hidden_states=True)
        hidden = torch.cat([output.hidden_states[-1][:, -1].double().cpu() for output, _ in outputs])
    drawn = tree.logp.exp().multinomial(rollouts, True, generator=torch.Generator().manual_seed(seed))
    there = tree.states[drawn] >= 0
    seen, returns = hidden[tree.states[drawn][there]], scores[drawn][:, None].expand_as(there)[there]
    centre, level = seen.mean(0), returns.mean()
    scale = (seen - centre).square().sum() / seen.shape[1]  # penalty: 1 % of the mean squared feature
    gram = (seen - centre).T @ (seen - centre) + 0.01 * scale * torch.eye(seen.shape[1], dtype=seen.dtype)
    return level + (hidden - centre) @ torch.linalg.solve(gram, (seen - centre).T @ (returns - level))
