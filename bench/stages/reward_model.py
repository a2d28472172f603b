"""Stage `reward_model`: a Bradley–Terry reward model trained by TRL from the SFT model.

Trained on the training pairs it is the proxy that methods maximise; trained on the held-out pairs it is the judge of
tasks whose gold reward nobody knows. Either is tested on the pairs that the other was trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from trl import RewardConfig, RewardTrainer

from bench.errors import BenchError
from bench.measures.reward_model import pair_accuracy, pair_ece, pair_nll
from bench.models import load_classifier
from bench.reward import RewardModel
from bench.settings import RewardModelStage
from bench.stages.job import Job, seed_everything
from bench.training import FiniteCallback, ProgressCallback, training_arguments

if TYPE_CHECKING:
    from datasets import Dataset


def run(job: Job) -> dict[str, Any]:
    """Write the reward model; report its accuracy, calibration and NLL on pairs it has not seen."""
    settings = RewardModelStage(**job.spec["settings"])
    own, other = ("train", "heldout") if job.spec["split"] == "train" else ("heldout", "train")
    pairs = job.pairs(own)
    if len(pairs) == 0:
        raise BenchError(f"no {own} preference pairs to train a reward model on")
    seed_everything(job.seed)
    module = load_classifier(job.parents["sft"], job.tokenizer)
    trainer = RewardTrainer(
        module,
        RewardConfig(
            **training_arguments(job.scratch, job.seed, job.device),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            max_length=None,
        ),
        train_dataset=pairs,
        processing_class=job.tokenizer,
        callbacks=[FiniteCallback(), ProgressCallback(job.progress)],
    )
    trainer.train()
    module.save_pretrained(job.directory)
    scorer = RewardModel(module, job.tokenizer)
    history = trainer.state.log_history
    seen, unseen = quality(scorer, pairs), quality(scorer, job.pairs(other))
    return {
        "tokens_trained": int(max((entry.get("num_tokens", 0) for entry in history), default=0)),
        "accuracy_train": seen.get("reward_model_accuracy"),
        "accuracy_heldout": unseen.get("reward_model_accuracy"),
        "measures": unseen,
        "pairs": len(pairs),
        "pairs_heldout": len(job.pairs(other)),
    }


def quality(reward_model: RewardModel, pairs: Dataset) -> dict[str, float]:
    """Accuracy, calibration error and NLL on `pairs`, by the names of `bench.measures`; nothing without pairs."""
    if len(pairs) == 0:
        return {}
    chosen = np.array(reward_model(pairs["prompt"], pairs["chosen"]))
    rejected = np.array(reward_model(pairs["prompt"], pairs["rejected"]))
    return {
        "reward_model_accuracy": pair_accuracy(chosen, rejected),
        "reward_model_ece": pair_ece(chosen, rejected),
        "reward_model_nll": pair_nll(chosen, rejected),
    }
