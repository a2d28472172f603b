"""What both sides of the comparison share: one job, one set of settings, one clock. No import of either trainer."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
)


@dataclass(frozen=True)
class Job:
    """One run of PPO, the same for either side; every setting that both trainers have.

    Attributes:
        policy, reward_model: directories in transformers' format; the first holds the tokenizer as well. The policy is
            also the reference, the reward model also what the critic starts from.
        prompts: JSON file, a list of texts.
        out: directory to write the trained policy and ``log.json`` to.
        paced: wait for a line on standard input before each step and answer with its seconds.
    """

    policy: str
    reward_model: str
    prompts: str
    out: str
    seed: int
    steps: int
    completion_tokens: int
    paced: bool = False
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

    def write(self, file: Path) -> Path:
        """As JSON, for a side's command line."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        return file


def read_job() -> Job:
    """The job named on the command line; one thread, the job's seed."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    return job


def load_tokenizer(job: Job) -> PreTrainedTokenizerBase:
    """The policy's tokenizer, padding on the left."""
    return AutoTokenizer.from_pretrained(job.policy, padding_side="left")


def load_policy(job: Job, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A fresh π0 that samples without truncation."""
    model = AutoModelForCausalLM.from_pretrained(job.policy, dtype=torch.float32)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    return model


def load_classifier(job: Job, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A fresh copy of the reward model."""
    model = AutoModelForSequenceClassification.from_pretrained(job.reward_model, num_labels=1, dtype=torch.float32)
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


class Pacer(TrainerCallback):
    """Holds a trainer after every step until a line comes, and answers with the seconds of the step that follows.

    Args:
        updates: calls of `on_step_end` that make one step of rollouts.
        prepare: told the line, before the clock starts.
    """

    def __init__(self, updates: int, prepare: Any = lambda line: None) -> None:
        self.updates, self.prepare, self.calls, self.started = updates, prepare, 0, 0.0

    def _wait(self) -> None:
        line = sys.stdin.readline().strip()
        self.prepare(line)
        self.started = time.perf_counter()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say that the models are loaded; wait for the first step's turn."""
        print("ready", flush=True)
        self._wait()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Report the step if it is whole; wait for the next one's turn."""
        self.calls += 1
        if self.calls % self.updates == 0:
            print(f"seconds {time.perf_counter() - self.started:.6f}", flush=True)
            if state.global_step < state.max_steps:
                self._wait()
        return control


def finish(job: Job, policy: PreTrainedModel, log: list[dict[str, float]], versions: list[str]) -> None:
    """Write the trained policy, and `log` (one row per step of rollouts: step, reward, kl, ...)."""
    from importlib.metadata import version

    out = Path(job.out)
    policy.save_pretrained(out)
    figures = {"versions": {name: version(name) for name in versions}, "log": log}
    (out / "log.json").write_text(json.dumps(figures), encoding="utf-8")
