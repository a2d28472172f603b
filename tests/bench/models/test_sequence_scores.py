"""KL against an enumeration done by hand, and scores that do not depend on padding."""

import itertools
import math

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from bench.measures.divergence import kl_k1, kl_k3
from bench.models.sequence_scores import full_entropy, full_kl, reference_scores, sequence_scores

VOCABULARY, LENGTH, EOS = 4, 3, 0
PROMPT = [2, 1]


def tiny(seed: int, sharpness: float = 6.0) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=32, n_embd=16, n_layer=1, n_head=2, resid_pdrop=0, embd_pdrop=0,
        attn_pdrop=0, eos_token_id=EOS, pad_token_id=EOS, bos_token_id=EOS,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(sharpness)
    return model


def enumerate_completions() -> list[list[int]]:
    """Every completion of at most LENGTH tokens that ends at its first EOS or at the limit."""
    ended = [[*head, EOS] for n in range(LENGTH) for head in itertools.product(range(1, VOCABULARY), repeat=n)]
    return ended + [list(c) for c in itertools.product(range(1, VOCABULARY), repeat=LENGTH)]


@torch.no_grad()
def logp_by_hand(model: GPT2LMHeadModel, completion: list[int]) -> float:
    ids = list(PROMPT)
    total = 0.0
    for token in completion:
        logits = model(torch.tensor([ids])).logits[0, -1].double()
        total += float(logits.log_softmax(-1)[token])
        ids.append(token)
    return total


def test_mean_of_the_rao_blackwellised_kl_is_the_exact_kl():
    policy, reference = tiny(0), tiny(1)
    every = enumerate_completions()
    mine = np.array([logp_by_hand(policy, c) for c in every])
    theirs = np.array([logp_by_hand(reference, c) for c in every])
    p = np.exp(mine)
    assert p.sum() == pytest.approx(1, abs=1e-9)
    exact = float(np.sum(p * (mine - theirs)))
    assert exact > 0.1  # the two models differ, or the test would say nothing

    scores = sequence_scores(policy, reference, [PROMPT] * len(every), every, batch_size=7)
    np.testing.assert_allclose(scores["logp"], mine, atol=1e-5)
    np.testing.assert_allclose(scores["reference_logp"], theirs, atol=1e-5)
    assert np.sum(p * scores["kl"]) == pytest.approx(exact, abs=1e-5)
    assert np.sum(p * scores["entropy"]) == pytest.approx(float(-np.sum(p * mine)), abs=1e-5)
    np.testing.assert_array_equal(scores["length"], [len(c) for c in every])
    # Rao–Blackwell: the same mean with no larger a variance
    k1 = kl_k1(scores["logp"], scores["reference_logp"])
    assert np.sum(p * k1) == pytest.approx(exact, abs=1e-5)
    assert np.sum(p * scores["kl"] ** 2) < np.sum(p * k1**2)
    assert np.sum(p * kl_k3(scores["logp"], scores["reference_logp"])) == pytest.approx(exact, abs=1e-5)


def test_scores_do_not_depend_on_the_batch_nor_on_pad_being_eos():
    rng = np.random.default_rng(0)
    prompts = [list(map(int, rng.integers(1, VOCABULARY, rng.integers(1, 6)))) for _ in range(16)]
    # EOS inside the prompt, and completions of very different lengths, some of them just EOS
    prompts[3] = [EOS, 1, EOS]
    completions = [[*map(int, rng.integers(1, VOCABULARY, n % 7)), EOS] for n in range(16)]
    policy, reference = tiny(0), tiny(1)
    one = sequence_scores(policy, reference, prompts, completions, batch_size=1)
    for pad in (EOS, 3):
        policy.config.pad_token_id = reference.config.pad_token_id = pad
        many = sequence_scores(policy, reference, prompts, completions, batch_size=16)
        for name in one:
            np.testing.assert_allclose(many[name], one[name], atol=1e-5, err_msg=name)


def test_a_policy_equal_to_the_reference_has_no_kl():
    scores = sequence_scores(tiny(0), tiny(0), [PROMPT] * 5, [[1, 2, 0]] * 5, batch_size=2)
    np.testing.assert_array_equal(scores["kl"], 0)
    np.testing.assert_array_equal(scores["logp"], scores["reference_logp"])


def test_reference_scores_are_those_of_sequence_scores():
    token_ids = [PROMPT, [1], [3, 3, 3]], [[1, 0], [2, 2, 2], [0]]
    both = sequence_scores(tiny(0), tiny(1), *token_ids, batch_size=2)
    alone = reference_scores(tiny(1), *token_ids, batch_size=3)
    assert alone.keys() == {"reference_logp", "length"}
    for name, values in alone.items():
        np.testing.assert_allclose(values, both[name], atol=1e-6)


def test_an_empty_prompt_is_refused():
    with pytest.raises(ValueError, match="empty prompt"):
        reference_scores(tiny(0), [[]], [[1, 0]], batch_size=1)


def test_impossible_tokens_add_nothing():
    logp = torch.tensor([0.0, -torch.inf])
    assert full_kl(logp, torch.tensor([math.log(0.5), -torch.inf])) == pytest.approx(math.log(2))
    assert full_entropy(logp) == 0


def test_the_model_need_not_be_a_gpt2():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    model = LlamaForCausalLM(config).eval()
    prompts, completions = [[1, 2, 3], [5]], [[4, 0], [6, 7, 1, 0]]
    one = reference_scores(model, prompts, completions, batch_size=1)
    two = reference_scores(model, prompts, completions, batch_size=2)
    np.testing.assert_allclose(one["reference_logp"], two["reference_logp"], atol=1e-5)
    with torch.no_grad():
        logp = model(torch.tensor([[1, 2, 3, 4, 0]])).logits.log_softmax(-1)[0]
    assert one["reference_logp"][0] == pytest.approx(float(logp[2, 4] + logp[3, 0]), abs=1e-5)
