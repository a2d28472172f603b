"""What a stretch of code leaves behind in its process: settings of the libraries, environment, files."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook


@dataclass
class Traces:
    """What was observed.

    Attributes:
        left: settings that are not what they were, and files in the working folder, each in a few words.
        optimiser_steps: how many steps optimisers of torch made.
        drew: whether a global random state (Python's, numpy's or torch's) moved.
    """

    left: list[str] = field(default_factory=list)
    optimiser_steps: int = 0
    drew: bool = False


@contextmanager
def observed() -> Iterator[Traces]:
    """Observe the block, which runs in an empty working folder; afterwards all is put back as it was."""
    traces = Traces()

    def count(*_: Any) -> None:
        traces.optimiser_steps += 1

    before, environment, path, folder = _settings(), dict(os.environ), list(sys.path), Path.cwd()
    states = _random_states()
    hook = register_optimizer_step_post_hook(count)
    with tempfile.TemporaryDirectory(prefix="bench-check-") as empty:
        os.chdir(empty)
        here = Path.cwd()
        try:
            yield traces
        finally:
            hook.remove()
            traces.drew = _random_states() != states
            traces.left += [
                f"{name} is {now}, was {before[name]}" for name, now in _settings().items() if now != before[name]
            ]
            changed = {n for n in environment.keys() | os.environ.keys() if environment.get(n) != os.environ.get(n)}
            traces.left += [f"the environment variable {name}" for name in sorted(changed)]
            traces.left += [f"sys.path has {entry}" for entry in sys.path if entry not in path]
            if Path.cwd() != here:
                traces.left.append(f"the working folder is {Path.cwd()}")
            traces.left += [f"the file {entry.name} in the working folder" for entry in sorted(here.iterdir())]
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            sys.path[:] = path
            _restore(before)


def _settings() -> dict[str, Any]:
    return {
        "torch's number of threads": torch.get_num_threads(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's anomaly detection": torch.is_anomaly_enabled(),
        "torch.use_deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch.backends.cudnn.deterministic": torch.backends.cudnn.deterministic,
        "torch.backends.cudnn.benchmark": torch.backends.cudnn.benchmark,
        "torch's matrix product precision": torch.get_float32_matmul_precision(),
        "numpy's handling of errors": np.geterr(),
        "Python's recursion limit": sys.getrecursionlimit(),
    }


def _restore(settings: dict[str, Any]) -> None:
    torch.set_num_threads(settings["torch's number of threads"])
    torch.set_default_dtype(settings["torch's default dtype"])
    if torch.get_default_device() != settings["torch's default device"]:
        torch.set_default_device(settings["torch's default device"])
    torch.set_grad_enabled(settings["torch's gradient mode"])
    torch.autograd.set_detect_anomaly(settings["torch's anomaly detection"])
    torch.use_deterministic_algorithms(settings["torch.use_deterministic_algorithms"])
    torch.backends.cudnn.deterministic = settings["torch.backends.cudnn.deterministic"]
    torch.backends.cudnn.benchmark = settings["torch.backends.cudnn.benchmark"]
    torch.set_float32_matmul_precision(settings["torch's matrix product precision"])
    np.seterr(**settings["numpy's handling of errors"])
    sys.setrecursionlimit(settings["Python's recursion limit"])


def _random_states() -> tuple[bytes, ...]:
    states = (
        repr(random.getstate()).encode(),
        repr(np.random.get_state()).encode(),
        torch.get_rng_state().numpy().tobytes(),
    )
    return tuple(hashlib.sha256(state).digest() for state in states)


def folder_digest(folder: Path) -> dict[str, str]:
    """A digest of each file in `folder`, by its path within."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
