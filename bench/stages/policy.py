"""Stage `policy`: a method trains on its workbench; its policy, its curve and what it spent are kept."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bench.contracts.errors import Skipped
from bench.contracts.stage_settings import Evaluation
from bench.measures.diversity import token_entropy
from bench.measures.perplexity import perplexity
from bench.stages.artifact import CURVE, TRAINING
from bench.stages.job import Job, seed_everything
from bench.stages.reference import heldout_prompts
from bench.stages.scoring import Scorer
from bench.workbench.policy import Policy
from bench.workbench.workbench import Workbench


def make_workbench(job: Job) -> Workbench:
    """The workbench of the job's method."""
    return Workbench(
        task=job.task,
        tokenizer=job.tokenizer,
        seed=job.seed,
        device=job.device,
        checkpoints=job.scratch,
        load_base=job.load_base,
        load_sft=job.load_sft,
        load_demonstrations=lambda: job.task.demonstrations(job.spec["demonstrations_seed"]),
        load_preferences=partial(job.pairs, "train"),
        load_ratings=partial(job.ratings, "train"),
        load_corpus=lambda: job.task.corpus(job.spec["corpus_seed"]),
        load_reward_model=job.load_reward_model,
        needs=set(type(job.method).needs),
        on_progress=job.progress,
    )


class Curve:
    """Measures a policy on a few fixed held-out prompts while it trains.

    Attributes:
        points: one row per measurement (means over the prompts; perplexity of the samples under π0).
        seconds: the time that measuring took, which is not the method's.
    """

    def __init__(self, job: Job, settings: Evaluation) -> None:
        self.scorer = Scorer(job)
        self.prompts = heldout_prompts(job, self.scorer, settings.curve_prompts)
        self.settings, self.seed = settings, job.seed
        self.points: list[dict[str, float]] = []
        self.seconds = self.processor_seconds = 0.0

    def measure(self, policy: Policy, step: int) -> None:
        """Add the point of `step`."""
        started, busy = time.perf_counter(), time.process_time()
        samples = policy.sample(self.prompts, self.seed, self.settings.temperature)
        frame = self.scorer.frame(samples, policy.model)
        point = {name: float(frame[name].mean()) for name in ("kl", "proxy", "gold", "judge", "length")}
        if policy.model is not None:
            point["entropy"] = token_entropy(frame["entropy"].to_numpy(), frame["length"].to_numpy())
        point["perplexity_samples"] = perplexity(-frame["reference_logp"].to_numpy(), frame["length"].to_numpy())
        self.points.append({"step": step, **point})
        self.seconds += time.perf_counter() - started
        self.processor_seconds += time.process_time() - busy

    def frame(self) -> pd.DataFrame:
        """All points as a table."""
        names = ["step", "kl", "proxy", "gold", "judge", "length", "entropy", "perplexity_samples"]
        return pd.DataFrame(self.points, columns=names).replace([np.inf, -np.inf], np.nan)


def run(job: Job) -> dict[str, Any]:
    """Train; write the policy to ``policy/``, and, also when training diverges, its curve to ``curve.parquet`` and what
    its trainer logged (columns `step`, `name`, `value`) to ``training.parquet``."""
    settings = Evaluation(**job.spec["settings"])
    for role in sorted(type(job.method).needs):
        if reason := job.lacks(role, "train"):
            raise Skipped(reason)
    seed_everything(job.seed)
    curve = Curve(job, settings)
    workbench = make_workbench(job)
    workbench.curve_points = settings.curve_points
    workbench.on_measure = curve.measure
    logged: list[tuple[int, str, float]] = []
    workbench.on_log = lambda step, figures: logged.extend((step, name, value) for name, value in figures.items())
    started, busy = time.perf_counter(), time.process_time()
    try:
        seed_everything(job.seed)
        policy = job.method.train(workbench)
        policy.save(job.directory / "policy")
    finally:
        curve.frame().to_parquet(job.directory / CURVE)
        pd.DataFrame(logged, columns=["step", "name", "value"]).to_parquet(job.directory / TRAINING)
    times = {
        "seconds_training": time.perf_counter() - started - curve.seconds,
        "processor_seconds_training": time.process_time() - busy - curve.processor_seconds,
        "seconds_measuring": curve.seconds,
    }
    own = {"figures": workbench.figures} if workbench.figures else {}
    return asdict(workbench.cost) | times | own
