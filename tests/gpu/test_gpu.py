"""The script for a machine with a GPU starts on one without, and its parts agree with themselves there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bench.models.tokenizers import bpe_tokenizer
from tests.gpu.world import TEXT

ROOT = Path(__file__).parents[2]


def run_parts(*options):
    command = [sys.executable, "-m", "tests.gpu", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def model(tmp_path):
    tokenizer = bpe_tokenizer([TEXT], 400)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.slow
def test_the_parts_run_without_a_gpu_and_write_their_figures(model, tmp_path):
    done = run_parts("--small", "--only", "parity", "--only", "ppo_step", "--out", str(tmp_path), "--model", str(model))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    figures = json.loads((tmp_path / "gpu.json").read_text())
    assert len(figures["parity"]["rows"]) == 6
    assert figures["ppo_step"]["rows"][0]["trainer"] == "ours"
    assert "| ours |" in (tmp_path / "gpu.md").read_text()


@pytest.mark.slow
def test_a_part_that_fails_says_so_and_leaves_its_reason(tmp_path):
    done = run_parts("--small", "--only", "parity", "--out", str(tmp_path), "--model", str(tmp_path / "nosuch.gguf"))
    assert done.returncode == 1
    assert "failed" in json.loads((tmp_path / "gpu.json").read_text())["parity"]
