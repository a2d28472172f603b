"""One way to score completions, for the reference's samples, the training curve and the evaluation alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.models.learned_reward import RewardModel
from bench.models.sequence_scores import reference_scores, sequence_scores
from bench.stages.artifact import GOLD, HELDOUT
from bench.stages.job import Job
from bench.workbench.policy import Samples

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH = 128


class Scorer:
    """Scores completions by proxy, gold, judge and the models' log-probabilities.

    The judge is the gold reward where it is known, else the reward model trained on held-out pairs, else nobody.
    """

    def __init__(self, job: Job) -> None:
        self.task = job.task
        self.reference = job.load_sft().to(job.device).eval().requires_grad_(False)
        self.proxy = _fitted(job, "reward_model", "train")
        self.heldout = _fitted(job, "judge", "heldout")

    @property
    def judge(self) -> str | None:
        """Who judges: ``"gold"``, ``"held-out reward model"`` or None."""
        return GOLD if self.task.has_gold else HELDOUT if self.heldout else None

    def frame(self, samples: Samples, model: PreTrainedModel | None) -> pd.DataFrame:
        """One row per completion: length, finished, proxy, gold, judge, logp, reference_logp, kl, entropy; and a column
        ``gold_<part>`` for each part that the task's gold reward has.

        What is not known here is NaN: gold without a gold reward, logp, kl and entropy without a model.
        """
        size = len(samples)
        unknown = np.full(size, np.nan)
        token_ids = samples.prompt_ids, samples.completion_ids
        scores = (
            reference_scores(self.reference, *token_ids, BATCH)
            if model is None
            else sequence_scores(model, self.reference, *token_ids, BATCH)
        )
        frame = pd.DataFrame({name: scores.get(name, unknown) for name in ("logp", "reference_logp", "kl", "entropy")})
        frame["length"] = [len(ids) for ids in samples.completion_ids]
        frame["finished"] = samples.finished
        frame["proxy"] = self.proxy(samples.prompts, samples.completions) if self.proxy else unknown
        frame["gold"] = self.task.gold(samples.prompts, samples.completions) if self.task.has_gold else unknown
        for part, values in self.task.gold_parts(samples.prompts, samples.completions).items():
            frame[f"gold_{part}"] = values
        frame["judge"] = self.heldout(samples.prompts, samples.completions) if self.heldout else frame["gold"]
        return frame


def _fitted(job: Job, role: str, split: str) -> RewardModel | None:
    """The job's reward model of a role, if it has one and there was something to fit it on."""
    return job.reward_model(role) if role in job.parents and job.lacks(role, split) is None else None
