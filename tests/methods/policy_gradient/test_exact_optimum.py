"""PPO's promise: with exact advantages and every action weighed by its probability, it goes to π* ∝ π0 exp(r/β)."""

from __future__ import annotations

import copy

import torch

from bench.models.closed_forms import kl, optimal_policy
from bench.models.enumeration import by_length, enumerate_completions, states
from bench.models.tokenizers import word_tokenizer
from methods.gradient_study.advantages import Tree
from methods.policy_gradient.losses import policy_loss
from tasks.strings import Strings
from tests.small_models import trained

PROMPT, TOKENS, BETA = "c k", 3, 0.5  # two symbols and EOS, or three symbols: 6,499 completions


def test_ppo_with_exact_advantages_goes_to_the_optimal_policy() -> None:
    task = Strings()
    tokenizer = word_tokenizer(task.vocabulary())
    pi0 = trained(task, tokenizer, 0, steps=200)
    policy, vocabulary = copy.deepcopy(pi0), len(tokenizer)
    exact = enumerate_completions(pi0, tokenizer, PROMPT, TOKENS)
    reference = exact.logp
    rewards = torch.tensor(task.gold([PROMPT] * len(reference), exact.completions), dtype=torch.double)
    optimal = optimal_policy(reference, rewards, BETA)
    where = states(vocabulary, tokenizer.eos_token_id, TOKENS)
    there = where >= 0

    def token_logprobs(model):
        """(visits,) log π of every token of every completion."""
        outputs = by_length(model, exact.prompt_ids, TOKENS)
        table = torch.cat([output.logits[:, -1].double().log_softmax(-1) for output, _ in outputs])
        return table[where[there], exact.tokens[there]]

    def completion_logprobs(visits):
        return torch.zeros(where.shape, dtype=torch.double).masked_scatter(there, visits).sum(1)

    with torch.no_grad():
        of_pi0 = token_logprobs(pi0)
    torch.testing.assert_close(completion_logprobs(of_pi0), reference, atol=1e-6, rtol=0)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=3e-3, weight_decay=0.0)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, total_iters=100)
    distances = []
    for _ in range(100):
        with torch.no_grad():
            old = token_logprobs(policy)
        tree = Tree(completion_logprobs(old), exact.tokens, where, vocabulary)
        distances.append(kl(tree.logp, optimal).item())
        charges = torch.zeros(where.shape, dtype=torch.double).masked_scatter(there, BETA * (old - of_pi0))
        to_go = rewards[:, None] - charges.flip(1).cumsum(1).flip(1)
        advantages = tree.given_action(to_go[there]) - tree.given_state(to_go[there])
        for _ in range(4):
            loss = (policy_loss(token_logprobs(policy), old, advantages, clip_range=0.2) * tree.weights()).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        decay.step()
    assert distances[0] > 0.2
    assert max(distances[-5:]) < 0.02 * distances[0]
