"""A run's frames with numbers of our choosing."""

from pathlib import Path

import numpy as np
import pandas as pd

from bench.records.loading import RunFrames
from bench.records.reading import Cells


def made_run(arms, curves=None, training=None, completions=None, statuses=None, task="world"):
    """`arms`: label → measure → one value per seed. `curves`: label → columns, the same for every seed."""
    rows, course = [], []
    for label, measures in arms.items():
        seeds = max((len(np.atleast_1d(values)) for values in measures.values()), default=1)
        for seed in range(seeds):
            cell = f"{label}-{seed}"
            values = {name: np.atleast_1d(each)[seed % len(np.atleast_1d(each))] for name, each in measures.items()}
            rows.append({
                "cell": cell, "index": len(rows), "task": task, "model": "tiny", "arm": label, "method": label,
                "seed": seed, "status": (statuses or {}).get(cell, "ok"), "reason": None, "step": None,
                "judged_by": "gold", "reference_gold": 0.0, "reference_gold_sd": 0.5, "reference_proxy": 0.0,
                "reference_proxy_sd": 1.0, "hyperparameters": {}, "reward_models": {}, **values,
            })  # fmt: skip
            if label in (curves or {}):
                course.append(pd.DataFrame(curves[label]).assign(cell=cell, seed=seed, arm=label, task=task))
    run = RunFrames(Path("nowhere"))
    run.__dict__ |= {
        "records": pd.DataFrame(rows),
        "curves": pd.concat(course, ignore_index=True) if course else pd.DataFrame(columns=["cell"]),
        "training": pd.DataFrame(columns=["cell", "name"]) if training is None else training,
        "completions": pd.DataFrame(columns=["cell"]) if completions is None else completions,
        "pending": [],
        "cells": Cells(),
        "damaged": {},
    }
    return run
