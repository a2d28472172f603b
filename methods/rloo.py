"""`rloo`: REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024, arXiv:2402.14740), trained by TRL.

`grpo` differs in TRL's trainer and its settings alone, and shares all of the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import model_validator

from bench import Field, Method, Policy, Prompt, Range, SearchSpace, Workbench

if TYPE_CHECKING:
    from datasets import Dataset
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
        from bench.models.training.trl_rows import taking_ids

        trainer_class, config_class, own = self.trainer()
        model = workbench.sft_model()
        with coming_from_the_reference(model, workbench) if self.beta else nullcontext():
            trainer = taking_ids(trainer_class)(
                model,
                reward_funcs=partial(reward, workbench),
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
                train_dataset=enough_for_a_batch(workbench.prompts, self.rollouts // self.num_generations),
                processing_class=workbench.tokenizer,
                callbacks=workbench.callbacks(),
            )
        with ExitStack() as hooks:
            for each in filter(None, (model, trainer.ref_model)):
                hooks.callback(count_positions_from_the_first_token(each).remove)
            trainer.train()
        # TRL counts a batch's tokens when it is sampled, not at each pass over it
        workbench.cost.tokens_trained += (self.epochs - 1) * int(trainer.state.num_input_tokens_seen)
        return workbench.policy(model)


# -- what TRL's online trainers need to be set right in, one function each ---------------------------------------------


def reward(workbench: Workbench, prompts: list[Prompt], completion_ids: list[list[int]], **_: Any) -> list[float]:
    """The reward model's scores of sampled tokens, which are charged here. TRL logs them under this function's name.

    TRL decodes completions alone, which loses their leading space, and hides <unk>: ``prompt + completion`` would not
    be the whole text.
    """
    from bench.models.encoding import decode_completions, encode_prompts

    workbench.cost.tokens_sampled += sum(map(len, completion_ids))
    prompt_ids = encode_prompts(workbench.tokenizer, prompts)
    completions = decode_completions(workbench.tokenizer, prompts, prompt_ids, completion_ids)
    return workbench.reward_model(prompts, completions)


def enough_for_a_batch(prompts: Dataset, least: int) -> Dataset:
    """`prompts`, repeated where there are fewer than `least`: TRL then makes no batch at all and trains nothing."""
    return prompts.select([i % len(prompts) for i in range(max(len(prompts), least))])


@contextmanager
def coming_from_the_reference(model: PreTrainedModel, workbench: Workbench) -> Iterator[None]:
    """While a trainer is made, `model` says that it came from π0.

    TRL loads its reference from where the model says that it came from, whatever the one in memory is.
    """
    origin = model.config._name_or_path
    model.config._name_or_path = str(workbench.checkpoints / "reference")
    workbench.reference.save_pretrained(model.config._name_or_path)
    try:
        yield
    finally:
        model.config._name_or_path = origin


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
