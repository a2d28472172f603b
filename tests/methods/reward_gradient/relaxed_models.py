"""Models of a few thousand parameters, and a `RewardGradientTrainer` of them, for the tests beside this file."""

from __future__ import annotations

import copy

import torch
from datasets import Dataset
from transformers import (
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    TrainingArguments,
)

from bench.models import tiny_model, word_tokenizer
from bench.sampling import pad_left
from bench.settings import TinyModel
from methods.reward_gradient.trainer import RewardGradientTrainer

WORDS = ["good", "bad", "film", "plot", "a", "the", "not"]
PROMPTS = ["the film", "a plot", "the bad bad film", "good"]
COMPLETIONS = [" good", " bad film", " not a good film not a good film", ""]


def tokenizer(pad_is_eos: bool = False):
    made = word_tokenizer(WORDS)
    if pad_is_eos:
        made.pad_token = made.eos_token
    return made


def gpt2(seed: int = 0, pad_is_eos: bool = False):
    settings = TinyModel(layers=1, width=16, heads=2, context=64)
    return tiny_model(settings, tokenizer(pad_is_eos), seed).eval()


def llama(seed: int = 0, pad_is_eos: bool = False):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer()),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=1 if pad_is_eos else 0,
    )
    return LlamaForCausalLM(config).eval()


def reward_for(model, seed: int = 1):
    config = copy.deepcopy(model.config)
    config.num_labels = 1
    torch.manual_seed(seed)
    kinds = {"gpt2": GPT2ForSequenceClassification, "llama": LlamaForSequenceClassification}
    module = kinds[config.model_type](config)
    torch.nn.init.normal_(module.score.weight)
    return module.eval().requires_grad_(False)


def prompts(pad_is_eos: bool = False):
    made = tokenizer(pad_is_eos)
    return pad_left([made(text)["input_ids"] for text in PROMPTS], made.pad_token_id)


OWN = ("kl_weight", "callbacks", "estimator", "rollout", "temperature", "final_temperature", "anneal")


def trainer(directory, *, model, reward, **settings):
    own = {name: settings.pop(name) for name in OWN if name in settings}
    defaults = {
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 4,
        "max_steps": 3,
        "logging_steps": 1,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
        "bf16": False,
    }
    return RewardGradientTrainer(
        model=model,
        reward_module=reward,
        args=TrainingArguments(output_dir=str(directory), **{**defaults, **settings}),
        train_dataset=Dataset.from_dict({"prompt": PROMPTS, "completion": COMPLETIONS}),
        processing_class=tokenizer(),
        ref_model=copy.deepcopy(model).requires_grad_(False) if own.get("kl_weight") else None,
        max_completion_length=5,
        **own,
    )
