"""Stage `sft`: supervised fine-tuning of the base model on the demonstrations, by TRL. Gives the reference π0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trl import SFTConfig, SFTTrainer

from bench.encoding import within_context
from bench.errors import BenchError
from bench.models import context_length
from bench.settings import SFTStage
from bench.stages.job import Job, seed_everything
from bench.training import FiniteCallback, ProgressCallback, training_arguments

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback


def run(job: Job) -> dict[str, Any]:
    """Write the SFT model."""
    settings = SFTStage(**job.spec["settings"])
    seed_everything(job.seed)
    demonstrations = job.task.demonstrations(job.spec["demonstrations_seed"])
    if settings.max_demonstrations is not None:
        keep = min(settings.max_demonstrations, len(demonstrations))
        demonstrations = demonstrations.shuffle(seed=job.seed).select(range(keep))
    model = job.load_base()
    demonstrations, too_long = within_context(demonstrations, job.tokenizer, context_length(model))
    if len(demonstrations) == 0:
        raise BenchError("no demonstration fits the model's context: use a larger `context` or shorter texts")
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
        "set_aside": {"demonstrations longer than the model's context": too_long},
    }


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    demonstrations: Dataset,
    arguments: dict[str, Any],
    callbacks: list[TrainerCallback],
) -> int:
    """Maximise the log-likelihood of completions given their prompts, in place; returns the tokens trained on.

    Args:
        demonstrations: columns `prompt` and `completion`; others are ignored.
        arguments: of TRL's `SFTConfig`.
    """
    trainer = SFTTrainer(
        model,
        SFTConfig(**arguments, max_length=None),
        train_dataset=demonstrations.select_columns(["prompt", "completion"]),
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    trainer.train()
    return int(max((entry.get("num_tokens", 0) for entry in trainer.state.log_history), default=0))
