"""Models that somebody else trained: directories in transformers' format, conversational data, pad = eos and not."""

import json

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import bench
from bench.models.tokenizers import bpe_tokenizer

TEXTS = ["what is red ?", "a colour .", "say two words .", "blue and green", "never mind", "all is well , thank you ."]


def rows(count):
    for i in range(count):
        question, good, bad = TEXTS[i % 3], TEXTS[3 + i % 2], TEXTS[5]
        yield {
            "prompt": [{"role": "user", "content": f"{question} {i}"}],
            "chosen": [{"role": "assistant", "content": f"{good} {i % 7}"}],
            "rejected": [{"role": "assistant", "content": f"{bad} {i % 5}"}],
        }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, rows(60))))
    return file


def save_model(folder, kind, pad_is_eos):
    trained = bpe_tokenizer(TEXTS, 300)
    names = {"eos_token": "<eos>", "pad_token": "<eos>" if pad_is_eos else "<pad>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained.backend_tokenizer, **names)
    size = {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 1}
    torch.manual_seed(0)
    if kind == "llama":
        model = LlamaForCausalLM(
            LlamaConfig(
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=1,
                max_position_embeddings=96,
                **size,
            )
        )
    else:
        # with dropout, which must be switched off, and sampling defaults of its own, which must not be used
        model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=96, resid_pdrop=0.5, **size))
        model.generation_config.top_k = 1
        model.generation_config.do_sample = True
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("kind, pad_is_eos", [("llama", True), pytest.param("gpt2", False, marks=pytest.mark.slow)])
def test_every_method_runs_on_a_saved_model_and_conversational_data(tmp_path, data, kind, pad_is_eos):
    folder = tmp_path / "model"
    save_model(folder, kind, pad_is_eos)
    run = bench.run(
        {
            "tasks": {"mine": {"task": "dataset", "path": str(data), "max_completion_tokens": 8}},
            "models": {kind: {"model": str(folder)}},
            "methods": {
                "base": {},
                "sft": {},
                "lima": {"size": 8, "epochs": 1},
                "dpo": {"epochs": 1},
                "ppo": {"steps": 2, "rollouts": 16},
                "reward_gradient": {"steps": 2, "batch_size": 8},
            },
            "seeds": 1,
            "stages": {"sft": {"epochs": 1}, "reward_model": {"epochs": 1}},
            "evaluation": {"prompts": 4, "samples": 2, "curve_points": 1, "curve_prompts": 4},
        },
        out=tmp_path / "run",
        store=tmp_path / "store",
    )
    assert dict(run.counts) == {"ok": 6}, [
        json.loads(file.read_text())["reason"] for file in (tmp_path / "run").glob("cells/*/record.json")
    ]
    frame = run.records.set_index("arm")
    assert set(frame["judged_by"]) == {"held-out reward model"}
    assert frame["gold"].isna().all() if "gold" in frame else True
    assert frame["reward_model_accuracy"].notna().all()
    assert frame.loc["sft", "kl"] == pytest.approx(0, abs=1e-5)
    assert (frame["unique"] > 0.5).all()  # neither top-k 1 nor any other default of the model's own
