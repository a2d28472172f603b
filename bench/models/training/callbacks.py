"""What every transformers Trainer in the bench shares: its arguments, and the callback that watches it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bench.contracts.errors import Diverged


def training_arguments(directory: Path, seed: int, device: str) -> dict[str, Any]:
    """Arguments that hold for all training here: reproducible, silent, no tracker, full precision, no dropout later."""
    return {
        "output_dir": str(directory),
        "seed": seed,
        "use_cpu": device == "cpu",
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 0.02,  # of all steps
        # the default replaces a NaN loss by a running mean, which would hide a divergence
        "logging_nan_inf_filter": False,
        "bf16": False,
        "gradient_checkpointing": False,
        "optim": "adamw_torch_fused",
        "dataloader_pin_memory": False,
    }


class FiniteCallback(TrainerCallback):
    """Raises `Diverged` at the first step after which a logged figure or a parameter is NaN or infinite."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Check the parameters: one norm per tensor, one synchronisation."""
        check_parameters(kwargs["model"], state.global_step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Check what the trainer reports."""
        for name, value in (kwargs.get("logs") or {}).items():
            if isinstance(value, int | float) and not math.isfinite(value):
                raise Diverged(name, state.global_step)


def measured_steps(total: int, points: int) -> set[int]:
    """Steps at which a curve is measured: halving from the end (…, total/4, total/2, total), since π moves early."""
    return {-(-total // 2**i) for i in range(points)}


def check_parameters(model: torch.nn.Module, step: int) -> None:
    """Raise `Diverged` if a parameter of `model` is NaN or infinite."""
    named = [(name, p.detach()) for name, p in model.named_parameters() if p.requires_grad]
    norms = torch.stack(torch._foreach_norm([p for _, p in named]))
    if not bool(torch.isfinite(norms).all()):
        bad = int((~torch.isfinite(norms)).nonzero()[0])
        raise Diverged(f"parameter {named[bad][0]}", step)


class ProgressCallback(TrainerCallback):
    """Reports steps to a function of (step, total)."""

    def __init__(self, report: Callable[[int, int], None]) -> None:
        self.report = report

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Report the step."""
        self.report(state.global_step, state.max_steps)


class StepsCallback(TrainerCallback):
    """Calls a function when given steps have been made (0: before the first), with their number in the list."""

    def __init__(self, steps: Sequence[int], act: Callable[[int], None]) -> None:
        self.steps, self.act = list(steps), act

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Act where training starts."""
        self.on_step_end(args, state, control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Act after a step."""
        if state.global_step in self.steps:
            self.act(self.steps.index(state.global_step))


class MethodCallback(FiniteCallback):
    """Progress, curve, token count and divergence guard for a method that trains with a transformers Trainer.

    Args:
        points: how often, at most, to measure the model beside the start.
        report: told (step, total).
        measure: told (the policy's model, step).
        count: told the tokens trained, once, at the end.
        log: told (step, figures) whenever the trainer logs.
    """

    def __init__(
        self,
        points: int,
        report: Callable[[int, int], None],
        measure: Callable[[Any, int], None],
        count: Callable[[int], None],
        log: Callable[[int, dict[str, float]], None],
    ) -> None:
        self.points, self.report, self.measure, self.count, self.log = points, report, measure, count, log

    def _measure(self, model: Any, step: int) -> None:
        # a trainer that trains more than the policy (a critic, say) holds the policy as `model.policy`
        policy = getattr(model, "policy", model)
        was_training = policy.training
        self.measure(policy.eval(), step)
        policy.train(was_training)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure where training starts."""
        if self.points and state.global_step == 0:
            self._measure(kwargs["model"], 0)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Report the step and, at `measured_steps`, measure the policy."""
        super().on_step_end(args, state, control, **kwargs)
        step, total = state.global_step, state.max_steps
        self.report(step, total)
        if step in measured_steps(total, self.points):
            self._measure(kwargs["model"], step)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Pass on what the trainer reports of a step."""
        super().on_log(args, state, control, **kwargs)
        numbers = {name: float(v) for name, v in (kwargs.get("logs") or {}).items() if isinstance(v, int | float)}
        if "train_runtime" not in numbers:  # the summary at the end: times, which no two runs share
            self.log(state.global_step, numbers)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Pass on the trainer's own count of tokens."""
        counts = [entry["num_tokens"] for entry in state.log_history if "num_tokens" in entry]
        self.count(int(max(counts, default=state.num_input_tokens_seen)))
