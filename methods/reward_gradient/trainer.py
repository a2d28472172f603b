"""Gradient ascent on a differentiable reward through relaxed completions, as a transformers Trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback, TrainingArguments

from bench.encoding import encode_prompts
from bench.sampling import pad_left
from methods.reward_gradient.relaxation import Estimator, end_weights, relaxed_kl, survival
from methods.reward_gradient.rollout import check_shared_vocabulary, reference_logits, score_every_end, write


class RewardGradientTrainer(Trainer):
    """Maximises E[Σ_t w_t r(x_≤t)] − β KL(π ‖ π0) along relaxed completions x, by differentiating through them.

    The end weights w_t decide where the reward is read and carry no gradient themselves: what moves the policy is the
    reward model's gradient and nothing else. A reward that is a step function therefore moves it by exactly nothing.
    The KL is differentiated in full. The relaxed reward and KL are logged beside `loss`; their gradients are biased
    for the policy's true reward, which is the point of comparing this method with others.

    Args:
        model: the policy; trained in place.
        reward_module: a causal sequence classifier with one output and the policy's vocabulary; frozen.
        train_dataset: column `prompt`, texts or conversations.
        ref_model: π0; used only where `kl_weight` is above 0.
        max_completion_length: relaxed tokens per completion.
        estimator, temperature: see `methods.reward_gradient.relaxation.relax`.
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
        temperature: float = 1.0,
        kl_weight: float = 0.0,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        check_shared_vocabulary(model, reward_module)
        if kl_weight and ref_model is None:
            raise ValueError("kl_weight is above 0: pass ref_model, the policy that KL is measured to")
        self.reward_module: Any = reward_module
        self.reward_module.eval().requires_grad_(False)
        self.ref_model = ref_model
        self.max_completion_length = max_completion_length
        self.estimator = estimator
        self.temperature = temperature
        self.kl_weight = kl_weight
        self.noise = torch.Generator(args.device)
        self.completions = 0
        self._logged: dict[str, list[Tensor]] = {}
        super().__init__(
            model=model,
            args=args,
            data_collator=self._collate,
            train_dataset=train_dataset,
            processing_class=processing_class,
            callbacks=callbacks,
        )

    def _collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        tokenizer: Any = self.processing_class
        encoded = encode_prompts(tokenizer, [row["prompt"] for row in rows])
        ids, mask = pad_left(encoded, tokenizer.pad_token_id)
        return {"input_ids": ids, "attention_mask": mask}

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Minus the objective, averaged over the prompts of the batch."""
        prompt_ids, prompt_mask = inputs["input_ids"], inputs["attention_mask"]
        self.noise.manual_seed(self.args.seed * 1_000_003 + self.completions)
        vectors, logits = write(
            model,
            prompt_ids,
            prompt_mask,
            self.max_completion_length,
            self.estimator,
            self.temperature,
            self.noise,
        )
        eos = vectors[..., self.reward_module.config.eos_token_id]
        scores = score_every_end(self.reward_module, prompt_ids, prompt_mask, vectors)
        reward = (end_weights(eos.detach()) * scores).sum(1).mean()
        objective = reward
        self._logged.setdefault("reward", []).append(reward.detach())
        if self.kl_weight:
            reference = reference_logits(self.ref_model, prompt_ids, prompt_mask, vectors)
            kl = relaxed_kl(logits, reference, survival(eos)[:, :-1]).mean()
            objective = objective - self.kl_weight * kl
            self._logged.setdefault("kl", []).append(kl.detach())
        if not objective.requires_grad:
            # a step reward has no gradient at all; `backward` wants to hear that as zeros
            objective = objective + 0 * logits.sum()
        self.completions += len(prompt_ids)
        self.state.num_input_tokens_seen += int(prompt_mask.sum()) + vectors.shape[0] * vectors.shape[1]
        return -objective

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what has gathered since the last entry."""
        if self._logged:
            logs |= {name: torch.stack(values).mean().item() for name, values in self._logged.items()}
            logs["num_tokens"] = self.state.num_input_tokens_seen
            self._logged = {}
        super().log(logs, start_time)
