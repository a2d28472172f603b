"""Stage `evaluation`: every measure of one policy, with the completions and probe answers they rest on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.encoding import text_of, within_context
from bench.measures.calibration import choice_probabilities, evaluate_probes
from bench.measures.divergence import kl_k1, kl_k3
from bench.measures.diversity import distinct_n, token_entropy, unique_share
from bench.measures.perplexity import perplexity, token_nll
from bench.measures.preference import outcomes, win_rate, win_tie_loss
from bench.models import context_length
from bench.settings import Evaluation
from bench.stages.graph import INFO
from bench.stages.job import Job, seed_everything
from bench.stages.policy import make_workbench
from bench.stages.reference import heldout_prompts
from bench.stages.scoring import BATCH, Scorer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.contracts import Probe


def run(job: Job) -> dict[str, Any]:
    """Write ``completions.parquet`` and ``probes.parquet``; return the measures."""
    settings = Evaluation(**job.spec["settings"])
    seed_everything(job.seed)
    scorer = Scorer(job)
    policy = job.method.load(make_workbench(job), job.parents["policy"] / "policy")
    if policy.model is not None:
        policy.model.eval().requires_grad_(False)

    prompts = heldout_prompts(job, scorer, settings.prompts)
    repeated = [prompt for prompt in prompts for _ in range(settings.samples)]
    samples = policy.sample(repeated, job.seed, settings.temperature)
    job.progress(1, 3)
    frame = scorer.frame(samples, policy.model)
    reference = pd.read_parquet(job.parents["reference"] / "samples.parquet")
    frame.insert(0, "prompt_id", np.repeat(np.arange(len(prompts)), settings.samples))
    frame.insert(1, "sample", np.tile(np.arange(settings.samples), len(prompts)))
    frame.insert(2, "prompt", pd.Series(samples.prompts, dtype=object))
    frame.insert(3, "completion", pd.Series(samples.completions, dtype=object))
    frame["reference_judge"] = reference["judge"].to_numpy()
    measures = sample_measures(frame)
    if scorer.judge is not None:
        frame["outcome"] = outcomes(frame["judge"], frame["reference_judge"], settings.tie_band)
        measures |= preference_measures(frame, reference, settings.tie_band)
    frame.to_parquet(job.directory / "completions.parquet")
    job.progress(2, 3)

    if policy.model is not None:
        measures["perplexity_reference"] = reference_perplexity(job, policy.model, settings)
        if job.task.has_probes:
            measures |= probe_measures(job, policy.model, settings)
    if policy.kl_bound is not None:
        measures["kl_bound"] = policy.kl_bound
    job.progress(3, 3)
    # what the stages before spent goes along, so that a record needs nothing but this artifact
    before = {role: json.loads((folder / INFO).read_text()) for role, folder in job.parents.items()}
    return {"measures": measures, "judge": scorer.judge, "before": before}


def sample_measures(frame: pd.DataFrame) -> dict[str, float]:
    """What the completions and their scores say: rewards, KL, perplexity under π0, entropy, diversity, length."""
    length = frame["length"].to_numpy()
    logp, reference_logp = frame["logp"].to_numpy(), frame["reference_logp"].to_numpy()
    texts = [text_of(completion) for completion in frame["completion"]]
    prompt_ids = frame["prompt_id"].tolist()
    measures = {
        "kl": float(frame["kl"].mean()),
        "kl_k1": float(kl_k1(logp, reference_logp).mean()),
        "kl_k3": float(kl_k3(logp, reference_logp).mean()),
        "entropy": token_entropy(frame["entropy"].to_numpy(), length),
        "perplexity_samples": perplexity(-reference_logp, length),
        "distinct_1": distinct_n(texts, prompt_ids, 1),
        "distinct_2": distinct_n(texts, prompt_ids, 2),
        "unique": unique_share(texts, prompt_ids),
        "length": float(length.mean()),
        "finished": float(frame["finished"].mean()),
    }
    for reward in rewards(frame):
        measures[reward] = float(frame[reward].mean())
        measures[f"{reward}_sd"] = float(frame[reward].std(ddof=1)) if len(frame) > 1 else float("nan")
    return measures


def rewards(frame: pd.DataFrame) -> list[str]:
    """The columns of `frame` that hold rewards: proxy, gold, judge, and the parts of gold."""
    return ["proxy", "gold", "judge", *(name for name in frame.columns if name.startswith("gold_"))]


def preference_measures(frame: pd.DataFrame, reference: pd.DataFrame, tie_band: float) -> dict[str, float]:
    """Wins, ties and losses against π0's completion of the same prompt, and π0's own rewards to standardise by."""
    counts = win_tie_loss(frame["judge"], frame["reference_judge"], tie_band)
    measures = dict(zip(("win", "tie", "loss"), (count / len(frame) for count in counts), strict=True))
    measures["win_rate"] = win_rate(*counts)
    for reward in rewards(frame):
        measures[f"reference_{reward}"] = float(reference[reward].mean())
        measures[f"reference_{reward}_sd"] = float(reference[reward].std(ddof=1))
    return measures


def reference_perplexity(job: Job, model: PreTrainedModel, settings: Evaluation) -> float:
    """exp of the token-weighted mean NLL of held-out completions given their prompts."""
    rows, _ = within_context(job.task.references(), job.tokenizer, context_length(model))
    rows = rows.select(range(min(settings.references, len(rows))))
    if len(rows) == 0:
        return float("nan")
    nll, tokens = token_nll(model, job.tokenizer, rows["prompt"], rows["completion"], BATCH)
    return perplexity(nll, tokens)


def fitting(probes: list[Probe], job: Job, context: int) -> list[Probe]:
    """The questions that a model of `context` tokens can take with every choice; real ones may be long."""
    # a token is at least one byte, so that only long texts have to be counted
    texts = {probe.query + choice for probe in probes for choice in probe.choices}
    ordered = sorted(text for text in texts if len(text.encode()) >= context)
    lengths = dict(zip(ordered, map(len, job.tokenizer(ordered)["input_ids"]), strict=True))
    return [probe for probe in probes if all(lengths.get(probe.query + c, 0) <= context for c in probe.choices)]


def probe_measures(job: Job, model: PreTrainedModel, settings: Evaluation) -> dict[str, float]:
    """Calibration on multiple-choice questions; writes every answer."""
    probes = fitting(job.task.probes()[: settings.probes], job, context_length(model))
    if not probes:
        return {"probe_count": 0.0}
    probabilities = choice_probabilities(model, job.tokenizer, probes, BATCH)
    rows = [
        {
            "question": i,
            "choice": j,
            "probability": float(row[j]),
            "posterior": probe.posterior[j] if probe.posterior else float("nan"),
            "correct": j == probe.answer,
        }
        for i, (probe, row) in enumerate(zip(probes, probabilities, strict=True))
        for j in range(len(probe.choices))
    ]
    pd.DataFrame(rows).to_parquet(job.directory / "probes.parquet")
    return evaluate_probes(probabilities, probes)
