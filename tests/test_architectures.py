"""Whatever architecture a language model has, the bench trains, samples and measures it.

Tiny models with random weights, of every kind that transformers has and that runs on a CPU in seconds, through a few
methods; with ``BENCH_ALL_ARCHITECTURES=1`` all of `KINDS` through all of `ALL`.
"""

import json
import os

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import bench
from bench.models.tokenizers import bpe_tokenizer

TEXTS = ["what is red ?", "a colour .", "say two words .", "blue and green", "never mind", "all is well , thank you ."]
WIDTH = {"hidden_size": 32, "num_hidden_layers": 2}
USUAL = WIDTH | {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
USUAL |= {"head_dim": 8, "max_position_embeddings": 128}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
MAMBA = WIDTH | {"state_size": 8}
MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8}
NARROW = {"ffn_dim": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False}

FEW = {
    "llama": USUAL,
    "gpt2": GPT,
    "gpt_neox": USUAL,
    "opt": USUAL | NARROW,
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "falcon": WIDTH | {"num_attention_heads": 4},
    "gemma2": USUAL | {"query_pre_attn_scalar": 8, "sliding_window": 8},
    "qwen3": USUAL,
    "mixtral": USUAL | EXPERTS,
    "phi": USUAL,
    "granite": USUAL,
    "cohere": USUAL,
    "mamba": MAMBA,
    "mamba2": MAMBA | {"num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 8},
    "recurrent_gemma": USUAL | {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 16},
}
MORE = {
    "bamba": USUAL | MAMBA2 | {"attn_layer_indices": [1]},
    "codegen": GPT | {"rotary_dim": 4},
    "cohere2": USUAL | {"sliding_window": 8},
    "falcon_mamba": MAMBA,
    "gemma3_text": USUAL | {"query_pre_attn_scalar": 8, "sliding_window": 8},
    "glm4": USUAL,
    "gpt_bigcode": GPT,
    "gpt_neo": {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]},
    "lfm2": USUAL,
    "ministral": USUAL | {"sliding_window": 8},
    "mistral": USUAL | {"sliding_window": 8},
    "olmo2": USUAL,
    "olmoe": USUAL | EXPERTS,
    "phi3": USUAL | {"pad_token_id": 0},
    "qwen2": USUAL,
    "qwen3_moe": USUAL | EXPERTS,
    "smollm3": USUAL,
    "stablelm": USUAL,
    "starcoder2": USUAL,
    "xglm": {"d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 64},
}
KINDS = FEW | MORE
METHODS = {"sft": {}, "dpo": {"epochs": 1}, "ppo": {"steps": 1, "rollouts": 8, "minibatches": 1, "critic": "separate"}}
ALL = METHODS | {
    "base": {},
    "kto": {"epochs": 1},
    "rloo": {"steps": 1},
    "best_of_n": {"n": 2},
    "simpo": {"epochs": 1},
}


def save_model(folder, kind):
    tokenizer = bpe_tokenizer(TEXTS, 280)
    ids = {"vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **KINDS[kind] | ids)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"model": str(folder)}


@pytest.mark.slow
def test_models_of_every_kind_run_to_the_end(tmp_path):
    every = bool(os.environ.get("BENCH_ALL_ARCHITECTURES"))
    kinds = KINDS if every else FEW
    rows = [
        {"prompt": f"{TEXTS[i % 3]} {i}\n", "chosen": f"{TEXTS[3 + i % 2]} {i % 7}", "rejected": f"{TEXTS[5]} {i % 5}"}
        for i in range(40)
    ]
    (tmp_path / "pairs.json").write_text(json.dumps(rows))
    run = bench.run(
        {
            "tasks": {"mine": {"task": "dataset", "path": str(tmp_path / "pairs.json"), "max_completion_tokens": 6}},
            "models": {kind: save_model(tmp_path / kind, kind) for kind in kinds},
            "methods": ALL if every else METHODS,
            "seeds": 1,
            "stages": {"sft": {"epochs": 1}, "reward_model": {"epochs": 1}},
            "evaluation": {"prompts": 4, "samples": 2, "curve_points": 0},
        },
        out=tmp_path / "run",
        store=tmp_path / "store",
        jobs=2,
    )
    ended = run.records[run.records["status"] != "ok"]
    assert ended.empty, "\n".join(ended["model"] + " " + ended["method"] + ": " + ended["reason"])
    drawn = run.records.drop_duplicates(["model", "method"])
    assert len(drawn) == len(kinds) * len(ALL if every else METHODS)
