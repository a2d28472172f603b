"""Fits reward models, for the stage and for methods that refresh theirs: on pairs by TRL, on ratings and on labels by
regression."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions
from trl import RewardConfig, RewardTrainer
from trl.trainer.reward_trainer import DataCollatorForPreference

from bench.contracts.errors import BenchError
from bench.models.encoding import encode_prompts, encode_sequences
from bench.models.training.trl_rows import scored_rows

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

MIDDLE = 3
"""Of the scale from 1 to 5: what a regression on ratings calls zero."""


def fit_reward_model(
    module: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Dataset,
    arguments: dict[str, Any],
    callbacks: Sequence[TrainerCallback],
    margin: float = 0.0,
    lm_weight: float = 0.0,
    lm_head: LanguageHead | None = None,
) -> int:
    """Fit Bradley–Terry to pairs, in place; returns the tokens trained on.

    Per pair the loss is −log σ(r(chosen) − r(rejected) − margin · (grade − 1)) − lm_weight · log π(chosen), the last
    term per token of the chosen completion.

    Args:
        module: a sequence classifier with one output.
        pairs: columns `prompt`, `chosen`, `rejected`, and `grade` (1 to 3) where there is a margin.
        arguments: of TRL's `RewardConfig`.
        margin: see `with_margins`.
        lm_weight: β_rm of Zheng et al. 2023, "Secrets of RLHF" part I (arXiv:2307.04964), eq. 2.
        lm_head: the language-model head over `module`'s last hidden states, needed with an
            `lm_weight`; see `language_head`.

    Raises:
        BenchError: a margin, and pairs without grades.
    """
    rows = pairs.select_columns(["prompt", "chosen", "rejected"])
    if margin:
        rows = rows.add_column("margin", with_margins(pairs, margin))
    config = RewardConfig(**arguments, max_length=None)
    if lm_weight:
        if lm_head is None:
            raise ValueError("an lm_weight needs an lm_head")
        trainer: RewardTrainer = LanguageRewardTrainer(
            module,
            config,
            data_collator=PromptLengthCollator(tokenizer.pad_token_id),
            train_dataset=encoded(rows, tokenizer),
            processing_class=tokenizer,
            callbacks=list(callbacks),
            lm_weight=lm_weight,
            lm_head=lm_head,
        )
    else:
        trainer = RewardTrainer(
            module,
            config,
            train_dataset=scored_rows(tokenizer, rows),
            processing_class=tokenizer,
            callbacks=list(callbacks),
        )
    trainer.train()
    return int(max((entry.get("num_tokens", 0) for entry in trainer.state.log_history), default=0))


def fit_ratings(
    module: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ratings: Dataset,
    arguments: dict[str, Any],
    callbacks: Sequence[TrainerCallback],
) -> int:
    """Least squares on pooled ratings, whoever gave them, in place; returns the tokens trained on.

    The module learns score − 3, from −2 to 2: to a policy a constant is nothing, and a new head starts near zero.

    Args:
        ratings: columns `prompt`, `completion`, `score` (1 to 5).
        arguments: of transformers' `TrainingArguments`.
    """
    module.config.problem_type = "regression"  # the model's own loss is then the mean squared error
    targets = [float(score - MIDDLE) for score in ratings["score"]]
    return _fit(module, tokenizer, ratings, targets, arguments, callbacks)


def fit_labels(
    module: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    labelled: Dataset,
    arguments: dict[str, Any],
    callbacks: Sequence[TrainerCallback],
) -> int:
    """Logistic regression on labels, in place; returns the tokens trained on.

    The reward is then the log-odds of being wanted. The loss is −log σ(r) where wanted, −log σ(−r) where not: the
    classifier of Jung et al. 2024, "Binary Classifier Optimization", arXiv:2404.04656.

    Args:
        labelled: columns `prompt`, `completion`, `label` (true: wanted).
        arguments: of transformers' `TrainingArguments`.
    """
    module.config.problem_type = "multi_label_classification"  # of one label: the model's own loss is the logistic one
    targets = [[float(label)] for label in labelled["label"]]
    return _fit(module, tokenizer, labelled, targets, arguments, callbacks)


def _fit(
    module: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Dataset,
    targets: list[Any],
    arguments: dict[str, Any],
    callbacks: Sequence[TrainerCallback],
) -> int:
    from datasets import Dataset

    rows = {"input_ids": encode_sequences(tokenizer, texts["prompt"], texts["completion"]), "labels": targets}
    right = copy.deepcopy(tokenizer)
    right.padding_side = "right"  # as `RewardModel` reads it
    trainer = Trainer(
        module,
        TrainingArguments(**arguments, include_num_input_tokens_seen="all"),
        data_collator=DataCollatorWithPadding(right),
        train_dataset=Dataset.from_dict(rows),
        callbacks=list(callbacks),
    )
    trainer.train()
    return int(trainer.state.num_input_tokens_seen)


def with_margins(pairs: Dataset, margin: float) -> list[float]:
    """The margin of each pair: margin · (grade − 1).

    Touvron et al. 2023 (Llama 2, arXiv:2307.09288), eq. 2 and table 27: a step per grade, and none for the lowest.
    Their lowest is "negligibly better", ours "slightly better": there is no grade below.
    """
    if "grade" not in pairs.column_names:
        raise BenchError("reward_model.margin: these pairs carry no `grade`, which tells how much better; use margin 0")
    return [margin * (grade - 1) for grade in pairs["grade"]]


class LanguageHead(torch.nn.Module):
    """What makes hidden states logits in a language model: the model itself, without its layers.

    So whatever it does there is done as it does it: a bias (Phi), a cap (Gemma 2), a scale (Cohere).

    Args:
        language_model: loses its layers.
        embedding: (vocabulary, width) takes the head's place where the two are one, as in GPT-2, and trains with its
            owner.
    """

    def __init__(self, language_model: PreTrainedModel, embedding: Tensor) -> None:
        super().__init__()
        if language_model.config.tie_word_embeddings:
            language_model.get_output_embeddings().weight = embedding
        setattr(language_model, language_model.base_model_prefix, _GivenStates())
        self.language_model = language_model.eval()

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Last hidden states (B, L, width), as the language model's layers would give them → logits (B, L, V)."""
        ids = torch.zeros(hidden_states.shape[:2], dtype=torch.long, device=hidden_states.device)
        self.language_model.base_model.hidden_states = hidden_states
        return self.language_model(input_ids=ids, use_cache=False).logits


class _GivenStates(torch.nn.Module):
    """In the place of a model's layers: gives the hidden states that it was given."""

    def forward(self, *args: Any, **kwargs: Any) -> BaseModelOutputWithPastAndCrossAttentions:
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=self.hidden_states)


def language_head(module: PreTrainedModel, start: PreTrainedModel) -> LanguageHead:
    """The head that makes `module`, a classifier from the language model `start`, that model again.

    Where the head is the input embedding (as in GPT-2), it is `module`'s own and trains with it; else it is `start`'s
    and stays as it is. `start` is used up.
    """
    return LanguageHead(start.requires_grad_(False).to(module.device), module.get_input_embeddings().weight)


def encoded(pairs: Dataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """The pairs as `scored_rows`, with the `prompt_length` of each."""
    rows = scored_rows(tokenizer, pairs)
    return rows.add_column("prompt_length", list(map(len, encode_prompts(tokenizer, pairs["prompt"]))))


def completion_nll(logits: Tensor, ids: Tensor, mask: Tensor, prompt_length: Tensor) -> Tensor:
    """Mean −log π of the completions' tokens, nats: logits (B, L, V), ids and mask (B, L), prompt_length (B) → ()."""
    places = torch.arange(ids.shape[1], device=ids.device)
    in_completion = mask.bool() & (places >= prompt_length.unsqueeze(1))
    targets = ids.masked_fill(~in_completion, -100)[:, 1:]  # -100: left out of the loss
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten())


@dataclass
class PromptLengthCollator(DataCollatorForPreference):
    """TRL's, which also passes on `prompt_length`, (pairs,)."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """One batch."""
        lengths = torch.tensor([example["prompt_length"] for example in examples])
        return super().torch_call(examples) | {"prompt_length": lengths}


class LanguageRewardTrainer(RewardTrainer):
    """TRL's, with the language-model loss of the chosen completions mixed in: see `fit_reward_model`."""

    def __init__(self, *args: Any, lm_weight: float, lm_head: LanguageHead, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lm_weight, self.lm_head = lm_weight, lm_head

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if "prompt_length" not in self._signature_columns:
            self._signature_columns.append("prompt_length")

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss plus lm_weight times the chosen completions' NLL per token."""
        lengths = inputs.pop("prompt_length")
        inputs["output_hidden_states"] = True
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        first = slice(len(lengths))  # the batch is all chosen, then all rejected
        logits = self.lm_head(outputs.hidden_states[-1][first])
        language = completion_nll(logits, inputs["input_ids"][first], inputs["attention_mask"][first], lengths)
        self._metrics["train" if self.model.training else "eval"]["lm_loss"].append(language.item())
        loss = loss + self.lm_weight * language
        return (loss, outputs) if return_outputs else loss
