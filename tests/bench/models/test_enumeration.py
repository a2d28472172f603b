"""Exact sums: against cases done by hand, against sampling, and against what theory says of the optimum."""

from __future__ import annotations

import copy
from collections import Counter

import numpy as np
import pytest
import torch
from transformers import GPT2ForSequenceClassification

from bench.contracts.errors import BenchError
from bench.contracts.stage_settings import TinyModel
from bench.models.closed_forms import entropy, expected_reward, kl, optimal_policy, optimal_value, regularised_objective
from bench.models.enumeration import Exact, all_completions, enumerate_completions, log_probabilities, rows_of, states
from bench.models.learned_reward import RewardModel
from bench.models.tiny import tiny_model
from bench.models.tokenizers import word_tokenizer
from bench.workbench.policy import ModelPolicy
from tasks.strings import Strings

PROMPT = "b c"


def a_model(words: str, seed: int, sharpness: float = 8.0):
    tokenizer = word_tokenizer(words.split())
    model = tiny_model(
        TinyModel(layers=1, width=16, heads=2, context=16, initializer_range=0.02), tokenizer, seed
    ).eval()
    with torch.no_grad():
        model.transformer.wte.weight.mul_(sharpness)  # away from uniform
    return model, tokenizer


def small(seed: int = 0) -> Exact:
    model, tokenizer = a_model("a b c", seed)
    return enumerate_completions(model, tokenizer, PROMPT, 3)


def log(*probabilities: float) -> torch.Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_all_completions_are_there_once_and_their_probabilities_sum_to_one() -> None:
    exact = small()
    vocabulary, eos = 6, 1  # three words, <pad>, <eos>, <unk>
    assert len(exact.completion_ids) == 1 + 5 + 5 * 5 * vocabulary
    assert len({tuple(ids) for ids in exact.completion_ids}) == len(exact.completion_ids)
    for ids in exact.completion_ids:
        assert eos not in ids[:-1]
        assert ids[-1] == eos or len(ids) == 3
    assert exact.logp.exp().sum().item() == pytest.approx(1, abs=1e-6)
    assert exact.lengths.tolist() == [len(ids) for ids in exact.completion_ids]


def test_log_probabilities_are_those_of_a_forward_pass_per_completion() -> None:
    model, tokenizer = a_model("a b c", 1)
    exact = enumerate_completions(model, tokenizer, PROMPT, 3)
    prompt = tokenizer(PROMPT)["input_ids"]
    for row in range(0, len(exact.logp), 5):
        ids = exact.completion_ids[row]
        with torch.no_grad():
            logp = model(input_ids=torch.tensor([prompt + ids])).logits[0].double().log_softmax(-1)
        by_hand = sum(logp[len(prompt) + t - 1, token].item() for t, token in enumerate(ids))
        assert exact.logp[row].item() == pytest.approx(by_hand, abs=1e-5)


def test_samples_occur_as_often_as_stated_and_their_texts_agree() -> None:
    model, tokenizer = a_model("a b c", 2)
    exact = enumerate_completions(model, tokenizer, PROMPT, 3)
    n = 8000
    samples = ModelPolicy(model, tokenizer, 3, batch_size=2000).sample([PROMPT] * n, seed=0)
    counts = Counter(map(tuple, samples.completion_ids))
    place = {tuple(ids): i for i, ids in enumerate(exact.completion_ids)}
    assert set(counts) <= set(place)
    expected = n * exact.logp.exp()
    observed = torch.zeros_like(expected)
    for ids, count in counts.items():
        observed[place[ids]] = count
    frequent = expected > 5
    assert frequent.sum() > 15
    z = (observed - expected) / expected.sqrt()
    assert z[frequent].abs().max() < 4
    assert z[frequent].square().mean() < 2
    texts = {tuple(ids): text for ids, text in zip(samples.completion_ids, samples.completions, strict=True)}
    assert all(exact.completions[place[ids]] == text for ids, text in texts.items())


def test_the_strings_world_is_enumerated_whole() -> None:
    task = Strings()
    model, tokenizer = a_model(" ".join(task.vocabulary()), 3, sharpness=1)
    exact = enumerate_completions(model, tokenizer, PROMPT, task.max_completion_tokens)
    assert len(exact.logp) == 1 + 18 + 18**2 + 18**3 * 19
    assert exact.logp.exp().sum().item() == pytest.approx(1, abs=1e-5)
    gold = torch.tensor(task.gold([PROMPT] * len(exact.logp), exact.completions), dtype=torch.float64)
    # only what ends in <eos> within the limit is a string: 16 + 16² + 16³ of them
    ended = torch.tensor([ids[-1] == tokenizer.eos_token_id for ids in exact.completion_ids])
    assert (gold > -1).logical_and(~ended).sum() == 0
    assert (gold > -1).sum() >= 16 + 16**2 + 16**3 - 3
    assert gold.max().item() == pytest.approx(1)


def test_the_models_mode_is_left_as_it_was() -> None:
    model, tokenizer = a_model("a", 0)
    enumerate_completions(model.train(), tokenizer, "a", 1)
    assert model.training


def test_reward_kl_and_entropy_by_hand() -> None:
    pi, reference = log(0.5, 0.25, 0.25), log(0.25, 0.25, 0.5)
    ln2 = log(2).item()
    assert expected_reward(pi, torch.tensor([1.0, 2.0, -4.0])).item() == pytest.approx(0)
    assert kl(pi, reference).item() == pytest.approx(0.25 * ln2)
    assert kl(reference, pi).item() == pytest.approx(0.25 * ln2)
    assert kl(log(1, 0, 0), reference).item() == pytest.approx(2 * ln2)  # π first
    assert kl(reference, log(1, 0, 0)).item() == float("inf")
    assert kl(log(1, 0), log(1, 0)).item() == 0
    assert entropy(pi).item() == pytest.approx(1.5 * ln2)
    assert entropy(log(1, 0)).item() == 0


def test_entropy_is_the_expected_sum_of_per_token_entropies() -> None:
    model, tokenizer = a_model("a b c", 4)
    exact = enumerate_completions(model, tokenizer, PROMPT, 2)
    prompt = tokenizer(PROMPT)["input_ids"]

    def token_entropy(prefix: list[int]) -> tuple[float, torch.Tensor]:
        with torch.no_grad():
            logp = model(input_ids=torch.tensor([prompt + prefix])).logits[0, -1].double().log_softmax(-1)
        return entropy(logp).item(), logp.exp()

    first, p = token_entropy([])
    by_token = first + sum(p[t].item() * token_entropy([t])[0] for t in range(len(p)) if t != tokenizer.eos_token_id)
    assert entropy(exact.logp).item() == pytest.approx(by_token, abs=1e-6)


def test_the_optimal_policy_by_hand() -> None:
    # π0 = (½, ½), r = (0, β ln 3): π* = (¼, ¾), Z = ½ + 3/2 = 2
    rewards = 0.5 * log(1, 3)
    assert optimal_policy(log(0.5, 0.5), rewards, 0.5).exp().tolist() == pytest.approx([0.25, 0.75])
    assert optimal_value(log(0.5, 0.5), rewards, 0.5).item() == pytest.approx(0.5 * log(2).item())


@pytest.mark.parametrize("beta", [0.05, 0.5, 5.0])
def test_no_policy_exceeds_beta_log_z_and_the_optimal_one_attains_it(beta: float) -> None:
    reference = small(0).logp
    rewards = torch.rand(len(reference), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    best = optimal_value(reference, rewards, beta).item()
    optimal = optimal_policy(reference, rewards, beta)
    assert optimal.exp().sum().item() == pytest.approx(1)
    assert regularised_objective(optimal, reference, rewards, beta).item() == pytest.approx(best)
    for other in (reference, small(1).logp, small(2).logp, optimal_policy(reference, rewards, 2 * beta)):
        gap = best - regularised_objective(other, reference, rewards, beta).item()
        # J(π*) − J(π) = β KL(π ‖ π*)
        assert gap == pytest.approx(beta * kl(other, optimal).item(), rel=1e-5)
        assert gap > 0


def test_the_strings_world_knows_the_gold_reward_of_every_completion() -> None:
    task = Strings()
    model, tokenizer = a_model(" ".join(task.vocabulary()), 3, sharpness=1)
    prompt = task.prompts("test")["prompt"][0]
    exact = enumerate_completions(model, tokenizer, prompt, task.max_completion_tokens)
    # the shortcut on tokens agrees with decoding
    gold = task.enumerated_gold(tokenizer, prompt)
    assert gold == pytest.approx(np.array(task.gold([prompt] * len(exact.logp), exact.completions)), abs=1e-12)


def test_a_vocabulary_with_too_many_completions_is_refused_with_their_number() -> None:
    task = Strings()
    wide = word_tokenizer([*task.vocabulary(), *(f"word{i}" for i in range(100))])
    assert task.enumerated_gold(wide, PROMPT) is None
    with pytest.raises(BenchError, match="195,534,851"):
        all_completions(len(wide), wide.eos_token_id, 4)


def test_completions_are_found_where_they_stand() -> None:
    exact = small()
    assert rows_of(exact.completion_ids, 6, 1, 3) == list(range(len(exact.logp)))


def test_states_are_the_prefixes_before_each_token() -> None:
    exact = small()
    before = states(6, 1, 3)
    names: dict[int, tuple[int, ...]] = {}
    for ids, row in zip(exact.completion_ids, before.tolist(), strict=True):
        assert row[len(ids) :] == [-1] * (3 - len(ids))
        for t in range(len(ids)):
            assert names.setdefault(row[t], tuple(ids[:t])) == tuple(ids[:t])
    assert [names[i] for i in range(len(names))] == sorted(names.values(), key=lambda each: (len(each), each))
    assert len(names) == 1 + 5 + 25


def test_log_probabilities_are_differentiable() -> None:
    model, tokenizer = a_model("a b c", 5)
    ids = tokenizer(PROMPT)["input_ids"]
    weight = model.transformer.h[0].mlp.c_fc.weight
    rewards = torch.linspace(-1, 1, 1 + 5 + 5 * 5 * 6, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(expected_reward(log_probabilities(model, ids, 3), rewards), weight)
    step = torch.zeros_like(weight)
    step[3, 5] = 0.05
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(sign * step)
            values.append(expected_reward(log_probabilities(model, ids, 3), rewards).item())
            weight.sub_(sign * step)
    assert gradient[3, 5].item() == pytest.approx((values[0] - values[1]) / 0.1, rel=1e-2)


@pytest.mark.parametrize("pad_is_eos", [False, True])
def test_scores_of_all_completions_are_those_of_their_texts(pad_is_eos: bool) -> None:
    model, tokenizer = a_model("a b c", 6)
    if pad_is_eos:
        tokenizer.pad_token = tokenizer.eos_token
    config = copy.deepcopy(model.config)
    config.num_labels, config.pad_token_id = 1, tokenizer.pad_token_id
    torch.manual_seed(0)
    module = GPT2ForSequenceClassification(config)
    torch.nn.init.normal_(module.score.weight)
    reward = RewardModel(module, tokenizer)
    exact = enumerate_completions(model, tokenizer, PROMPT, 3)
    by_text = reward([PROMPT] * len(exact.logp), exact.completions)
    assert reward.enumerated(PROMPT, 3).tolist() == pytest.approx(by_text, abs=1e-5)
