"""What both sides of the comparison share: one job, one set of settings, one clock. Imports neither trainer."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parents[1] / "results" / "reference" / "peers"
OURS, TRL = "ours", "TRL 1.12.0"
SCRIPTS = {OURS: HERE / "ours_side.py", TRL: HERE / "trl_side.py"}


@dataclass(frozen=True)
class Job:
    """One run of PPO, the same for either side: every setting that both trainers have.

    Attributes:
        tokenizer, policy, reward_model: directories in transformers' format. The policy is also the reference, the
            reward model also what the critic starts from.
        prompts: JSON file, a list of texts.
        out: directory for the trained policy and ``log.json``.
        paced: wait for a line on standard input before each step and answer with its seconds, by the clock and of the
            processor, and the most memory in use so far; write nothing.
        device: ``"cpu"`` or ``"cuda"``.
    """

    tokenizer: str
    policy: str
    reward_model: str
    prompts: str
    out: str
    seed: int
    steps: int
    completion_tokens: int
    paced: bool = False
    device: str = "cpu"
    rollouts: int = 128
    epochs: int = 2
    minibatches: int = 2
    learning_rate: float = 5e-4
    schedule: str = "constant"
    optimizer: str = "adamw_torch_fused"
    kl_weight: float = 0.1
    clip_range: float = 0.2
    value_clip_range: float = 0.2
    value_weight: float = 0.1
    gamma: float = 1.0
    gae_lambda: float = 0.95
    temperature: float = 1.0

    def settings(self) -> dict[str, Any]:
        """All that is not a place or a seed."""
        places = ("tokenizer", "policy", "reward_model", "prompts", "out", "seed", "paced", "device")
        return {name: value for name, value in asdict(self).items() if name not in places}

    def start(self, side: str, peer: str, log: IO[str]) -> subprocess.Popen[str]:
        """A process of the given side at work on this job, one thread. `peer`: the Python that has TRL 1.12.0."""
        file = Path(self.out) / "job.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        env = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        env |= {"CUDA_VISIBLE_DEVICES": ""} if self.device == "cpu" else {}
        # as in the bench's own worker, see `bench.running.pool`: for either side
        env |= {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 30)}
        if side != OURS:
            env.pop("PYTHONPATH", None)
        command = [sys.executable if side == OURS else peer, str(SCRIPTS[side]), str(file)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=log, text=True)


def read_job() -> Job:
    """The job named on the command line; one thread, the job's seed."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    return job


def load_prompts(job: Job) -> list[str]:
    """The prompts."""
    prompts: list[str] = json.loads(Path(job.prompts).read_text(encoding="utf-8"))
    return prompts


def load_tokenizer(job: Job) -> PreTrainedTokenizerBase:
    """The tokenizer, padding on the left."""
    return AutoTokenizer.from_pretrained(job.tokenizer, padding_side="left")


class Pacer(TrainerCallback):
    """Holds a trainer before every step until a line comes, and answers with the step's seconds.

    Args:
        updates: calls of `on_step_end` that make one step of rollouts.
        prepare: told the line, before the clock starts.
    """

    def __init__(self, updates: int, prepare: Callable[[str], None] = lambda line: None) -> None:
        self.updates, self.prepare, self.calls = updates, prepare, 0
        self.started = (0.0, 0.0)

    def _wait(self, answer: str) -> None:
        print(answer, flush=True)
        self.prepare(sys.stdin.readline().strip())
        self.started = (time.perf_counter(), time.process_time())

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say that everything is loaded; wait for the first step's turn."""
        self._wait("ready")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Where the step is whole, report it and wait for the next one's turn."""
        self.calls += 1
        if self.calls % self.updates == 0:
            if torch.cuda.is_available():
                torch.cuda.synchronize()  # what was only asked for until now
            clock, processor = time.perf_counter() - self.started[0], time.process_time() - self.started[1]
            self._wait(f"seconds {clock:.6f} {processor:.6f} {most_memory()}")
        return control


def finish(job: Job, policy: PreTrainedModel, log: list[dict[str, float]]) -> None:
    """Write the trained policy, and the log: one row per step of rollouts with `reward` and `kl`."""
    policy.save_pretrained(job.out)
    (Path(job.out) / "log.json").write_text(json.dumps({"versions": versions(), "log": log}), encoding="utf-8")


def most_memory() -> int:
    """The most bytes that this process has held so far: of the GPU where it uses one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def versions() -> dict[str, str]:
    """Releases of what this process runs on."""
    return {name: version(name) for name in ("trl", "transformers", "torch", "accelerate")}
