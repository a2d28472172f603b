"""Stage `sft`: supervised fine-tuning of the base model on the demonstrations, by TRL. Gives the reference π0."""

from __future__ import annotations

from typing import Any

from bench.contracts.errors import BenchError
from bench.contracts.stage_settings import SFTStage
from bench.models.encoding import within_context
from bench.models.legible import aside, legible
from bench.models.loading import context_length
from bench.models.training.callbacks import FiniteCallback, ProgressCallback, training_arguments
from bench.models.training.supervised import fine_tune
from bench.stages.job import Job, seed_everything


def run(job: Job) -> dict[str, Any]:
    """Write the SFT model."""
    settings = SFTStage(**job.spec["settings"])
    seed_everything(job.seed)
    demonstrations = job.task.demonstrations(job.spec["demonstrations_seed"])
    if settings.max_demonstrations is not None:
        keep = min(settings.max_demonstrations, len(demonstrations))
        demonstrations = demonstrations.shuffle(seed=job.seed).select(range(keep))
    model = job.load_base()
    demonstrations, illegible = legible(demonstrations, job.tokenizer)
    demonstrations, too_long = within_context(demonstrations, job.tokenizer, context_length(model))
    if len(demonstrations) == 0:
        because = "".join(f"; {count:,} {why}" for why, count in illegible.items())
        raise BenchError(f"no demonstration fits the model's context: use a larger `context` or shorter texts{because}")
    tokens = fine_tune(
        model,
        job.tokenizer,
        demonstrations,
        training_arguments(job.scratch, job.seed, job.device)
        | {
            "num_train_epochs": settings.epochs,
            "per_device_train_batch_size": settings.batch_size,
            "learning_rate": settings.learning_rate,
        },
        [FiniteCallback(), ProgressCallback(job.progress)],
    )
    model.save_pretrained(job.directory)
    return {
        "tokens_trained": tokens,
        "demonstrations": len(demonstrations),
        "set_aside": {"demonstrations longer than the model's context": too_long} | aside("demonstrations", illegible),
    }
