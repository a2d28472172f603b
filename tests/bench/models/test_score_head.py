"""Every causal language model can carry a score and a value."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    CohereConfig,
    GraniteConfig,
    MambaConfig,
    OPTConfig,
    T5Config,
)

from bench.contracts.errors import BenchError
from bench.judging.judges.reward_model import RewardModelJudge
from bench.matrix.reading import load_matrix
from bench.models.learned_reward import RewardModel
from bench.models.loading import load_classifier, load_model, new_classifier
from methods.policy_gradient.actor_critic import ActorCritic
from tests.small_models import tokenizer

SHAPE = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32}
WITHOUT = [GraniteConfig(**SHAPE, **HEADS), MambaConfig(**SHAPE), CohereConfig(**SHAPE, **HEADS)]
TEXTS = (["good film", "a"], ["bad", "the plot not"])


def saved(folder, config, kind=AutoModelForCausalLM):
    torch.manual_seed(0)
    kind.from_config(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(params=WITHOUT, ids=lambda config: config.model_type)
def folder(request, tmp_path):
    return saved(tmp_path / "model", request.param)


def test_a_model_without_a_classifier_in_transformers_becomes_a_reward_model_and_comes_back(folder, tmp_path):
    fresh = load_classifier(folder, tokenizer()).eval()
    scores = RewardModel(fresh, tokenizer())(*TEXTS)
    assert scores[0] != scores[1]
    alone = [RewardModel(fresh, tokenizer())([p], [c])[0] for p, c in zip(*TEXTS, strict=True)]
    assert scores == pytest.approx(alone, abs=1e-5)  # padding says nothing

    kept = tmp_path / "kept"
    fresh.save_pretrained(kept)
    tokenizer().save_pretrained(kept)
    assert sorted(file.suffix for file in kept.glob("model*")) == [".safetensors"]
    assert RewardModel(load_classifier(kept, tokenizer()), tokenizer())(*TEXTS) == scores

    import pandas as pd

    rows = pd.DataFrame(dict(zip(("prompt", "completion"), TEXTS, strict=True)))
    assert RewardModelJudge(path=kept).scores(rows) == pytest.approx(scores, abs=1e-5)
    assert new_classifier(folder, tokenizer()).num_labels == 1

    weights = load_file(kept / "model.safetensors")
    del weights["score.weight"]
    save_file(weights, kept / "model.safetensors", {"format": "pt"})
    with pytest.raises(BenchError, match=r"not whole: 1 weights are missing, such as score\.weight"):
        load_classifier(kept, tokenizer())


def test_its_body_is_the_language_models_and_it_learns(folder):
    model, language = load_classifier(folder, tokenizer()), load_model(folder, tokenizer())
    ids = torch.tensor([[3, 4, 5], [6, 7, 0]])
    torch.testing.assert_close(
        model.base_model(input_ids=ids).last_hidden_state,
        language(input_ids=ids, output_hidden_states=True).hidden_states[-1],
    )
    model.config.problem_type = "regression"
    model(input_ids=ids, labels=torch.tensor([1.0, 2.0])).loss.backward()
    assert model.score.weight.grad.abs().sum() > 0


def test_a_critic_is_as_wide_as_the_states_that_the_head_reads(folder, tmp_path):
    narrow = OPTConfig(
        vocab_size=40, hidden_size=16, ffn_dim=32, num_hidden_layers=1, num_attention_heads=2, word_embed_proj_dim=8,
        do_layer_norm_before=False, max_position_embeddings=32,
    )  # fmt: skip
    for place in (folder, saved(tmp_path / "opt", narrow)):
        language, scorer = load_model(place, tokenizer()), load_classifier(place, tokenizer())
        for critic in ("value_head", scorer):
            seen = ActorCritic(language, critic)(torch.tensor([[3, 4, 5, 6]]), torch.tensor([2]), 2)
            assert seen.values.shape == seen.logprobs.shape == (1, 2)


def test_an_encoder_decoder_is_refused_before_anything_runs(tmp_path):
    shape = {"vocab_size": 40, "d_model": 16, "num_layers": 1, "d_ff": 16, "num_heads": 2, "d_kv": 8}
    saved(tmp_path / "t5", T5Config(**shape), AutoModelForSeq2SeqLM)
    (tmp_path / "matrix.yaml").write_text("tasks: strings\nmodels: {m: {model: t5}}\nmethods: sft\n")
    with pytest.raises(BenchError, match=r"encoder–decoder \(t5\): name a causal language model") as caught:
        load_matrix(tmp_path / "matrix.yaml")
    assert "\n" not in str(caught.value)
    with pytest.raises(BenchError, match="encoder–decoder"):
        load_model(tmp_path / "t5")
