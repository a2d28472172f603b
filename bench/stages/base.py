"""Stage `base`: a tiny GPT-2 pre-trained on the task's own text, or a model that somebody else trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from transformers import Trainer, TrainingArguments

from bench.contracts.stage_settings import TinyModel
from bench.models.encoding import windows
from bench.models.padding import pad_right
from bench.models.tiny import tiny_model
from bench.models.tokenizers import bpe_tokenizer, load_tokenizer, word_tokenizer
from bench.models.training.callbacks import FiniteCallback, ProgressCallback, training_arguments
from bench.stages.artifact import POINTER
from bench.stages.job import Job, require_unchanged


def run(job: Job) -> dict[str, Any]:
    """Write the tokenizer and the model (or a pointer to it)."""
    source = job.spec["model"]
    if isinstance(source, str):
        load_tokenizer(source).save_pretrained(job.directory)
        (job.directory / POINTER).write_text(json.dumps({"source": source, "digest": job.spec["model_digest"]}))
        require_unchanged(source, job.spec["model_digest"])
        return {}
    return pretrain(job, TinyModel(**source))


def pretrain(job: Job, settings: TinyModel) -> dict[str, Any]:
    """Train a GPT-2 from scratch to predict the task's corpus, one text (or window of a long text) per row."""
    corpus = job.task.corpus(job.seed)
    words = job.task.vocabulary()
    tokenizer = word_tokenizer(words) if words else bpe_tokenizer(corpus, settings.vocabulary)
    rows = windows(tokenizer, corpus, settings.context)
    model = tiny_model(settings, tokenizer, job.seed)

    def collate(batch: Sequence[list[int]]) -> dict[str, torch.Tensor]:
        ids, mask = pad_right(batch, tokenizer.pad_token_id)
        return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}

    arguments = TrainingArguments(
        **training_arguments(job.scratch, job.seed, job.device),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(50, settings.steps // 10),
        remove_unused_columns=False,
    )
    trainer = Trainer(
        model,
        arguments,
        data_collator=collate,
        train_dataset=rows,
        callbacks=[FiniteCallback(), ProgressCallback(job.progress)],
    )
    trainer.train()
    model.save_pretrained(job.directory)
    tokenizer.save_pretrained(job.directory)
    trained = settings.steps * settings.batch_size * sum(map(len, rows)) // len(rows)
    return {"tokens_trained": trained, "parameters": model.num_parameters()}
