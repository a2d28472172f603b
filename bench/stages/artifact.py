"""The names of the files in an artifact."""

INFO = "info.json"
"""In every artifact: what its stage reports about itself (seconds, peak memory, counts)."""

POINTER = "model.json"
"""In a base artifact: the directory or hub name of a model that the bench did not train."""

CURVE = "curve.parquet"
"""In a policy's artifact: what was measured of it while it trained, one row per measurement."""

TRAINING = "training.parquet"
"""In a policy's artifact: what its trainer logged; columns `step`, `name`, `value`."""

COMPLETIONS = "completions.parquet"
"""In an evaluation's artifact: what the policy wrote for held-out prompts, with all its scores, one row each."""

PROBES = "probes.parquet"
"""In an evaluation's artifact: the model's answers to multiple-choice questions, one row per choice."""

GOLD, HELDOUT = "gold", "held-out reward model"
"""Who judges: the gold reward, or where none is known the reward model that is fitted on held-out pairs."""
