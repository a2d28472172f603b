"""What the relaxed objective says of a policy against what the policy's text earns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bench.models.encoding import decode_completions, encode_prompts
from bench.models.learned_reward import RewardModel
from bench.models.training.callbacks import measured_steps
from bench.workbench.policy import Policy
from methods.reward_gradient import relaxed_objective
from methods.reward_gradient.trainer import RewardGradientTrainer

ROWS = 128


class RelaxationGap(TrainerCallback):
    """Measures a `RewardGradientTrainer`'s policy in relaxed and in decoded text, on `ROWS` fixed training prompts.

    relaxed_reward: the mean of what is maximised, KL left out, at the present temperature.
    discrete_reward: the mean reward of as many completions sampled at temperature 1, read as text.
    argmax_reward: the mean reward of the relaxed completions' own most likely tokens, read as text. With
        `straight_through` these are the relaxed completions themselves.
    relaxation_gap: relaxed_reward − discrete_reward, in units of the reward model.

    Args:
        reward: scores text; its module is the trainer's.
        policy: makes a policy of the trainer's model.
        log: told (step, figures) at the start and while training, at the steps where the bench measures its curve.
        points: how often, at most, beside the start.

    Attributes:
        figures: those of the end of training.
        completions: relaxed completions scored so far.
        tokens_sampled: of the sampled completions so far.
    """

    def __init__(
        self,
        trainer: RewardGradientTrainer,
        reward: RewardModel,
        policy: Callable[[Any], Policy],
        log: Callable[..., None],
        points: int,
    ) -> None:
        self.trainer, self.reward, self.policy, self.log, self.points = trainer, reward, policy, log, points
        self.seed: int = trainer.args.seed
        rows = trainer.train_dataset.shuffle(seed=self.seed)
        self.rows: list[dict[str, Any]] = rows.select(range(min(ROWS, len(rows)))).to_list()
        self.figures: dict[str, float] = {}
        self.completions = 0
        self.tokens_sampled = 0

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """The four figures. Same model, same figures; the state of training is left as it was."""
        trainer, prompts = self.trainer, [row["prompt"] for row in self.rows]
        model: Any = trainer.model
        trainer.noise.manual_seed(self.seed)
        relaxed, tokens = [], []
        size = trainer.args.per_device_train_batch_size
        for start in range(0, len(self.rows), size):
            batch = {k: v.to(trainer.args.device) for k, v in trainer.collate(self.rows[start : start + size]).items()}
            rollout = trainer.roll_out(model, batch)
            rewards = relaxed_objective.reward(
                trainer.reward_module, batch["input_ids"], batch["attention_mask"], rollout
            )
            relaxed += rewards.tolist()
            tokens += rollout.vectors.argmax(-1).tolist()
        samples = self.policy(model).sample(prompts, self.seed)
        self.completions += len(relaxed)
        self.tokens_sampled += sum(map(len, samples.completion_ids))

        tokenizer: Any = trainer.processing_class
        eos = tokenizer.eos_token_id
        ended = [row[: row.index(eos) + 1] if eos in row else row for row in tokens]
        argmax = decode_completions(tokenizer, prompts, encode_prompts(tokenizer, prompts), ended)
        relaxed_reward = sum(relaxed) / len(relaxed)
        discrete_reward = sum(self.reward(prompts, samples.completions)) / len(prompts)
        return {
            "relaxed_reward": relaxed_reward,
            "discrete_reward": discrete_reward,
            "argmax_reward": sum(self.reward(prompts, argmax)) / len(prompts),
            "relaxation_gap": relaxed_reward - discrete_reward,
        }

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure where training starts."""
        if self.points:
            self.log(0, **self.measure())

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Measure at `measured_steps` and at the end."""
        if state.global_step in measured_steps(state.max_steps, self.points) | {state.max_steps}:
            self.figures = self.measure()
            self.log(state.global_step, **self.figures)
