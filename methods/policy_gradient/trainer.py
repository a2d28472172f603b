"""Policy gradients as a transformers Trainer, for any reward that can be called on texts.

PPO is Schulman et al. 2017 (arXiv:1707.06347), applied to language models as by Ziegler et al. 2019 (arXiv:1909.08593);
its relatives are settings, see `methods.policy_gradient.config`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, TensorDataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback

from bench.models.encoding import windows
from bench.models.ends import stop_ids
from bench.models.loading import context_length
from bench.models.padding import pad_right
from methods.policy_gradient.acting import Actor, Adapted, PrefixReward, Reward
from methods.policy_gradient.actor_critic import ActorCritic, Pass, forward_completion, pick, text_nll
from methods.policy_gradient.after_update import AfterUpdate, update_figures
from methods.policy_gradient.config import PolicyGradientConfig
from methods.policy_gradient.constraint import distribution_kl, entropy, sequence_kl_loss, step_kl, token_kl
from methods.policy_gradient.losses import policy_loss, value_loss
from methods.policy_gradient.rollout import Averages, Rollouts, permutation, prompts_at, seed_of
from methods.policy_gradient.trust_region import Region, TrustRegion, flat

CRITIC, ADAPTED = "critic.safetensors", "adapted.json"


class PolicyGradientTrainer(Trainer):
    """Trains a causal language model by PPO or one of its relatives.

    Prompts, sampling and shuffling are functions of `args.seed` and the step alone, and a checkpoint carries the
    rollout batch in use and what has been adapted, so that a resumed run equals one that never stopped, whichever step
    it resumes at.

    Logged beside `loss`, as means over the tokens trained: `policy_loss`, `value_loss`, `approx_kl` (KL(π_old ‖ π) of
    the updates, nats per token, as the losses see it, so before the last step), `clip_fraction` and `entropy` (nats per
    token); `ratio_max`; over a rollout batch's tokens once all its steps are made: `update_kl` (KL(π_old ‖ π)) and
    `ratio_99` (the 99th percentile of π/π_old); as means over the rollouts made: `reward` (as it was given), `kl` (to
    the reference, nats per completion), `completion_length` (tokens), `finished` (share that ended in EOS) and
    `explained_variance`; `num_tokens`, tokens trained so far; and where it is in use: `kl_weight`, `step_kl_weight`,
    `reference_kl`, `ptx_loss`, `step_share` (of TRPO's full step).

    Args:
        model: the policy; trained in place.
        reward: see `methods.policy_gradient.acting.Reward`. It sees text, or messages where prompts are conversations.
        args: a `PolicyGradientConfig`.
        train_dataset: column `prompt`, texts or conversations (to which the tokenizer's chat template is applied).
        processing_class: the policy's tokenizer, with a padding token (EOS will do).
        ref_model: π0, never trained; None: a copy of `model`. Not used at all where `kl_weight` is 0.
        critic: a sequence classifier with one output and the policy's tokenizer; None: a value head on the policy.
        prefix_reward: a score after each token, for a reward at every token; `reward` still scores the whole.
        corpus: texts of the pre-training, needed where `ptx_weight` is above 0.
        callbacks: as for any Trainer. The model they see is an `ActorCritic`: `.policy`, `.critic`.

    Raises:
        bench.contracts.errors.Diverged: when the reward is NaN or infinite.
    """

    model: ActorCritic
    args: PolicyGradientConfig
    processing_class: PreTrainedTokenizerBase
    optimizer: Any

    def __init__(
        self,
        model: PreTrainedModel,
        reward: Reward,
        args: PolicyGradientConfig,
        train_dataset: Any,
        processing_class: PreTrainedTokenizerBase,
        ref_model: PreTrainedModel | None = None,
        critic: PreTrainedModel | None = None,
        prefix_reward: PrefixReward | None = None,
        corpus: list[str] | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        if ref_model is model:
            raise ValueError("ref_model is the model being trained: pass a copy, or None to have one made")
        if args.ptx_weight and not corpus:
            raise ValueError("ptx_weight is above 0: pass corpus, texts of the pre-training")
        reference: Any = None
        if args.kl_weight:
            reference = copy.deepcopy(model) if ref_model is None else ref_model
            reference = reference.eval().requires_grad_(False).to(args.device)
        model.config.eos_token_id = processing_class.eos_token_id
        model.config.pad_token_id = processing_class.pad_token_id
        model.generation_config.eos_token_id = stop_ids(processing_class)
        head: Literal["value_head"] | PreTrainedModel = "value_head" if critic is None else critic
        pair = ActorCritic(model, head if args.has_critic else None, detached=args.update != "gradient")

        self.corpus = windows(processing_class, corpus or [], context_length(model)) if args.ptx_weight else []
        self._rollouts: Rollouts | None = None
        self._averages = Averages()
        self._ratio_max = torch.zeros((), device=args.device)
        super().__init__(
            model=pair,
            args=args,
            train_dataset=train_dataset,
            processing_class=processing_class,
            callbacks=callbacks,
        )
        # the loss below is already divided by the number of tokens in the whole optimiser step
        self.model_accepts_loss_kwargs = True
        self.add_callback(AfterUpdate(self.steps_per_rollout, self._read_update))
        self.actor = Actor(
            args,
            pair,
            reference,
            reward,
            prefix_reward,
            processing_class,
            list(train_dataset["prompt"]),
            self._averages,
            args.process_index,
            self.accelerator.num_processes,
            self._sum,
            self.accelerator.autocast,
        )

    # -- the schedule: rollout batches, passes, mini-batches ---------------------------------------------------------

    @property
    def mini_batch_size(self) -> int:
        """Completions per optimiser step in this process."""
        return self.args.train_batch_size * self.args.gradient_accumulation_steps

    @property
    def rollout_size(self) -> int:
        """Completions per rollout batch in this process."""
        return self.mini_batch_size * self.args.num_mini_batches

    @property
    def steps_per_rollout(self) -> int:
        """Optimiser steps per rollout batch."""
        return self.args.num_ppo_epochs * self.args.num_mini_batches

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Only its length is used: one epoch of the Trainer is as many rollout batches as show every prompt once."""
        shown = self.rollout_size // self.args.samples_per_prompt * self.accelerator.num_processes
        rollouts = -(-len(self.actor.prompts) // shown)
        size = self.args.train_batch_size
        batches = rollouts * self.steps_per_rollout * self.args.gradient_accumulation_steps
        return DataLoader(TensorDataset(torch.empty(batches * size, 0)), batch_size=size)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], Tensor]:
        """The micro-batches of the next optimiser step, and the number of completion tokens in all of them.

        Each says what is trained on it: `critic` alone in the critic's warm-up and in a trust region's later passes.
        """
        number, step = divmod(self.state.global_step, self.steps_per_rollout)
        if step == 0 or self._rollouts is None:
            self._rollouts = self.actor.roll_out(number, self.rollout_size, self.state.global_step + 1)
        epoch, mini_batch = divmod(step, self.args.num_mini_batches)
        seed = seed_of("shuffle", self.args.seed, number, epoch, self.args.process_index)
        order = permutation(self.rollout_size, seed).to(device)
        rows = order[mini_batch * self.mini_batch_size :][: self.mini_batch_size]
        batches: list[dict[str, Any]] = [
            self._rollouts.rows(chunk) for chunk in torch.split(rows, self.args.train_batch_size)
        ]
        counts = torch.stack(
            [torch.stack([b["mask"].sum(), b["mask"].sum() + b["starts"].sum()]) for b in batches]
        ).sum(0)
        tokens, seen = self._sum(counts)
        self.state.num_input_tokens_seen += int(seen)
        warming = number < self.args.critic_warmup
        for batch in batches:
            batch["critic_only"] = warming or (self.args.update != "gradient" and epoch > 0)
            batch["last_pass"] = epoch == self.args.num_ppo_epochs - 1
        if self.args.ptx_weight and not warming:
            self._add_corpus(batches, self.state.global_step, device)
        if isinstance(self._own_optimizer, TrustRegion) and not batches[0]["critic_only"]:
            self._own_optimizer.region = self._region(batches, tokens)
        return batches, tokens

    def _add_corpus(self, batches: list[dict[str, Any]], step: int, device: torch.device) -> None:
        """As many texts of the corpus as there are completions; all micro-batches together count as one."""
        places = (step * self.args.world_size + self.args.process_index) * self.mini_batch_size
        rows = prompts_at(
            range(places, places + self.mini_batch_size), len(self.corpus), seed_of("corpus", self.args.seed)
        )
        texts = [self.corpus[row] for row in rows]
        tokens = self._sum(torch.tensor(sum(len(text) - 1 for text in texts), device=device))
        size = self.args.train_batch_size
        for i, batch in enumerate(batches):
            ids, mask = pad_right(texts[i * size : (i + 1) * size], self.processing_class.pad_token_id)
            batch["corpus"] = (ids.to(device), mask.to(device), tokens)
            self.state.num_input_tokens_seen += int(mask.sum())

    # -- learning ----------------------------------------------------------------------------------------------------

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """A micro-batch's share of the mean loss per completion token of the whole optimiser step."""
        mask = inputs["mask"].bool()
        where = (inputs["input_ids"], inputs["starts"], mask.shape[1], self.args.temperature)
        if inputs["critic_only"]:
            total = self._value_loss(model(*where, critic_only=True), inputs, mask)
        else:
            output: Pass = model(*where)
            total = self._policy_loss(output, inputs, mask)
            if output.values is not None:
                total = total + self._value_loss(output.values, inputs, mask)
        # several processes average their gradients, so each one's share counts as often as there are processes
        loss: Tensor = total * (self.accelerator.num_processes / num_items_in_batch)
        if "corpus" in inputs:
            ids, text_mask, tokens = inputs["corpus"]
            nll = text_nll(self.model.policy, ids, text_mask)
            self._averages.add((text_mask.sum(1) - 1).sum(), ptx_loss=nll)
            loss = loss + self.args.ptx_weight * nll * (self.accelerator.num_processes / tokens)
        return loss

    def _policy_loss(self, output: Pass, inputs: dict[str, Any], mask: Tensor) -> Tensor:
        """Everything that moves the policy, summed over the micro-batch's tokens."""
        args, old = self.args, inputs["logprobs"]
        logprobs = torch.where(mask, output.logprobs, old)
        surrogate = policy_loss(logprobs, old, inputs["advantages"], args.clip_range, args.importance_sampling)
        total = (surrogate * mask).sum()
        figures = {"policy_loss": total}
        update = step_kl(logprobs, old)
        if self.actor.adapted.step_kl_weight:
            total = total + self.actor.adapted.step_kl_weight * update.sum()
        entropies = entropy(output.distribution if args.entropy_weight else output.distribution.detach()) * mask
        if args.entropy_weight:
            total = total - args.entropy_weight * entropies.sum()
        if args.kl_weight and args.kl_in == "loss":
            figures["reference_kl"] = self._reference_kl(output.distribution, logprobs, inputs, mask)
            total = total + self.actor.adapted.kl_weight * figures["reference_kl"]
        with torch.no_grad():
            ratio = (logprobs - old).exp()
            self._ratio_max = torch.maximum(self._ratio_max, ratio.max())
            outside = (ratio - 1).abs() > (args.clip_range or torch.inf)
            figures |= {"approx_kl": update.sum(), "clip_fraction": outside.sum(), "entropy": entropies.sum()}
            self._averages.add(mask.sum(), **figures)
            if args.step_kl_target is not None and inputs["last_pass"]:
                kl, tokens = self._sum(torch.stack([update.sum(), mask.sum()])).tolist()
                before = self.actor.adapted.step_kl
                self.actor.adapted.step_kl = (before[0] + kl, before[1] + tokens)
        return total

    def _read_update(self) -> None:
        """Log how far the policy now is from the one that sampled the rollout batch: `update_kl`, `ratio_99`."""
        if self._rollouts is not None:
            with self.accelerator.autocast():
                tokens, figures = update_figures(
                    self.model.policy, self._rollouts, self.args.train_batch_size, self.args.temperature
                )
            self._averages.add(torch.tensor(tokens, device=self.args.device), **figures)

    def _reference_kl(self, distribution: Tensor, logprobs: Tensor, inputs: dict[str, Any], mask: Tensor) -> Tensor:
        """The differentiable KL to the reference, summed over the micro-batch."""
        if self.args.kl_level == "sequence":
            return sequence_kl_loss(logprobs, inputs["reference"], mask).sum()
        reference_model: Any = self.actor.reference
        with torch.no_grad():
            logits, _ = forward_completion(reference_model, inputs["input_ids"], inputs["starts"], mask.shape[1])
            reference = (logits / self.args.temperature).log_softmax(-1)
        return (token_kl(distribution, reference) * mask).sum()

    def _value_loss(self, values: Tensor, inputs: dict[str, Any], mask: Tensor) -> Tensor:
        loss = value_loss(values, inputs["values"], inputs["returns"], self.args.value_clip_range)
        total = (loss * mask).sum()
        self._averages.add(mask.sum(), value_loss=total)
        return self.args.value_weight * total

    def _region(self, batches: list[dict[str, Any]], tokens: Tensor) -> Region:
        """What the trust region's step asks about these micro-batches, with the policy as it is being π_old."""
        parameters = [p for p in self.model.policy.parameters() if p.requires_grad]

        def distribution(batch: dict[str, Any]) -> Tensor:
            length = batch["mask"].shape[1]
            logits, _ = forward_completion(self.model.policy, batch["input_ids"], batch["starts"], length)
            return (logits / self.args.temperature).log_softmax(-1)

        with torch.no_grad():
            old_distributions = [distribution(batch) for batch in batches]

        def surrogate_and_kl() -> tuple[float, float]:
            sums = torch.zeros(2, device=tokens.device)
            with torch.no_grad():
                for batch, old in zip(batches, old_distributions, strict=True):
                    new, mask = distribution(batch), batch["mask"]
                    logprobs = pick(new, batch["completion_ids"])
                    surrogate = policy_loss(
                        torch.where(mask.bool(), logprobs, 0.0), batch["logprobs"], batch["advantages"]
                    )
                    sums += torch.stack([(surrogate * mask).sum(), (distribution_kl(old, new) * mask).sum()])
            loss, kl = (self._sum(sums) / tokens).tolist()
            return loss, kl

        fisher_batches = [_first_rows(batch, self.args.fisher_share) for batch in batches]
        slopes: list[Tensor] = []  # ∇KL with its graph, made once for all products

        def fisher(vector: Tensor) -> Tensor:
            """F v as the derivative of ⟨∇KL, v⟩ at π = π_old (Schulman et al. 2015, appendix C.1)."""
            product = torch.zeros_like(vector)
            # fused attention has no second derivative
            with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
                if not slopes:
                    count = self._sum(torch.stack([batch["mask"].sum() for batch in fisher_batches]).sum())
                    for batch in fisher_batches:
                        now = distribution(batch)
                        kl = (distribution_kl(now.detach(), now) * batch["mask"]).sum() / count
                        slopes.append(flat(torch.autograd.grad(kl, parameters, create_graph=True)))
                for slope in slopes:
                    product += flat(torch.autograd.grad(slope @ vector, parameters, retain_graph=True))
            return self._sum(product)

        return Region(fisher, surrogate_and_kl)

    # -- optimiser and logs ------------------------------------------------------------------------------------------

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """The parent's, with a learning rate of its own for the critic where one is set; or a trust region's."""
        if self.optimizer is not None:
            return self.optimizer
        args, critic = self.args, self.model.critic
        rate = args.learning_rate if args.critic_learning_rate is None else args.critic_learning_rate
        others: list[dict[str, Any]] = [] if critic is None else [{"params": list(critic.parameters()), "lr": rate}]
        if args.update == "gradient":
            optimizer: torch.optim.Optimizer = super().create_optimizer(model)
            own = {id(parameter) for group in others for parameter in group["params"]}
            for group in list(optimizer.param_groups):
                separate = [p for p in group["params"] if id(p) in own]
                group["params"] = [p for p in group["params"] if id(p) not in own]
                if separate:
                    optimizer.add_param_group({**group, "params": separate, "lr": rate})
        else:
            bound = args.max_step_kl if args.update == "trpo" else None
            policy = [p for p in self.model.policy.parameters() if p.requires_grad]
            self.optimizer = optimizer = TrustRegion(
                policy, others, args.learning_rate, bound, args.cg_iterations, args.cg_damping
            )
        return optimizer

    @property
    def _own_optimizer(self) -> Any:
        """The optimiser without accelerate's wrapper."""
        return getattr(self.optimizer, "optimizer", self.optimizer)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what has gathered since the last entry."""
        averages = self._averages.flush(self._sum)
        if averages:
            logs |= averages
            logs["ratio_max"] = self.accelerator.gather(self._ratio_max.reshape(1)).max().item()
            logs["num_tokens"] = self.state.num_input_tokens_seen
            if self.args.kl_target is not None:
                logs["kl_weight"] = self.actor.adapted.kl_weight
            if self.args.step_kl_weight:
                logs["step_kl_weight"] = self.actor.adapted.step_kl_weight
            if (step := getattr(self._own_optimizer, "last", None)) is not None:
                logs |= {"step_share": step.share, "step_kl": step.kl}
            self._ratio_max.zero_()
        super().log(logs, start_time)

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """The policy and its tokenizer as `from_pretrained` reads them, the critic beside them."""
        directory = Path(output_dir or str(self.args.output_dir))
        if self.args.should_save:
            self.model.policy.save_pretrained(directory)
            self.processing_class.save_pretrained(directory)
            if self.model.critic is not None:
                save_model(self.model.critic, str(directory / CRITIC))
            self.actor.adapted.save(directory / ADAPTED)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self._rollouts is not None and self.state.global_step % self.steps_per_rollout:
            directory = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
            self._rollouts.save(directory / self._rollouts_file)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        directory, policy = Path(resume_from_checkpoint), self.model.policy
        saved = type(policy).from_pretrained(directory, dtype=policy.dtype)
        policy.load_state_dict(saved.state_dict())
        if self.model.critic is not None:
            load_model(self.model.critic, str(directory / CRITIC))
        self.actor.adapted = Adapted.load(directory / ADAPTED)
        if (directory / self._rollouts_file).is_file():
            self._rollouts = Rollouts.load(directory / self._rollouts_file, self.args.device)

    @property
    def _rollouts_file(self) -> str:
        return f"rollouts-{self.args.process_index}.safetensors"

    def _sum(self, tensor: Tensor) -> Tensor:
        """The sum over processes."""
        return self.accelerator.reduce(tensor, "sum") if self.accelerator.num_processes > 1 else tensor


def _first_rows(batch: dict[str, Any], share: float) -> dict[str, Any]:
    """The first `share` of a micro-batch's rows (which are in random order), one at least."""
    rows = max(1, round(share * len(batch["mask"])))
    return {name: batch[name][:rows] for name in ("input_ids", "starts", "completion_ids", "mask")}
