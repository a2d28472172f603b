"""The acting half of policy gradients: completions are sampled, scored, and turned into advantages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.contracts.errors import Diverged
from bench.contracts.task import Completion, Prompt
from bench.models.encoding import decode_completions, encode_prompts
from bench.models.padding import pad_left
from bench.models.sampling import ending_ids, generate
from methods.policy_gradient.actor_critic import ActorCritic, forward_completion, pick
from methods.policy_gradient.advantages import baseline, explained_variance, gae, whiten
from methods.policy_gradient.constraint import adapted_kl_weight, adapted_step_kl_weight
from methods.policy_gradient.rewards import Moments, dense_rewards, penalised, standardise, terminal_rewards
from methods.policy_gradient.rollout import Averages, Rollouts, packed, prompts_at, seed_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from methods.policy_gradient.config import PolicyGradientConfig

Reward = Callable[..., Sequence[float] | Tensor]
"""Called as ``reward(prompts=…, completions=…)``; gives one number per completion. Nothing else is asked of it."""

PrefixReward = Callable[[Tensor, Tensor, int], Tensor]
"""From input_ids, starts (see `packed`) and the completions' length to a score after each token: (batch, length)."""


@dataclass
class Adapted:
    """What training adapts besides parameters; part of a checkpoint.

    kl_weight: β of the KL to the reference. step_kl_weight: that of the KL of an update. scores: the moments of all
    scores so far. step_kl: KL(π_old ‖ π) summed over the tokens of a batch's last pass, and their number.
    """

    kl_weight: float
    step_kl_weight: float
    scores: Moments = field(default_factory=Moments)
    step_kl: tuple[float, float] = (0.0, 0.0)

    def save(self, file: Path) -> None:
        """Write as JSON."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, file: Path) -> Adapted:
        """Read what `save` wrote."""
        saved = json.loads(file.read_text())
        return cls(saved["kl_weight"], saved["step_kl_weight"], Moments(**saved["scores"]), tuple(saved["step_kl"]))


@dataclass
class Actor:
    """Makes rollout batches; each is a function of the parameters, the seed, its number and what has been adapted.

    Attributes:
        reference: π0; None where nothing is measured to it.
        prefix_reward: gives every token a reward of its own; None for one reward at the end.
        rank, processes: this process's place among all of them.
        sum: adds a tensor up over processes.
        autocast: the precision of forward passes.
        averages: where figures of the rollouts go.
        tokens_sampled: in this process, so far.
    """

    args: PolicyGradientConfig
    model: ActorCritic
    reference: PreTrainedModel | None
    reward: Reward
    prefix_reward: PrefixReward | None
    tokenizer: PreTrainedTokenizerBase
    prompts: list[Prompt]
    averages: Averages
    rank: int = 0
    processes: int = 1
    sum: Callable[[Tensor], Tensor] = lambda tensor: tensor
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext
    tokens_sampled: int = 0

    def __post_init__(self) -> None:
        self.adapted = Adapted(self.args.kl_weight, self.args.step_kl_weight)
        self._prompt_ids: dict[int, list[int]] = {}

    @torch.no_grad()
    def roll_out(self, number: int, size: int, step: int) -> Rollouts:
        """Sample and score rollout batch `number`, counted from 0, of `size` completions; `step` is named in errors."""
        args, device = self.args, self.args.device
        prompts, encoded = self._next_prompts(number, size)
        prompt_ids, prompt_mask = (t.to(device) for t in pad_left(encoded, self.tokenizer.pad_token_id))
        with self._seeded(seed_of("sampling", args.seed, number, self.rank)):
            completion_ids, mask, logprobs = generate(
                self.model.policy, prompt_ids, prompt_mask, args.max_completion_length, args.temperature
            )
        lengths = mask.sum(1)
        kept = [ids[:n] for ids, n in zip(completion_ids.tolist(), lengths.tolist(), strict=True)]
        ends = set(ending_ids(self.model.policy))
        finished = torch.tensor([ids[-1] in ends for ids in kept], device=device)
        scores = self._score(prompts, decode_completions(self.tokenizer, prompts, encoded, kept), step)
        input_ids, starts = packed(prompt_ids, prompt_mask, completion_ids)
        values, reference = self._read(input_ids, starts, completion_ids)

        figures = {"reward": scores, "completion_length": lengths, "finished": finished}
        log_ratio = None if reference is None else (logprobs - reference) * mask
        if log_ratio is not None:
            figures["kl"] = log_ratio.sum(1)
        completions = torch.tensor(len(scores), device=device)
        self.averages.add(completions, **{name: figure.sum() for name, figure in figures.items()})
        self.tokens_sampled += int(lengths.sum())

        self._remember(scores)
        rewards = self._rewards(scores, input_ids, starts, mask)
        rewards = rewards - args.missing_eos_penalty * terminal_rewards((~finished).to(rewards.dtype), mask)
        if log_ratio is not None and args.kl_in == "reward":
            rewards = penalised(rewards, log_ratio, mask, self.adapted.kl_weight, args.kl_level)
        advantages, values, returns = self._advantages(rewards, values, mask)
        if number >= args.critic_warmup:  # before, the policy stands still
            self._adapt(figures.get("kl"))
        kept_reference = reference if args.kl_in == "loss" and args.kl_level == "sequence" else None
        return Rollouts(input_ids, starts, completion_ids, mask, logprobs, values, advantages, returns, kept_reference)

    def _next_prompts(self, number: int, size: int) -> tuple[list[Prompt], list[list[int]]]:
        count = size // self.args.samples_per_prompt
        first = (number * self.processes + self.rank) * count
        rows = prompts_at(range(first, first + count), len(self.prompts), self.args.seed)
        rows = [row for row in rows for _ in range(self.args.samples_per_prompt)]
        new = sorted({row for row in rows if row not in self._prompt_ids})
        encoded = encode_prompts(self.tokenizer, [self.prompts[row] for row in new])
        self._prompt_ids.update(zip(new, encoded, strict=True))
        return [self.prompts[row] for row in rows], [self._prompt_ids[row] for row in rows]

    def _score(self, prompts: list[Prompt], completions: list[Completion], step: int) -> Tensor:
        """One reward per completion, shape (batch,)."""
        scores = [
            score.item() if isinstance(score, Tensor) else float(score)
            for score in self.reward(prompts=prompts, completions=completions)
        ]
        if len(scores) != len(completions):
            raise ValueError(f"the reward gave {len(scores)} numbers for {len(completions)} completions")
        rewards = torch.tensor(scores, dtype=torch.float32, device=self.args.device)
        if not bool(rewards.isfinite().all()):
            raise Diverged("reward", step)
        return rewards

    def _read(self, input_ids: Tensor, starts: Tensor, completion_ids: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Values of the states and log π0 of the tokens, each (batch, tokens), a micro-batch at a time."""
        length, size = completion_ids.shape[1], self.args.train_batch_size
        values, references = [], []
        with self.autocast():
            for start in range(0, len(input_ids), size):
                rows = slice(start, start + size)
                if self.model.critic is not None:
                    values.append(self.model.values(input_ids[rows], starts[rows], length))
                if self.reference is not None:
                    logits, _ = forward_completion(self.reference, input_ids[rows], starts[rows], length)
                    distribution = (logits / self.args.temperature).log_softmax(-1)
                    references.append(pick(distribution, completion_ids[rows]))
        return torch.cat(values) if values else None, torch.cat(references) if references else None

    def _remember(self, scores: Tensor) -> None:
        """Take the scores into the running moments, those of all processes."""
        count, total = self.sum(torch.stack([torch.ones_like(scores).sum(), scores.sum()])).tolist()
        squares = self.sum((scores - total / count).square().sum()).item()
        self.adapted.scores.add(count, total / count, squares)

    def _rewards(self, scores: Tensor, input_ids: Tensor, starts: Tensor, mask: Tensor) -> Tensor:
        args = self.args
        moments = self.adapted.scores if args.reward_scaling or args.reward_normalisation else None

        def standard(values: Tensor) -> Tensor:
            return standardise(values, moments, args.reward_normalisation, args.reward_clip)

        if self.prefix_reward is None:
            return terminal_rewards(standard(scores), mask)
        prefixes = self.prefix_reward(input_ids, starts, mask.shape[1])
        return dense_rewards(standard(scores), standard(prefixes), mask)

    def _advantages(self, rewards: Tensor, values: Tensor | None, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Advantages, values and returns, each (batch, tokens); without a critic values are 0."""
        args = self.args
        if values is not None:
            values = values * mask
            advantages = gae(rewards, values, mask, args.gamma, args.gae_lambda)
            returns = advantages + values
            one = torch.ones((), device=rewards.device)
            self.averages.add(one, explained_variance=explained_variance(values, returns, mask))
        else:
            values = torch.zeros_like(rewards)
            returns = gae(rewards, values, mask, args.gamma, 1.0)  # the reward to go
            off = baseline(returns[:, 0], args.baseline, args.samples_per_prompt, self.sum)
            advantages = (returns - off.unsqueeze(1)) * mask
        if args.normalise_advantages:
            advantages = whiten(advantages, mask, self.sum)
        if args.advantage_clip is not None:
            advantages = advantages.clamp(-args.advantage_clip, args.advantage_clip)
        return advantages, values, returns

    def _adapt(self, kl: Tensor | None) -> None:
        """Set the weights for what comes, by this batch's KL to the reference and the last updates' KL."""
        args, adapted = self.args, self.adapted
        if args.kl_target is not None and kl is not None:
            total, count = self.sum(torch.stack([kl.sum(), torch.ones_like(kl).sum()])).tolist()
            adapted.kl_weight = adapted_kl_weight(adapted.kl_weight, total / count, args.kl_target, args.kl_gain)
        total, count = adapted.step_kl
        if args.step_kl_target is not None and count:
            adapted.step_kl_weight = adapted_step_kl_weight(adapted.step_kl_weight, total / count, args.step_kl_target)
        adapted.step_kl = (0.0, 0.0)

    @contextmanager
    def _seeded(self, seed: int) -> Iterator[None]:
        """A random state of its own for what is inside; the surrounding one is left as it was."""
        device = self.args.device
        accelerator = "cuda" if device.type == "cpu" else device.type
        devices = [] if device.type == "cpu" else [device.index or 0]
        with torch.random.fork_rng(devices, device_type=accelerator):
            torch.manual_seed(seed)
            yield
