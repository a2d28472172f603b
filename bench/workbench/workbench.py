"""What a method's `train` is handed: models, data, reward, a seed of its own, and the account of what it spent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError
from bench.contracts.stage_settings import METHOD_NEEDS
from bench.contracts.task import Completion, Prompt, Task
from bench.models.learned_reward import RewardModel
from bench.workbench.policy import ModelPolicy, Policy, Samples

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

    from bench.models.ensemble import Ensemble
    from bench.models.training.own_loss import Rows


def _none_here() -> Dataset:
    raise BenchError("this workbench has no ratings")


@dataclass
class Cost:
    """What was spent: counts since the workbench was made."""

    tokens_sampled: int = 0
    tokens_trained: int = 0
    reward_model_calls: int = 0
    gold_labels: int = 0


@dataclass
class Workbench:
    """One method's place of work in one cell.

    Attributes:
        task: the world.
        tokenizer: shared by base, SFT and reward model.
        seed: this stage's own; derive every random number from it.
        device: ``"cpu"`` or ``"cuda"``.
        checkpoints: an empty folder for whatever the method wants to keep while it trains.
        needs: the shared stages that the method declared.
        curve_points: how often, at most, `callbacks` measures the policy while it trains.
        figures: what the method has reported about itself, see `report`.
    """

    task: Task
    tokenizer: PreTrainedTokenizerBase
    seed: int
    device: str
    checkpoints: Path
    load_base: Callable[[], PreTrainedModel]
    load_sft: Callable[[], PreTrainedModel]
    load_demonstrations: Callable[[], Dataset]
    load_preferences: Callable[[], Dataset]
    load_reward_model: Callable[[], PreTrainedModel | Ensemble]
    load_ratings: Callable[[], Dataset] = _none_here
    load_corpus: Callable[[], list[str]] = list
    needs: set[str] = field(default_factory=lambda: set(METHOD_NEEDS))
    curve_points: int = 8
    batch_size: int = 256
    on_progress: Callable[[int, int], None] = lambda step, total: None
    on_measure: Callable[[Policy, int], None] = lambda policy, step: None
    on_log: Callable[[int, dict[str, float]], None] = lambda step, logs: None
    figures: dict[str, float] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    # -- models ----------------------------------------------------------------------------------------------------

    def base_model(self) -> PreTrainedModel:
        """A fresh copy of the pre-trained model, yours to train."""
        return self.load_base().to(self.device)

    def sft_model(self) -> PreTrainedModel:
        """A fresh copy of π0, the SFT model, yours to train: where alignment methods start from."""
        return self.load_sft().to(self.device)

    @property
    def reference(self) -> PreTrainedModel:
        """π0 itself, frozen: KL is measured to it. Shared, never train it."""
        return self._once("reference", lambda: self.load_sft().to(self.device).eval().requires_grad_(False))

    @property
    def reward_model(self) -> RewardModel:
        """The learned (proxy) reward: call it on prompts and completions; `.module` has the gradients."""
        self._declared("reward_model")
        return self._once("reward_model", self._reward_model)

    def _reward_model(self) -> RewardModel:
        def count(texts: int) -> None:
            self.cost.reward_model_calls += texts

        return RewardModel(self.load_reward_model().to(self.device), self.tokenizer, self.batch_size, count=count)

    # -- data: none of these is empty, else a BenchError says so --------------------------------------------------

    @property
    def prompts(self) -> Dataset:
        """Training prompts that leave the model room for a completion: column `prompt`."""
        return self._rows("prompts", lambda: self._fitting(self.task.prompts("train")))

    @property
    def demonstrations(self) -> Dataset:
        """What the SFT model was trained on: columns `prompt`, `completion` and, where graded, `quality`."""
        return self._rows("demonstrations", lambda: self._fitting(self.load_demonstrations()))

    @property
    def preferences(self) -> Dataset:
        """Training pairs: columns `prompt`, `chosen`, `rejected`.

        Of data without pairs, for a method that takes them (`Method.unpaired`), labelled answers: `prompt`,
        `completion`, `label` (true: wanted).
        """
        self._declared("preferences")
        return self._rows("preferences", self.load_preferences)

    @property
    def ratings(self) -> Dataset:
        """Rated samples of π0: columns `prompt`, `completion`, `rater` (from 0), `score` (1 to 5, best)."""
        self._declared("ratings")
        return self._rows("ratings", self.load_ratings)

    @property
    def corpus(self) -> list[str]:
        """Texts of the kind that the base model was pre-trained on; for a `tiny` model, those very texts."""
        return self._rows("corpus", self.load_corpus)

    @property
    def max_completion_tokens(self) -> int:
        """The most tokens a policy may sample after a prompt, EOS included."""
        return self.task.max_completion_tokens

    # -- labels ----------------------------------------------------------------------------------------------------

    def gold(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """What is really wanted, one number per completion; each is charged as a gold label."""
        self.cost.gold_labels += len(completions)
        return self.task.gold(prompts, completions)

    def prefers_first(
        self, prompts: Sequence[Prompt], first: Sequence[Completion], second: Sequence[Completion], seed: int
    ) -> list[bool]:
        """The annotator's choice between two completions; each is charged as a gold label."""
        self.cost.gold_labels += len(first)
        return self.task.prefers_first(prompts, first, second, seed)

    # -- policies --------------------------------------------------------------------------------------------------

    def policy(self, model: PreTrainedModel) -> ModelPolicy:
        """The policy that samples `model`."""
        return ModelPolicy(model, self.tokenizer, self.max_completion_tokens, self.batch_size)

    def load_policy(self, directory: Path) -> ModelPolicy:
        """The policy whose model `ModelPolicy.save` wrote to `directory`."""
        from bench.models.loading import load_model

        return self.policy(load_model(directory).to(self.device))

    def sample(self, policy: Policy, prompts: Sequence[Prompt], seed: int, temperature: float = 1.0) -> Samples:
        """One completion per prompt, see `Policy.sample`; the tokens are charged."""
        samples = policy.sample(prompts, seed, temperature)
        self.cost.tokens_sampled += sum(map(len, samples.completion_ids))
        return samples

    # -- supervised fine-tuning ------------------------------------------------------------------------------------

    def fine_tune(
        self,
        model: PreTrainedModel,
        rows: Dataset,
        *,
        epochs: float,
        batch_size: int,
        learning_rate: float,
        seed: int | None = None,
        curve: bool = True,
    ) -> None:
        """Maximise the likelihood of completions given their prompts, in place, by TRL's SFTTrainer.

        Args:
            rows: columns `prompt` and `completion`; others are ignored.
            learning_rate: its peak (AdamW, linear decay).
            seed: of the order of rows; the workbench's by default.
            curve: measure the training curve and tell progress, as `callbacks` does.
        """
        from bench.models.training.callbacks import FiniteCallback
        from bench.models.training.supervised import fine_tune

        arguments = self.training_arguments() | {
            "seed": self.seed if seed is None else seed,
            "num_train_epochs": epochs,
            "per_device_train_batch_size": batch_size,
            "learning_rate": learning_rate,
        }
        callbacks = self.callbacks() if curve else [FiniteCallback()]
        tokens = fine_tune(model, self.tokenizer, rows, arguments, callbacks)
        if not curve:  # else the callback has counted them
            self.cost.tokens_trained += tokens

    # -- token ids ---------------------------------------------------------------------------------------------------

    def encode_prompts(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Token ids of prompts, ready to be continued: what policies are sampled behind."""
        from bench.models.encoding import encode_prompts

        return encode_prompts(self.tokenizer, prompts)

    def encode(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[tuple[list[int], list[int]]]:
        """Token ids of prompts, as `encode_prompts` gives them, and of completions, each of which ends in one EOS.

        The text of a sample gives the tokens that were sampled. All that trains, scores and measures reads these.
        """
        from bench.models.encoding import encode_pairs

        return encode_pairs(self.tokenizer, prompts, completions)

    # -- training on a loss of one's own ---------------------------------------------------------------------------

    def logprobs(
        self, model: PreTrainedModel, prompts: Sequence[Prompt], completions: Sequence[Completion]
    ) -> tuple[Tensor, Tensor]:
        """log π of the tokens of completions, EOS included; charged as trained where there are gradients.

        Of what a policy sampled, take `sample_logprobs`: where it ran into the token limit there is no EOS.

        Returns:
            (N, T) nats, 0 where no completion stands, so that ``.sum(1)`` gives log π of whole completions; and (N, T)
            true where one does.
        """
        from bench.models.encoding import encode_pairs

        prompt_ids, completion_ids = zip(*encode_pairs(self.tokenizer, prompts, completions), strict=True)
        return self._logprobs(model, prompt_ids, completion_ids)

    def sample_logprobs(self, model: PreTrainedModel, samples: Samples) -> tuple[Tensor, Tensor]:
        """As `logprobs`, of the very tokens that were sampled."""
        return self._logprobs(model, samples.prompt_ids, samples.completion_ids)

    def fit(
        self,
        model: PreTrainedModel,
        rows: Dataset,
        loss: Callable[[Rows, int], Tensor],
        *,
        epochs: float,
        batch_size: int,
        learning_rate: float,
        curve: bool = True,
    ) -> None:
        """Train `model` in place: AdamW with a linear decay, seeded, guarded against NaN, in a transformers Trainer.

        Args:
            rows: what batches are made of, shuffled at every pass.
            loss: told a batch (one list per column of `rows`) and the step, from 0; gives the mean loss over the
                batch. It may sample, score and log.
            learning_rate: its peak.
            curve: measure the training curve and tell progress, as `callbacks` does. Not for a model that is only a
                part of the policy.
        """
        from transformers import TrainingArguments

        from bench.models.training.callbacks import FiniteCallback
        from bench.models.training.own_loss import LossTrainer

        LossTrainer(
            model,
            loss,
            args=TrainingArguments(
                **self.training_arguments(),
                num_train_epochs=epochs,
                per_device_train_batch_size=batch_size,
                learning_rate=learning_rate,
                remove_unused_columns=False,
            ),
            train_dataset=rows,
            callbacks=self.callbacks() if curve else [FiniteCallback()],
        ).train()

    # -- while training --------------------------------------------------------------------------------------------

    def progress(self, step: int, total: int) -> None:
        """Tell how far training is; shown in the cell's progress bar."""
        self.on_progress(step, total)

    def measure(self, policy: Policy, step: int) -> None:
        """Add a point (KL, proxy, gold, entropy, perplexity on fixed prompts) to the training curve."""
        self.on_measure(policy, step)

    def log(self, step: int, **figures: float) -> None:
        """Keep figures of a training step (a loss, the KL of an update); they come to lie beside the record."""
        self.on_log(step, figures)

    def report(self, **figures: float) -> None:
        """Add figures of the method's own to the measures of its record; none may have the name of such a measure."""
        self.figures |= figures

    def callbacks(self) -> list[TrainerCallback]:
        """For any transformers Trainer: progress, curve, log, token count, and a stop at NaN."""
        from bench.models.training.callbacks import MethodCallback

        def measure(model: PreTrainedModel, step: int) -> None:
            self.measure(self.policy(model), step)

        def count(tokens: int) -> None:
            self.cost.tokens_trained += tokens

        return [MethodCallback(self.curve_points, self.progress, measure, count, self.on_log)]

    def training_arguments(self) -> dict[str, Any]:
        """Keyword arguments for any `TrainingArguments`: seed, device, precision, no tracker, no checkpoints."""
        from bench.models.training.callbacks import training_arguments

        return training_arguments(self.checkpoints, self.seed, self.device)

    # -- private ---------------------------------------------------------------------------------------------------

    def _logprobs(
        self, model: PreTrainedModel, prompt_ids: Sequence[list[int]], completion_ids: Sequence[list[int]]
    ) -> tuple[Tensor, Tensor]:
        from bench.models.logprobs import completion_logprobs

        logprobs, mask = completion_logprobs(model, prompt_ids, completion_ids)
        if logprobs.requires_grad:
            self.cost.tokens_trained += sum(map(len, prompt_ids)) + sum(map(len, completion_ids))
        return logprobs, mask

    def _declared(self, stage: str) -> None:
        if stage not in self.needs:
            raise BenchError(f"the method used workbench.{stage} without declaring it: add {stage!r} to its `needs`")

    def _fitting(self, rows: Dataset) -> Dataset:
        from bench.models.encoding import within_context
        from bench.models.legible import legible
        from bench.models.loading import context_length

        kept, _ = legible(rows, self.tokenizer)
        kept, _ = within_context(kept, self.tokenizer, context_length(self.reference), self.max_completion_tokens)
        return kept

    def _rows(self, name: str, load: Callable[[], Any]) -> Any:
        rows = self._once(name, load)
        if len(rows) == 0:
            raise BenchError(f"workbench.{name} is empty: no row is there, or none fits the model's context")
        return rows

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._cache:
            self._cache[name] = make()
        return self._cache[name]
