"""Stage `evaluation`: every measure of one policy, with the completions and probe answers they rest on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bench.contracts.errors import BenchError
from bench.contracts.stage_settings import Evaluation
from bench.measures.computing import compute, compute_plugged
from bench.measures.means import mean, standard_deviation
from bench.measures.preference import outcomes
from bench.measures.registry import MEASURES
from bench.models.encoding import encode_prompts, text_of, within_context
from bench.models.legible import legible
from bench.models.loading import context_length
from bench.models.multiple_choice import Questions, choice_probabilities
from bench.models.sequence_scores import sequence_scores
from bench.models.text_likelihood import next_tokens, token_nll
from bench.stages.artifact import COMPLETIONS, INFO, PROBES
from bench.stages.exact_columns import exact_columns, exact_scores
from bench.stages.job import Job, seed_everything
from bench.stages.policy import make_workbench
from bench.stages.reference import heldout_prompts
from bench.stages.scoring import BATCH, Scorer
from bench.workbench.policy import ModelPolicy, Policy, Samples

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from bench.contracts.task import Prompt


def run(job: Job) -> dict[str, Any]:
    """Write ``completions.parquet`` and ``probes.parquet``; return the measures.

    Raises:
        BenchError: a measure has the name of a figure that the method reported of itself.
    """
    settings = Evaluation(**job.spec["settings"])
    evaluated = evaluate(job, settings)
    measures = compute(evaluated.columns, tie_band=settings.tie_band) | evaluated.parts
    if evaluated.kl_bound is not None:
        measures["kl_bound"] = evaluated.kl_bound
    # what the stages before spent goes along, so that a record needs nothing but this artifact
    before = {role: json.loads((folder / INFO).read_text()) for role, folder in job.parents.items()}
    measures |= compute_plugged(job.measures, evaluated.columns)
    for name in (MEASURES.keys() | measures.keys()) & before["policy"].get("figures", {}).keys():
        raise BenchError(f"measure {name}: the method {job.method.name!r} reports a figure of that name; rename either")
    job.progress(3, 3)
    return {"measures": measures, "judge": evaluated.judge, "before": before}


class Evaluated(NamedTuple):
    """What is known of a policy before any measure is computed.

    Attributes:
        columns: what measures are computed from, by name, see `bench.COLUMNS`.
        parts: mean and standard deviation of each part of the gold reward.
        kl_bound: the policy's own bound on its KL to π0, if it has one; nats.
        judge: who judges, see `Scorer.judge`.
    """

    columns: dict[str, Any]
    parts: dict[str, float]
    kl_bound: float | None
    judge: str | None


def evaluate(job: Job, settings: Evaluation) -> Evaluated:
    """Sample from the policy, score what it wrote, ask it the probes; writes the stage's two files."""
    seed_everything(job.seed)
    scorer = Scorer(job)
    policy = job.method.load(make_workbench(job), job.parents["policy"] / "policy")
    if policy.model is not None:
        policy.model.eval().requires_grad_(False)
    pi0 = ModelPolicy(scorer.reference, job.tokenizer, job.task.max_completion_tokens)
    prompts = heldout_prompts(job, scorer, settings.prompts)
    repeated = [prompt for prompt in prompts for _ in range(settings.samples)]

    samples = policy.sample(repeated, job.seed, settings.temperature)
    job.progress(1, 3)
    reference = pd.read_parquet(job.parents["reference"] / "samples.parquet")
    frame = completions_frame(samples, policy, pi0, scorer, reference, settings)
    frame.to_parquet(job.directory / COMPLETIONS)
    job.progress(2, 3)

    columns = sample_columns(frame, reference)
    if policy.model is not None:
        columns["kl_forward"] = forward_kl(policy.model, pi0, repeated, reference)
        columns |= reference_columns(job, policy.model, settings) | pair_columns(job, policy.model, settings)
        columns |= probe_columns(job, policy.model) if job.task.has_probes else {}
    columns |= exact_columns(job.task, policy, pi0)
    return Evaluated(columns, part_measures(frame, reference), policy.kl_bound, scorer.judge)


def completions_frame(
    samples: Samples,
    policy: Policy,
    pi0: ModelPolicy,
    scorer: Scorer,
    reference: pd.DataFrame,
    settings: Evaluation,
) -> pd.DataFrame:
    """One row per completion: prompt, text and scores, the same of what π0 wrote for it, and which of the two wins."""
    frame = scorer.frame(samples, policy.model)
    if policy.from_all:
        frame.update(exact_scores(policy, pi0, samples))
    prompts = len(samples) // settings.samples
    frame.insert(0, "prompt_id", np.repeat(np.arange(prompts), settings.samples))
    frame.insert(1, "sample", np.tile(np.arange(settings.samples), prompts))
    frame.insert(2, "prompt", pd.Series(samples.prompts, dtype=object))
    frame.insert(3, "completion", pd.Series(samples.completions, dtype=object))
    for name in ("completion", "length", "proxy", "gold", "judge"):
        frame[f"reference_{name}"] = reference[name].to_numpy()
    if scorer.judge is not None:
        frame["outcome"] = outcomes(frame["judge"], frame["reference_judge"], settings.tie_band)
    return frame


def sample_columns(frame: pd.DataFrame, reference: pd.DataFrame) -> dict[str, Any]:
    """What measures of completions are computed from, the completions of π and of π0 row by row: see `COLUMNS`.

    A column that holds nothing is not known (gold without a gold reward, log-probabilities without a model).
    """
    rewards = ["proxy", "gold", "judge"]
    columns = [frame[name] for name in ("logp", "reference_logp", "kl", "entropy", "length", "finished", *rewards)]
    columns += [reference[name].rename(f"reference_{name}") for name in rewards]
    known: dict[str, Any] = {str(each.name): each.to_numpy(dtype=float) for each in columns if each.notna().any()}
    return known | {
        "reference_sample_logp": reference["reference_logp"].to_numpy(),
        "reference_sample_length": reference["length"].to_numpy(),
        "prompts": [text_of(prompt) for prompt in frame["prompt"]],
        "texts": [text_of(completion) for completion in frame["completion"]],
        "reference_texts": [text_of(completion) for completion in frame["reference_completion"]],
        "prompt_ids": frame["prompt_id"].tolist(),
    }


def part_measures(frame: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    """Mean and standard deviation of each part of the gold reward, of π's samples and of π0's."""
    measures: dict[str, float] = {}
    for part in (name for name in frame.columns if name.startswith("gold_")):
        for name, values in ((part, frame[part]), (f"reference_{part}", reference[part])):
            measures |= {name: mean(values), f"{name}_sd": standard_deviation(values)}
    return measures


def forward_kl(
    model: PreTrainedModel, pi0: ModelPolicy, prompts: Sequence[Prompt], reference: pd.DataFrame
) -> NDArray[np.float64]:
    """KL(π0 ‖ π), summed over the tokens of each of π0's own samples, of which there is one per prompt; nats."""
    prompt_ids = encode_prompts(pi0.tokenizer, prompts)
    completion_ids = [list(map(int, ids)) for ids in reference["completion_ids"]]
    return sequence_scores(pi0.model, model, prompt_ids, completion_ids, BATCH)["kl"]


def reference_columns(job: Job, model: PreTrainedModel, settings: Evaluation) -> dict[str, Any]:
    """The likelihood of held-out reference completions, and how well next-token probabilities hold there."""
    rows, _ = legible(job.task.references(), job.tokenizer)
    rows, _ = within_context(rows, job.tokenizer, context_length(model))
    rows = rows.select(range(min(settings.references, len(rows))))
    if len(rows) == 0:
        return {}
    next_token = next_tokens(model, job.tokenizer, rows["prompt"], rows["completion"], BATCH)._asdict()
    columns = {"reference_nll": next_token.pop("nll"), "reference_tokens": next_token.pop("tokens")}
    # an untrained model finds no token likely: then there is nothing to calibrate
    return columns | {name: values for name, values in next_token.items() if len(values)}


def pair_columns(job: Job, model: PreTrainedModel, settings: Evaluation) -> dict[str, Any]:
    """The policy's log-probability of the chosen and of the rejected completions of held-out preference pairs."""
    if "preferences" not in job.parents:
        return {}
    pairs = job.pairs("heldout")
    pairs = pairs.select(range(min(settings.references, len(pairs))))
    if len(pairs) == 0 or "chosen" not in pairs.column_names:
        return {}
    return {
        f"{side}_logp": -token_nll(model, job.tokenizer, pairs["prompt"], pairs[side], BATCH)[0]
        for side in ("chosen", "rejected")
    }


def probe_columns(job: Job, model: PreTrainedModel) -> dict[str, Any]:
    """The model's answers to multiple-choice questions; writes every one."""
    questions = Questions.load(job.parents["reference"])
    if not len(questions):
        return {}
    probabilities = choice_probabilities(model, questions, BATCH)
    frame = questions.choices.drop(columns=["context", "tokens"])
    frame.insert(2, "probability", probabilities)
    frame.to_parquet(job.directory / PROBES)
    answers = frame["choice"][frame["correct"]].to_numpy()
    columns = {"probabilities": questions.by_question(probabilities), "answers": answers}
    posteriors = frame["posterior"].to_numpy()
    return columns | ({} if np.isnan(posteriors).any() else {"posteriors": questions.by_question(posteriors)})
