"""Proximal policy optimisation as a transformers Trainer, for any reward that can be called on texts.

Schulman et al. 2017 (arXiv:1707.06347), applied to language models as by Ziegler et al. 2019 (arXiv:1909.08593).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback

from bench.contracts import Completion, Prompt
from bench.encoding import decode_completions, encode_prompt
from bench.errors import Diverged
from bench.policy import generate, pad_left
from methods.ppo.actor_critic import ActorCritic, forward_completion, pick
from methods.ppo.advantages import explained_variance, gae, token_rewards, whiten
from methods.ppo.config import PPOConfig
from methods.ppo.losses import policy_loss, update_kl, value_loss
from methods.ppo.rollout import Averages, Rollouts, permutation, prompts_at, seed_of

Reward = Callable[..., Sequence[float] | Tensor]
"""Called as ``reward(prompts=…, completions=…)``; gives one number per completion. Nothing else is asked of it."""


class PPOTrainer(Trainer):
    """Trains a causal language model by PPO.

    Prompts, sampling and shuffling are functions of `args.seed` and the step alone, and a checkpoint carries the
    rollout batch in use, so that a resumed run equals one that never stopped, whichever step it resumes at.

    Logged beside `loss`: `policy_loss`, `value_loss`, `approx_kl` (KL(π_old ‖ π) of the updates, nats per token),
    `clip_fraction`, `ratio_max`, `entropy` (nats per token) as means over the tokens trained; `reward` (before any
    penalty), `kl` (to the reference, nats per completion), `completion_length` (tokens), `finished` (share that ended
    in EOS) and `explained_variance` as means over the rollouts made; `num_tokens`, tokens trained so far.

    Args:
        model: the policy; trained in place.
        reward: see `Reward`. It sees text, or messages where the prompts are conversations.
        args: a `PPOConfig`.
        train_dataset: column `prompt`, texts or conversations (to which the tokenizer's chat template is applied).
        processing_class: the policy's tokenizer, with a padding token (EOS will do).
        ref_model: π0, never trained; None: a copy of `model`. Not used at all where `kl_weight` is 0.
        critic: a sequence classifier with one output and the policy's tokenizer; None: a value head on the policy.
        callbacks: as for any Trainer. The model they see is an `ActorCritic`: `.policy`, `.critic`.

    Raises:
        bench.errors.Diverged: when the reward is NaN or infinite.
    """

    model: ActorCritic
    args: PPOConfig
    processing_class: PreTrainedTokenizerBase

    def __init__(
        self,
        model: PreTrainedModel,
        reward: Reward,
        args: PPOConfig,
        train_dataset: Any,
        processing_class: PreTrainedTokenizerBase,
        ref_model: PreTrainedModel | None = None,
        critic: PreTrainedModel | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        if ref_model is model:
            raise ValueError("ref_model is the model being trained: pass a copy, or None to have one made")
        self.reward = reward
        self.ref_model: PreTrainedModel | None = None
        if args.kl_weight:
            reference: Any = copy.deepcopy(model) if ref_model is None else ref_model
            self.ref_model = reference.eval().requires_grad_(False).to(args.device)
        model.config.eos_token_id = processing_class.eos_token_id
        model.config.pad_token_id = processing_class.pad_token_id

        self.prompts: list[Prompt] = list(train_dataset["prompt"])
        self._prompt_ids: dict[int, list[int]] = {}
        self._rollouts: Rollouts | None = None
        self._averages = Averages()
        self._ratio_max = torch.zeros((), device=args.device)
        self.tokens_sampled = 0
        super().__init__(
            model=ActorCritic(model, critic),
            args=args,
            train_dataset=train_dataset,
            processing_class=processing_class,
            callbacks=callbacks,
        )
        # the loss below is already divided by the number of tokens in the whole optimiser step
        self.model_accepts_loss_kwargs = True

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
        rollouts = -(-len(self.prompts) // (self.rollout_size * self.accelerator.num_processes))
        size = self.args.train_batch_size
        batches = rollouts * self.steps_per_rollout * self.args.gradient_accumulation_steps
        return DataLoader(TensorDataset(torch.empty(batches * size, 0)), batch_size=size)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Tensor]], Tensor]:
        """The micro-batches of the next optimiser step, and the number of completion tokens in all of them."""
        number, step = divmod(self.state.global_step, self.steps_per_rollout)
        if step == 0 or self._rollouts is None:
            self._rollouts = self.roll_out(number)
        epoch, mini_batch = divmod(step, self.args.num_mini_batches)
        seed = seed_of("shuffle", self.args.seed, number, epoch, self.args.process_index)
        order = permutation(self.rollout_size, seed).to(device)
        rows = order[mini_batch * self.mini_batch_size :][: self.mini_batch_size]
        batches = [self._rollouts.rows(chunk) for chunk in torch.split(rows, self.args.train_batch_size)]
        counts = torch.stack([torch.stack([b["mask"].sum(), b["attention_mask"].sum()]) for b in batches]).sum(0)
        tokens, seen = self._sum(counts)
        self.state.num_input_tokens_seen += int(seen)
        return batches, tokens

    # -- acting ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def roll_out(self, number: int) -> Rollouts:
        """Sample and score rollout batch `number`, counted from 0."""
        args, tokenizer, device = self.args, self.processing_class, self.args.device
        first = (number * self.accelerator.num_processes + args.process_index) * self.rollout_size
        rows = prompts_at(range(first, first + self.rollout_size), len(self.prompts), args.seed)
        for row in rows:
            if row not in self._prompt_ids:
                self._prompt_ids[row] = encode_prompt(tokenizer, self.prompts[row])
        prompts, encoded = [self.prompts[row] for row in rows], [self._prompt_ids[row] for row in rows]
        prompt_ids, prompt_mask = (t.to(device) for t in pad_left(encoded, tokenizer.pad_token_id))

        with self._seeded(seed_of("sampling", args.seed, number, args.process_index)):
            completion_ids, mask, logprobs = generate(
                self.model.policy, prompt_ids, prompt_mask, args.max_completion_length, args.temperature
            )
        lengths = mask.sum(1)
        kept = [ids[:n] for ids, n in zip(completion_ids.tolist(), lengths.tolist(), strict=True)]
        finished = torch.tensor([ids[-1] == tokenizer.eos_token_id for ids in kept], device=device)
        scores = self._score(prompts, decode_completions(tokenizer, prompts, encoded, kept))

        input_ids = torch.cat([prompt_ids, completion_ids], 1)
        attention_mask = torch.cat([prompt_mask, mask], 1)
        values, log_ratio = self._judge(input_ids, attention_mask, completion_ids, logprobs)
        penalised = scores - args.missing_eos_penalty * ~finished
        rewards = token_rewards(penalised, mask, log_ratio, args.kl_weight)
        advantages = gae(rewards, values, mask, args.gamma, args.gae_lambda)
        returns = advantages + values * mask

        self.tokens_sampled += int(lengths.sum())
        completions, one = torch.tensor(len(rows), device=device), torch.ones((), device=device)
        figures = {"reward": scores, "completion_length": lengths, "finished": finished}
        if log_ratio is not None:
            figures["kl"] = (log_ratio * mask).sum(1)
        self._averages.add(completions, **{name: figure.sum() for name, figure in figures.items()})
        self._averages.add(one, explained_variance=explained_variance(values, returns, mask))
        if args.normalise_advantages:
            advantages = whiten(advantages, mask, self._sum)
        return Rollouts(prompt_ids, prompt_mask, completion_ids, mask, logprobs, values * mask, advantages, returns)

    def _score(self, prompts: list[Prompt], completions: list[Completion]) -> Tensor:
        """One reward per completion, shape (batch,)."""
        scores = [
            score.item() if isinstance(score, Tensor) else float(score)
            for score in self.reward(prompts=prompts, completions=completions)
        ]
        if len(scores) != len(completions):
            raise ValueError(f"the reward gave {len(scores)} numbers for {len(completions)} completions")
        rewards = torch.tensor(scores, dtype=torch.float32, device=self.args.device)
        if not bool(rewards.isfinite().all()):
            raise Diverged("reward", self.state.global_step + 1)
        return rewards

    def _judge(
        self, input_ids: Tensor, attention_mask: Tensor, completion_ids: Tensor, logprobs: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Values of the states and log π − log π0 of the tokens, each (batch, tokens), a micro-batch at a time."""
        length, size = completion_ids.shape[1], self.args.train_batch_size
        values, log_ratios = [], []
        with self.accelerator.autocast():
            for start in range(0, len(input_ids), size):
                rows = slice(start, start + size)
                values.append(self.model.values(input_ids[rows], attention_mask[rows], length))
                if self.ref_model is not None:
                    logits, _ = forward_completion(self.ref_model, input_ids[rows], attention_mask[rows], length)
                    reference = pick((logits / self.args.temperature).log_softmax(-1), completion_ids[rows])
                    log_ratios.append(logprobs[rows] - reference)
        return torch.cat(values), torch.cat(log_ratios) if log_ratios else None

    # -- learning ----------------------------------------------------------------------------------------------------

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """A micro-batch's share of the mean loss per completion token of the whole optimiser step."""
        mask, old = inputs["mask"].bool(), inputs["logprobs"]
        logprobs, entropies, values = model(
            inputs["input_ids"], inputs["attention_mask"], mask.shape[1], self.args.temperature
        )
        logprobs = torch.where(mask, logprobs, old)
        policy = (policy_loss(logprobs, old, inputs["advantages"], self.args.clip_range) * mask).sum()
        value = value_loss(values, inputs["values"], inputs["returns"], self.args.value_clip_range)
        value = (value * mask).sum()
        with torch.no_grad():
            ratio = (logprobs - old).exp()
            self._ratio_max = torch.maximum(self._ratio_max, ratio.max())
            self._averages.add(
                mask.sum(),
                policy_loss=policy,
                value_loss=value,
                approx_kl=update_kl(logprobs, old).sum(),
                clip_fraction=((ratio - 1).abs() > self.args.clip_range).sum(),
                entropy=(entropies * mask).sum(),
            )
        # several processes average their gradients, so each one's share counts as often as there are processes
        share = self.accelerator.num_processes / num_items_in_batch
        loss: Tensor = (policy + self.args.value_weight * value) * share
        return loss

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """The parent's, with a learning rate of its own for the critic where one is set."""
        fresh = self.optimizer is None
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if fresh and self.args.critic_learning_rate is not None:
            critics = {id(parameter) for parameter in self.model.critic.parameters()}
            for group in list(optimizer.param_groups):
                mine = [p for p in group["params"] if id(p) in critics]
                group["params"] = [p for p in group["params"] if id(p) not in critics]
                if mine:
                    optimizer.add_param_group({**group, "params": mine, "lr": self.args.critic_learning_rate})
        return optimizer

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what has gathered since the last entry."""
        averages = self._averages.flush(self._sum)
        if averages:
            logs |= averages
            logs["ratio_max"] = self.accelerator.gather(self._ratio_max.reshape(1)).max().item()
            logs["num_tokens"] = self.state.num_input_tokens_seen
            self._ratio_max.zero_()
        super().log(logs, start_time)

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """The policy and its tokenizer as `from_pretrained` reads them, the critic beside them."""
        directory = Path(output_dir or str(self.args.output_dir))
        if self.args.should_save:
            self.model.policy.save_pretrained(directory)
            self.processing_class.save_pretrained(directory)
            save_model(self.model.critic, str(directory / "critic.safetensors"))

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self._rollouts is not None and self.state.global_step % self.steps_per_rollout:
            directory = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
            self._rollouts.save(directory / self._rollouts_file)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        directory, policy = Path(resume_from_checkpoint), self.model.policy
        saved = type(policy).from_pretrained(directory, dtype=policy.dtype)
        policy.load_state_dict(saved.state_dict())
        load_model(self.model.critic, str(directory / "critic.safetensors"))
        if (directory / self._rollouts_file).is_file():
            self._rollouts = Rollouts.load(directory / self._rollouts_file, self.args.device)

    @property
    def _rollouts_file(self) -> str:
        return f"rollouts-{self.args.process_index}.safetensors"

    # -- small things ------------------------------------------------------------------------------------------------

    def _sum(self, tensor: Tensor) -> Tensor:
        """The sum over processes."""
        return self.accelerator.reduce(tensor, "sum") if self.accelerator.num_processes > 1 else tensor

    @contextmanager
    def _seeded(self, seed: int) -> Iterator[None]:
        """A random state of its own for what is inside; the surrounding one is left as it was."""
        device = self.args.device
        accelerator = "cuda" if device.type == "cpu" else device.type
        devices = [] if device.type == "cpu" else [device.index or 0]
        with torch.random.fork_rng(devices, device_type=accelerator):
            torch.manual_seed(seed)
            yield
