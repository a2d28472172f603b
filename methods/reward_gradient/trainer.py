"""Gradient ascent on a differentiable reward through relaxed completions, as a transformers Trainer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback, TrainingArguments

from bench.models.encoding import encode_pairs, encode_prompts
from bench.models.padding import pad_left, pad_right
from methods.reward_gradient import relaxed_objective
from methods.reward_gradient.relaxation import Anneal, Estimator, annealed, relax
from methods.reward_gradient.rollout import Rollout, check_shared_vocabulary, force, write


class RewardGradientTrainer(Trainer):
    """Maximises E[Σ_t w_t r(x_≤t)] − β KL(π ‖ π0) along relaxed completions x, by differentiating through them.

    `relaxed_objective` says what carries a gradient. The relaxed reward, the KL and the temperature
    are logged beside `loss`; the gradients are biased for the policy's true reward, which is the point of comparing
    this method with others.

    Args:
        model: the policy; trained in place.
        reward_module: a causal sequence classifier with one output and the policy's vocabulary; frozen.
        train_dataset: column `prompt`, texts or conversations, and `completion`, which teacher-forced rollouts read.
        ref_model: π0; used only where `kl_weight` is above 0.
        max_completion_length: relaxed tokens per completion.
        estimator: see `methods.reward_gradient.relaxation.relax`.
        rollout: see `methods.reward_gradient.rollout.write` (free) and `force` (teacher_forced).
        temperature, final_temperature, anneal: τ at the first step and at the last (None: the same), and in between.
        kl_weight: β, reward lost per nat.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        reward_module: PreTrainedModel,
        args: TrainingArguments,
        train_dataset: Any,
        processing_class: PreTrainedTokenizerBase,
        ref_model: PreTrainedModel | None,
        max_completion_length: int,
        estimator: Estimator = "soft",
        rollout: Literal["free", "teacher_forced"] = "free",
        temperature: float = 1.0,
        final_temperature: float | None = None,
        anneal: Anneal = "exponential",
        kl_weight: float = 0.0,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        check_shared_vocabulary(model, reward_module)
        if kl_weight and ref_model is None:
            raise ValueError("kl_weight is above 0: pass ref_model, the policy that KL is measured to")
        if rollout == "teacher_forced" and "completion" not in train_dataset.column_names:
            raise ValueError("teacher-forced rollouts read the column 'completion', which train_dataset lacks")
        self.reward_module: Any = reward_module
        self.reward_module.eval().requires_grad_(False)
        self.ref_model = ref_model
        self.max_completion_length = max_completion_length
        self.estimator = estimator
        self.rollout = rollout
        self.temperatures = (temperature, final_temperature)
        self.anneal = anneal
        self.kl_weight = kl_weight
        self.noise = torch.Generator(args.device)
        self.completions = 0
        self._logged: dict[str, list[Tensor]] = {}
        super().__init__(
            model=model,
            args=args,
            data_collator=self.collate,
            train_dataset=train_dataset,
            processing_class=processing_class,
            callbacks=callbacks,
        )
        self.model_accepts_loss_kwargs = False  # the loss is a mean over its micro-batch

    def collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """A batch of prompts, padded on the left, and the completions to be forced, padded on the right."""
        tokenizer: Any = self.processing_class
        pad, prompts = tokenizer.pad_token_id, [row["prompt"] for row in rows]
        if self.rollout == "free":
            ids, mask = pad_left(encode_prompts(tokenizer, prompts), pad)
            return {"input_ids": ids, "attention_mask": mask}
        pairs = encode_pairs(tokenizer, prompts, [row["completion"] for row in rows])
        ids, mask = pad_left([head for head, _ in pairs], pad)
        forced, forced_mask = pad_right([tail[: self.max_completion_length] for _, tail in pairs], pad)
        return {"input_ids": ids, "attention_mask": mask, "forced_ids": forced, "forced_mask": forced_mask}

    @property
    def temperature(self) -> float:
        """τ of the present step: the first step of training has the initial one, the last step the final one."""
        start, end = self.temperatures
        progress = min(1.0, self.state.global_step / max(1, self.state.max_steps - 1))
        return annealed(start, end, progress, self.anneal)

    def roll_out(self, model: torch.nn.Module, batch: dict[str, Tensor]) -> Rollout:
        """Relaxed completions of a batch from `collate`, at the present temperature, with noise from `self.noise`."""
        prompts = batch["input_ids"], batch["attention_mask"]
        relaxation = partial(relax, estimator=self.estimator, temperature=self.temperature, generator=self.noise)
        if self.rollout == "free":
            return write(model, *prompts, self.max_completion_length, relaxation)
        return force(model, *prompts, batch["forced_ids"], batch["forced_mask"], relaxation)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Minus the objective, averaged over the prompts of the batch."""
        prompts = inputs["input_ids"], inputs["attention_mask"]
        self.noise.manual_seed(self.args.seed * 1_000_003 + self.completions)
        rollout = self.roll_out(model, inputs)
        gain = relaxed_objective.reward(self.reward_module, *prompts, rollout).mean()
        self._logged.setdefault("reward", []).append(gain.detach())
        if self.kl_weight:
            kl = relaxed_objective.kl_to(self.ref_model, *prompts, rollout).mean()
            gain = gain - self.kl_weight * kl
            self._logged.setdefault("kl", []).append(kl.detach())
        if not gain.requires_grad:
            # a step reward has no gradient at all; `backward` wants to hear that as zeros
            gain = gain + 0 * rollout.logits.sum()
        self.completions += len(inputs["input_ids"])
        read = inputs["forced_mask"].sum() if "forced_mask" in inputs else rollout.read[..., 0].numel()
        self.state.num_input_tokens_seen += int(inputs["attention_mask"].sum() + read)
        self._logged["temperature"] = [torch.tensor(self.temperature)]
        return -gain

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what has gathered since the last entry; the temperature is the last one."""
        if self._logged:
            logs |= {name: torch.stack(values).mean().item() for name, values in self._logged.items()}
            logs["num_tokens"] = self.state.num_input_tokens_seen
            self._logged = {}
        super().log(logs, start_time)
