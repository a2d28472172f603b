"""Rewards and a `RewardGradientTrainer` of small models, for the tests beside this file."""

from __future__ import annotations

import copy

import torch
from datasets import Dataset
from transformers import TrainingArguments

from bench.models.padding import pad_left
from methods.reward_gradient.trainer import RewardGradientTrainer
from tests.small_models import classifier_for, tokenizer

PROMPTS = ["the film", "a plot", "the bad bad film", "good"]
COMPLETIONS = [" good", " bad film", " not a good film not a good film", ""]


def reward_for(model, seed: int = 1):
    module = classifier_for(model, seed)
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
