"""What the parts share: their arguments, the model from a directory or a GGUF file, prompts of one length."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TEXT = """
the a this that film book river city people children music story house morning winter teacher doctor garden road letter
question answer idea problem money water light night summer friend family market machine is was has makes gives takes
finds shows tells keeps brings needs likes plays reads sees and but because when in on under near with without after
before very quite almost never often always small large old new good bad
"""


def arguments(about: str | None) -> argparse.Namespace:
    """The command line of a part."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--peer")
    parser.add_argument("--small", action="store_true")
    return parser.parse_args()


def report(figures: dict) -> None:
    """Print what is known so far: the last such line is the part's answer."""
    print(json.dumps(figures), flush=True)


def as_directory(model: Path) -> Path:
    """`model` in transformers' format: itself, or beside it what its GGUF file holds, in float32."""
    if model.is_dir():
        return model
    folder = model.with_suffix("")
    if not (folder / "config.json").exists():
        loaded = AutoModelForCausalLM.from_pretrained(model.parent, gguf_file=model.name, dtype=torch.float32)
        loaded.hf_quantizer = None  # what it says of quantisation is no longer so
        del loaded.config.quantization_config
        loaded.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name)
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        tokenizer.save_pretrained(folder)
    return folder


def prompts_of(tokenizer: PreTrainedTokenizerBase, tokens: int, count: int) -> list[str]:
    """Texts of simple words, each of exactly so many tokens."""
    draw, words, found = random.Random(0), TEXT.split(), []
    while len(found) < count:
        text = " ".join(draw.choices(words, k=tokens))
        ids = tokenizer(text)["input_ids"][:tokens]
        text = tokenizer.decode(ids)
        if tokenizer(text)["input_ids"] == ids and len(ids) == tokens:
            found.append(text)
    return found
