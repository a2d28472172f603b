"""Stage `base`: a tiny GPT-2 pre-trained on the task's own text, or a model that somebody else trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import Trainer, TrainingArguments

from bench.contracts.errors import BenchError
from bench.contracts.stage_settings import TinyModel
from bench.models.encoding import encode_prompts, text_of, windows
from bench.models.legible import legible
from bench.models.loading import load_model
from bench.models.padding import pad_right
from bench.models.self_check import TEXTS, check_sampling, check_texts, check_tokenizer
from bench.models.tiny import tiny_model
from bench.models.tokenizers import bpe_tokenizer, load_tokenizer, word_tokenizer
from bench.models.training.callbacks import FiniteCallback, ProgressCallback, training_arguments
from bench.stages.artifact import POINTER
from bench.stages.job import Job, require_unchanged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def run(job: Job) -> dict[str, Any]:
    """Write the tokenizer and the model (or a pointer to it)."""
    source = job.spec["model"]
    if isinstance(source, str):
        tokenizer, digest = load_tokenizer(source), job.spec["model_digest"]
        check_tokenizer(tokenizer, source)
        checked = check(job, source, tokenizer)
        tokenizer.save_pretrained(job.directory)
        pointer = {"source": source, "digest": digest, "cached": not checked["without_cache"]}
        (job.directory / POINTER).write_text(json.dumps(pointer))
        require_unchanged(source, digest)
        return {"self_check": checked}
    return pretrain(job, TinyModel(**source))


def check(job: Job, source: str, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
    """Hold a model against its tokenizer, the task and itself: see `bench.models.self_check`."""
    prompts, aside = legible(job.task.prompts("train"), tokenizer)
    if not len(prompts):
        raise BenchError(f"no prompt of the task can be given to the model in {source}: {sum(aside.values())} {aside}")
    demonstrations = job.task.demonstrations(job.spec["demonstrations_seed"])["completion"][:TEXTS]
    asked, texts = prompts["prompt"][:TEXTS], [text_of(each) for each in demonstrations]
    model = load_model(source, tokenizer).to(job.device)
    check_texts(model, tokenizer, source, asked, texts, job.task.max_completion_tokens)
    return check_sampling(model, source, encode_prompts(tokenizer, asked))


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
