"""Writes a run's folder as the runner would, with made-up numbers: every arm, what can go wrong included."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from bench.matrix.cells import slug
from bench.records.reading import planned
from bench.records.record import SCHEMA, write_record
from bench.records.sealing import write_sealed

# name, method, final KL, proxy, gold, temperature of its probe answers
ARMS = (
    ("base", "base", 4.2, -0.35, -0.37, 1.0),
    ("sft", "sft", 0.0, -0.27, -0.05, 1.0),
    ("lima", "lima", 0.9, 0.02, 0.10, 1.1),
    ("dpo", "dpo", 6.8, 0.31, 0.35, 1.4),
    ("ppo", "ppo", 3.8, 1.1, 0.94, 1.2),
    ("ppo without KL", "ppo", 38.0, 4.2, -0.9, 2.5),
    ("reward gradient", "reward_gradient", 7.5, 1.4, 0.2, 1.6),
    ("reward gradient without KL", "reward_gradient", 71.0, 5.6, -1.0, 4.0),
    ("best of 16", "best_of_n", None, 0.62, 0.43, None),
    ("ppo, β = 0.3", "ppo", 1.6, 0.7, 0.71, 1.1),
)


def write_run(
    directory: Path,
    seeds: int = 3,
    gold: bool = True,
    probes: int = 2000,
    not_ok: dict[tuple[str, int], tuple[str, str, int | None]] | None = None,
    pending: int = 0,
    task: str = "reviews",
    arms=ARMS,
) -> Path:
    """A run in `directory`; `not_ok` maps (arm, seed) to status, reason and step."""
    rng = np.random.default_rng(0)
    names = list(planned(directory) or ())  # of another task, written before
    for seed in range(seeds):
        for i, arm in enumerate(arms):
            name = f"{slug(task)}-tiny-{arm[1]}-{i}-seed{seed}"
            names.append(name)
            folder = directory / "cells" / name
            folder.mkdir(parents=True)
            status = (not_ok or {}).get((arm[0], seed), ("ok", None, None))
            _write_cell(folder, name, i * seeds + seed, arm, seed, gold, probes, status, task, rng)
    names += [f"pending-{i}" for i in range(pending)]
    (directory / "run.json").write_text(json.dumps({"name": directory.name, "cells": names}))
    return seal(directory)


def seal(directory: Path) -> Path:
    """Give a run that was changed by hand the checksums of what it holds now."""
    for file in directory.glob("cells/*/record.json"):
        write_record(file.parent, json.loads(file.read_text()))
    write_sealed(directory / "run.json", json.loads((directory / "run.json").read_text()))
    return directory


def _write_cell(folder, name, index, arm, seed, gold, probes, status, task, rng):
    label, method, kl, proxy, true, temperature = arm
    kl = None if kl is None else kl * rng.uniform(0.8, 1.2)
    proxy, true = proxy + rng.normal(0, 0.08), true + rng.normal(0, 0.05)
    judge_name = "gold" if gold else "held-out reward model"
    completions = _completions(proxy, true, gold, rng)
    counts = completions["outcome"].value_counts(normalize=True)
    measures = {
        "proxy": proxy, "proxy_sd": 0.5, "gold": true if gold else None, "gold_sd": 0.6 if gold else None,
        "judge": true, "judge_sd": 0.6, "kl": kl, "kl_k1": kl, "kl_k3": kl, "entropy": 1.5, "length": 14.2,
        "perplexity_reference": 3.5 + 0.4 * (kl or 0), "perplexity_samples": 3.7 + 0.3 * (kl or 0),
        **{each: float(counts.get(each, 0)) for each in ("win", "tie", "loss")},
        "win_rate": float(counts.get("win", 0) + counts.get("tie", 0) / 2),
        "reference_proxy": -0.27, "reference_proxy_sd": 0.55, "reference_judge": -0.05, "reference_judge_sd": 0.58,
        "reference_gold": -0.05 if gold else None, "reference_gold_sd": 0.58 if gold else None,
        "unique": 1 / (1 + (kl or 0) / 50), "distinct_2": 0.8 / (1 + (kl or 0) / 20),
        "self_bleu": 1 - 0.7 / (1 + (kl or 0) / 20),
        "reward_model_accuracy": 0.7 + rng.normal(0, 0.01),
    }  # fmt: skip
    if kl is None:
        measures |= {"kl_bound": np.log(16) - 15 / 16, "perplexity_reference": None}
    if temperature is not None and probes:
        frame, ece = _probes(probes, temperature, rng)
        measures |= {"ece_debiased": ece, "probe_count": float(probes)}
        frame.to_parquet(folder / "probes.parquet")
    state, reason, step = status
    record = {
        "schema": SCHEMA,
        "cell": {"id": name, "index": index, "task": task, "model": "tiny", "arm": label, "method": method,
                 "hyperparameters": {"beta": 0.1}, "seed": seed},
        "status": state, "reason": reason, "step": step, "judge": judge_name,
        "measures": measures if state == "ok" else {},
        "reward_models": {"reward_model": {"accuracy_heldout": measures["reward_model_accuracy"],
                                           "pairs_heldout": 500}},
        "cost": {"stages": {"sft": 5.0, "policy": 12.0}, "seconds": 30 + 5 * rng.uniform(),
                 "seconds_training": 12 * rng.uniform(0.9, 1.1) * (kl is not None and kl > 0),
                 "peak_memory_mb": 560.0, "tokens_sampled": 72_000, "reward_model_calls": 4000},
        "data": {"set_aside": {"chosen equals rejected": 7},
                 "about": {"gold_accuracy": 0.8125, "gold_texts": 1600}}, "versions": {}, "commit": "0" * 40,
    }  # fmt: skip
    (folder / "record.json").write_text(json.dumps(record))
    if state != "ok":
        return
    completions.to_parquet(folder / "completions.parquet")
    if kl is not None and method not in ("base", "sft"):
        _curve(kl, proxy, true, gold, rng).to_parquet(folder / "curve.parquet")


def _completions(proxy, true, gold, rng):
    prompts, samples = 32, 4
    size = prompts * samples
    reference = np.clip(rng.normal(-0.05, 0.58, size), -1, 1).round(1)
    judge = np.clip(rng.normal(true, 0.6, size), -1, 1).round(1)
    return pd.DataFrame({
        "prompt_id": np.repeat(np.arange(prompts), samples), "sample": np.tile(np.arange(samples), prompts),
        "prompt": "a prompt", "completion": " a completion", "length": 14, "finished": True,
        "proxy": rng.normal(proxy, 0.5, size), "gold": judge if gold else np.nan, "judge": judge,
        "logp": -20.0, "reference_logp": -22.0, "kl": 2.0, "entropy": 15.0, "reference_judge": reference,
        "outcome": np.select([judge == reference, judge > reference], ["tie", "win"], "loss"),
    })  # fmt: skip


def _curve(kl, proxy, true, gold, rng):
    """KL grows, the proxy with it; gold rises, then falls if the policy goes far."""
    t = np.linspace(0, 1, 9)
    rise = np.clip(4 * t, 0, 1) * 0.8
    real = -0.05 + rise * (1 - t) + (true + 0.05) * t + rng.normal(0, 0.03, 9) * (t > 0)
    return pd.DataFrame({
        "step": (100 * t).astype(int), "kl": kl * t**1.5, "proxy": -0.27 + (proxy + 0.27) * t**0.7,
        "gold": real if gold else np.nan, "judge": real, "entropy": 1.5 - t, "length": 14 + 4 * t,
        "perplexity_samples": 4 + 2 * t,
    })  # fmt: skip


def _probes(count, temperature, rng):
    posterior = rng.dirichlet([0.7, 0.7, 0.7], count)
    answer = (posterior.cumsum(1) < rng.uniform(size=(count, 1))).sum(1)
    model = posterior**temperature
    model /= model.sum(1, keepdims=True)
    frame = pd.DataFrame({
        "question": np.repeat(np.arange(count), 3), "choice": np.tile(np.arange(3), count),
        "probability": model.ravel(), "posterior": posterior.ravel(),
        "correct": np.tile(np.arange(3), count) == np.repeat(answer, 3),
    })  # fmt: skip
    return frame, 0.03 * (temperature - 1)
