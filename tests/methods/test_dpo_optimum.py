"""DPO's promise (Rafailov et al. 2023, section 4): on Bradley–Terry pairs it goes to π* ∝ π0 exp(r/β)."""

from __future__ import annotations

import copy

import pytest
import torch
from datasets import Dataset

from bench.models.closed_forms import kl, optimal_policy
from bench.models.tokenizers import word_tokenizer
from bench.workbench.policy import ModelPolicy
from bench.workbench.workbench import Workbench
from methods.dpo import DPO
from tasks.strings import Strings
from tests.small_models import trained

NOISE, BETA = 0.25, 2.0  # P(first preferred) = σ(Δgold / NOISE): the reward is r = gold / NOISE
TASK = Strings(noise=NOISE)
TOKENIZER = word_tokenizer(TASK.vocabulary())
PROMPT, SEEN, BATCH = "c k", 40_000, 256


@pytest.mark.slow
def test_the_more_pairs_the_nearer_dpo_comes_to_the_optimal_policy(tmp_path) -> None:
    pi0 = trained(TASK, TOKENIZER, 0, steps=200)
    policy = ModelPolicy(pi0, TOKENIZER, TASK.max_completion_tokens, 8192)
    reference = policy.exact_logp(PROMPT)
    rewards = torch.from_numpy(TASK.enumerated_gold(TOKENIZER, PROMPT)) / NOISE
    optimal = optimal_policy(reference, rewards, BETA)

    def distance(count: int) -> float:
        """KL(π ‖ π*) after as many pairs seen, again and again where they are few."""
        prompts = [PROMPT] * count
        first, second = (policy.sample(prompts, seed).completions for seed in (1, 2))
        wins = TASK.prefers_first(prompts, first, second, seed=3)
        rows = [(a, b) if win else (b, a) for a, b, win in zip(first, second, wins, strict=True)]
        pairs = {"prompt": prompts, "chosen": [a for a, _ in rows], "rejected": [b for _, b in rows]}
        workbench = Workbench(
            task=TASK,
            tokenizer=TOKENIZER,
            seed=0,
            device="cpu",
            checkpoints=tmp_path,
            load_base=lambda: copy.deepcopy(pi0),
            load_sft=lambda: copy.deepcopy(pi0),
            load_demonstrations=lambda: pytest.fail("DPO uses no demonstrations"),
            load_preferences=lambda: Dataset.from_dict(pairs),
            load_reward_model=lambda: pytest.fail("DPO uses no reward model"),
            curve_points=0,
        )
        method = DPO(beta=BETA, epochs=SEEN / count, batch_size=BATCH, learning_rate=3e-3)
        return kl(method.train(workbench).exact_logp(PROMPT), optimal).item()

    start = kl(reference, optimal).item()
    few, some, many = (distance(count) for count in (400, 4_000, 40_000))
    assert few > some > many
    assert many < 0.15 * start  # what is left is the noise of 40,000 coin-like choices
