"""`rloo`: REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024, arXiv:2402.14740), trained by TRL.

`grpo` differs in TRL's trainer and its settings alone, and shares all of the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import model_validator

from bench import Completion, Field, Method, Policy, Prompt, Range, SearchSpace, Workbench

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class RLOO(Method):
    """Policy gradient without a critic: a completion's baseline is the mean reward of the prompt's others (RLOO).

    The reward is the reward model's score less `beta` per nat of log π/π0 of the whole completion. TRL clips the ratio
    of the whole completion's probabilities, averages the loss over completions, and scales nothing.
    """

    needs: ClassVar[set[str]] = {"reward_model"}
    search_space: ClassVar[SearchSpace] = {
        "beta": Range(0.01, 1, log=True),
        "learning_rate": Range(3e-5, 3e-3, log=True),
    }

    steps: int = Field(60, ge=1, description="batches of completions sampled and learned from")
    rollouts: int = Field(128, ge=2, description="completions per batch")
    num_generations: int = Field(4, ge=2, description="completions per prompt; divides `rollouts`")
    epochs: int = Field(2, ge=1, description="passes over each batch")
    minibatches: int = Field(2, ge=1, description="updates per pass; divides `rollouts`")
    learning_rate: float = Field(5e-4, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")
    beta: float = Field(0.1, ge=0, description="reward lost per nat of log π/π0; 0: no reference at all")
    epsilon: float = Field(0.2, gt=0, description="clip range of the ratio of new to old probability")
    max_grad_norm: float = Field(1.0, gt=0, description="gradient clipping")

    @model_validator(mode="after")
    def _whole_groups(self) -> RLOO:
        for name in ("num_generations", "minibatches"):
            if self.rollouts % getattr(self, name):
                raise ValueError(f"rollouts ({self.rollouts}) must be a multiple of {name} ({getattr(self, name)})")
        return self

    def trainer(self) -> tuple[Any, Any, dict[str, Any]]:
        """TRL's trainer, its config, and the settings that the two methods do not share."""
        from trl import RLOOConfig, RLOOTrainer

        return RLOOTrainer, RLOOConfig, {"normalize_advantages": False}

    def train(self, workbench: Workbench) -> Policy:
        """Train from π0 against the reward model; training curves count updates, as `ppo`'s do."""
        trainer_class, config_class, own = self.trainer()
        model = workbench.sft_model()
        sampled = 0

        def reward(prompts: list[Prompt], completion_ids: list[list[int]], **_: Any) -> list[float]:
            # from the tokens: TRL decodes completions alone, which loses their leading space, and hides <unk>
            nonlocal sampled
            sampled += sum(map(len, completion_ids))
            return workbench.reward_model(prompts, decoded(workbench, prompts, completion_ids))

        # from fewer prompts than a batch asks, TRL makes no batch at all and trains nothing
        prompts, asked = workbench.prompts, self.rollouts // self.num_generations
        origin = model.config._name_or_path
        if self.beta:
            # TRL loads its reference from where the model says that it came from, whatever the one in memory is
            model.config._name_or_path = str(workbench.checkpoints / "reference")
            workbench.reference.save_pretrained(model.config._name_or_path)
        trainer = trainer_class(
            model,
            reward_funcs=reward,
            args=config_class(
                **workbench.training_arguments(),
                **own,
                max_steps=self.steps * self.epochs * self.minibatches,
                per_device_train_batch_size=self.rollouts // self.minibatches,
                steps_per_generation=self.minibatches,
                num_iterations=self.epochs,
                num_generations=self.num_generations,
                max_completion_length=workbench.max_completion_tokens,
                learning_rate=self.learning_rate,
                max_grad_norm=self.max_grad_norm,
                beta=self.beta,
                epsilon=self.epsilon,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                disable_dropout=True,
            ),
            train_dataset=prompts.select([i % len(prompts) for i in range(max(len(prompts), asked))]),
            processing_class=workbench.tokenizer,
            callbacks=workbench.callbacks(),
        )
        model.config._name_or_path = origin
        hooks = [count_positions_from_the_first_token(each) for each in (model, trainer.ref_model) if each is not None]
        trainer.train()
        for hook in hooks:
            hook.remove()
        workbench.cost.tokens_sampled += sampled
        # TRL counts a batch's tokens when it is sampled, not at each pass over it
        workbench.cost.tokens_trained += (self.epochs - 1) * int(trainer.state.num_input_tokens_seen)
        return workbench.policy(model)


def decoded(workbench: Workbench, prompts: list[Prompt], completion_ids: list[list[int]]) -> list[Completion]:
    """Sampled tokens as completions, so that ``prompt + completion`` is the whole text."""
    from bench.models.encoding import decode_completions, encode_prompts

    tokenizer = workbench.tokenizer
    return decode_completions(tokenizer, prompts, encode_prompts(tokenizer, prompts), completion_ids)


def count_positions_from_the_first_token(model: PreTrainedModel) -> Any:
    """Have `model` number the positions of left-padded rows as `generate` does; returns the hook, to be removed.

    TRL's online trainers sample with those positions, but compute log-probabilities without giving any. A model with
    absolute positions (GPT-2) then counts the padding as well: its ratios and its KL to π0 are those of other contexts.
    """
    from bench.models.loading import takes
    from bench.models.padding import positions

    named = takes(model, "position_ids")

    def add_positions(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        mask = kwargs.get("attention_mask")
        if named and mask is not None and kwargs.get("position_ids") is None and kwargs.get("past_key_values") is None:
            kwargs["position_ids"] = positions(mask)
        return args, kwargs

    return model.register_forward_pre_hook(add_positions, with_kwargs=True)
