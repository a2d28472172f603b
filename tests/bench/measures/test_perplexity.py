"""Perplexity by hand."""

import math

import numpy as np
import pytest
import torch

from bench.contracts.stage_settings import TinyModel
from bench.measures.perplexity import perplexity
from bench.models.text_likelihood import token_nll
from bench.models.tiny import tiny_model
from bench.models.tokenizers import word_tokenizer


def test_perplexity_weighs_tokens_not_texts():
    # 1 token at probability 1/8 and 3 tokens at 1/2: exp((3·ln 2 + 3·ln 2)/4), not the mean of 8 and 2
    nll, tokens = np.array([math.log(8), 3 * math.log(2)]), np.array([1.0, 3.0])
    assert perplexity(nll, tokens) == pytest.approx(2**1.5)


@pytest.fixture(scope="module")
def world():
    tokenizer = word_tokenizer(["good", "bad", "film", "a"])
    model = tiny_model(TinyModel(layers=1, width=16, heads=2, context=32, steps=1), tokenizer, seed=0)
    return model.eval(), tokenizer


def test_token_nll_counts_the_completion_and_its_eos(world):
    model, tokenizer = world
    prompts, completions = ["a film", "a"], [" good good", " bad"]
    nll, tokens = token_nll(model, tokenizer, prompts, completions, batch_size=2)
    assert tokens.tolist() == [3, 2]
    ids = [*tokenizer("a film good good")["input_ids"], tokenizer.eos_token_id]
    with torch.no_grad():
        logp = model(torch.tensor([ids])).logits.log_softmax(-1)[0]
    by_hand = -sum(float(logp[t - 1, ids[t]]) for t in range(2, 5))
    assert nll[0] == pytest.approx(by_hand, abs=1e-5)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary(world):
    _, tokenizer = world
    model = tiny_model(TinyModel(layers=1, width=16, heads=2, context=32, steps=1), tokenizer, seed=0)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    conversation = [[{"role": "user", "content": "a film"}], [{"role": "user", "content": "bad"}]]
    replies = [[{"role": "assistant", "content": "good"}], [{"role": "assistant", "content": "a bad film"}]]
    assert perplexity(*token_nll(model, tokenizer, conversation, replies, 2)) == pytest.approx(len(tokenizer))
