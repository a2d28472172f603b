"""Stage `reward_model`: a reward model, or an ensemble, fitted on pairs, on labelled answers or on ratings.

Trained on the training split it is the proxy that methods maximise; trained on the held-out pairs it is the judge of
tasks whose gold reward nobody knows. Either is tested on the pairs that the other was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.contracts.errors import BenchError
from bench.contracts.stage_settings import RewardModelStage
from bench.contracts.task import Completion, Prompt
from bench.measures.reward_accuracy import pair_accuracy, pair_ece, pair_nll, rank_correlation
from bench.models.ensemble import Ensemble
from bench.models.learned_reward import RewardModel, text_scores
from bench.models.loading import load_classifier, new_classifier
from bench.models.training.callbacks import MethodCallback, training_arguments
from bench.models.training.reward_fitting import MIDDLE, fit_labels, fit_ratings, fit_reward_model, language_head
from bench.stages.job import Job, seed_everything

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel

    Score = Callable[[Sequence[Prompt], Sequence[Completion]], list[float]]

CURVE_POINTS = 8


def run(job: Job) -> dict[str, Any]:
    """Write the reward model; report its accuracy, calibration, NLL and learning curve on pairs it has not seen."""
    settings = RewardModelStage(**job.spec["settings"])
    own, other = ("train", "heldout") if job.spec["split"] == "train" else ("heldout", "train")
    unseen = job.pairs(other)
    rows = job.pairs(own) if settings.fit == "pairs" else job.ratings(own)
    if reason := job.lacks(settings.made_of, own):
        return {"lacks": {own: reason}}
    if len(rows) == 0:
        raise BenchError(f"no {own} {settings.fit} to train a reward model on")
    curve: list[dict[str, float]] = []
    fitted = [fit_member(job, settings, rows, unseen, number, curve) for number in range(settings.members)]
    modules = [module for module, _ in fitted]
    module: PreTrainedModel | Ensemble = modules[0]
    if settings.members > 1:
        module = Ensemble(modules, settings.aggregate)
        if settings.aggregate == "min":
            module.centre([mean_score(job, each, rows) for each in modules])
    module.save_pretrained(job.directory)
    scorer = RewardModel(module, job.tokenizer)
    gold = job.task.gold if job.task.has_gold else None
    measures = quality(scorer, unseen, gold)
    info = {
        "tokens_trained": sum(tokens for _, tokens in fitted),
        "accuracy_heldout": measures.get("reward_model_accuracy"),
        "measures": measures,
        "pairs_heldout": len(sides(unseen)[0].prompts),
        "curve": curve,
    }
    if settings.fit == "pairs":
        return info | {"pairs": len(rows), "accuracy_train": quality(scorer, rows).get("reward_model_accuracy")}
    return info | {"ratings": len(rows), "ratings_mse_heldout": squared_error(scorer, job.ratings(other))}


def fit_member(
    job: Job,
    settings: RewardModelStage,
    rows: Dataset,
    unseen: Dataset,
    number: int,
    curve: list[dict[str, float]],
) -> tuple[PreTrainedModel, int]:
    """Train one member of the ensemble, on a seed of its own; the module and the tokens trained on.

    The first one's accuracy and NLL on `unseen` pairs, at the start and after 1/128, …, 1/2 and all of its steps, are
    appended to `curve`.
    """
    seed = (job.seed + 64 * settings.seed + number) % 2**32  # 64: the most members there may be
    seed_everything(seed)
    module = starting_point(job, settings)

    def report(step: int, total: int) -> None:
        job.progress(number * total + step, settings.members * total)

    def measure(model: PreTrainedModel, step: int) -> None:
        measures = quality(lambda *texts: text_scores(model, job.tokenizer, *texts), unseen)
        curve.append({"step": step, **{name.removeprefix("reward_model_"): value for name, value in measures.items()}})

    points = CURVE_POINTS if number == 0 and len(unseen) else 0
    callbacks = [MethodCallback(points, report, measure, lambda tokens: None, lambda step, figures: None)]
    arguments = training_arguments(job.scratch, seed, job.device) | {
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
    }
    if settings.fit == "ratings":
        return module, fit_ratings(module, job.tokenizer, rows, arguments, callbacks)
    if "label" in rows.column_names:
        for name in ("margin", "lm_weight"):
            if getattr(settings, name):
                raise BenchError(f"reward_model.{name}: goes with pairs, and this data has labelled answers; use 0")
        return module, fit_labels(module, job.tokenizer, rows, arguments, callbacks)
    head = language_head(module, start_language_model(job, settings)) if settings.lm_weight else None
    tokens = fit_reward_model(
        module, job.tokenizer, rows, arguments, callbacks, settings.margin, settings.lm_weight, head
    )
    return module, tokens


def starting_point(job: Job, settings: RewardModelStage) -> PreTrainedModel:
    """The classifier to train, from the global random state: its head is new, and from scratch all of it."""
    if settings.start == "scratch":
        return new_classifier(job.base_source, job.tokenizer)
    return load_classifier(job.parents["sft"] if settings.start == "sft" else job.base_source, job.tokenizer)


def start_language_model(job: Job, settings: RewardModelStage) -> PreTrainedModel:
    """The language model that the classifier started from."""
    model = job.load_sft() if settings.start == "sft" else job.load_base()
    if settings.start == "scratch" and not model.config.tie_word_embeddings:
        raise BenchError("reward_model.lm_weight: a model from scratch whose head is not its embedding has no head yet")
    return model


def quality(score: Score, pairs: Dataset, gold: Score | None = None) -> dict[str, float]:
    """How good `score` is on `pairs`, by the names of `bench.measures`; nothing without pairs.

    Accuracy, calibration error and NLL; and the rank correlation with `gold` over the completions of all pairs. Of
    labelled answers, see `sides`, the same of which of two is the wanted one.
    """
    texts = sides(pairs)
    if len(texts[0].prompts) == 0:
        return {}
    chosen, rejected = (np.array(score(*side)) for side in texts)
    measures = {
        "reward_model_accuracy": pair_accuracy(chosen, rejected),
        "reward_model_ece": pair_ece(chosen, rejected),
        "reward_model_nll": pair_nll(chosen, rejected),
    }
    if gold is not None:
        gold_scores = [gold(*side) for side in texts]
        measures["reward_model_rank_correlation"] = rank_correlation(
            np.concatenate([chosen, rejected]), np.concatenate(gold_scores)
        )
    return measures


class Side(NamedTuple):
    """One side of every pair."""

    prompts: Sequence[Prompt]
    completions: Sequence[Completion]


def sides(pairs: Dataset) -> tuple[Side, Side]:
    """What is chosen and what is rejected in `pairs`; of labelled answers, the n-th wanted and the n-th unwanted one.

    If a score is the log-odds of being wanted, σ of a difference is the probability that the first is the wanted one,
    also where the prompts of the two differ.
    """
    if "label" not in pairs.column_names:
        return Side(pairs["prompt"], pairs["chosen"]), Side(pairs["prompt"], pairs["rejected"])
    wanted, unwanted = ([i for i, label in enumerate(pairs["label"]) if label is which] for which in (True, False))
    both = (pairs.select(rows[: min(len(wanted), len(unwanted))]) for rows in (wanted, unwanted))
    first, second = (Side(rows["prompt"], rows["completion"]) for rows in both)
    return first, second


def squared_error(score: Score, ratings: Dataset) -> float | None:
    """Mean squared error of the ratings that `score` predicts; None without ratings."""
    if len(ratings) == 0:
        return None
    predicted = np.array(score(ratings["prompt"], ratings["completion"])) + MIDDLE
    return float(np.mean((predicted - np.array(ratings["score"])) ** 2))


def mean_score(job: Job, module: PreTrainedModel, rows: Dataset) -> float:
    """The mean score of the completions in pairs or ratings."""
    sides = [side for side in ("chosen", "rejected", "completion") if side in rows.column_names]
    return float(np.mean([text_scores(module, job.tokenizer, rows["prompt"], rows[side]) for side in sides]))
