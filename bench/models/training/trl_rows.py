"""Rows of token ids in the forms that TRL's trainers take, and trainers that take them as they are.

TRL would render conversations and set EOS in its own ways, which differ from trainer to trainer. SFT's and the reward
model's take rows of ids by themselves; the others are told to by `taking_ids`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.models.encoding import encode_pairs, encode_prompts, encode_sequences

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

NO_LOSS = -100
"""The label of a token that is only read."""


def supervised_rows(tokenizer: PreTrainedTokenizerBase, rows: Dataset) -> Dataset:
    """`prompt`, `completion` → `input_ids` and `labels`, of completions alone: `SFTTrainer`'s."""
    pairs = encode_pairs(tokenizer, rows["prompt"], rows["completion"])
    return _dataset(
        input_ids=[[*before, *ids] for before, ids in pairs],
        labels=[[NO_LOSS] * len(before) + ids for before, ids in pairs],
    )


def scored_rows(tokenizer: PreTrainedTokenizerBase, pairs: Dataset) -> Dataset:
    """`prompt`, `chosen`, `rejected` → whole texts `chosen_ids`, `rejected_ids`: `RewardTrainer`'s; others stay."""
    prompts = pairs["prompt"]
    whole = {f"{side}_ids": encode_sequences(tokenizer, prompts, pairs[side]) for side in ("chosen", "rejected")}
    rows = pairs.remove_columns(["prompt", "chosen", "rejected"])
    return _dataset(**whole, **{name: rows[name] for name in rows.column_names})


def compared_rows(tokenizer: PreTrainedTokenizerBase, pairs: Dataset) -> Dataset:
    """`prompt`, `chosen`, `rejected` → `prompt_ids`, `chosen_ids`, `rejected_ids`: `DPOTrainer`'s."""
    chosen, rejected = (encode_pairs(tokenizer, pairs["prompt"], pairs[side]) for side in ("chosen", "rejected"))
    return _dataset(
        prompt_ids=[before for before, _ in chosen],
        chosen_ids=[ids for _, ids in chosen],
        rejected_ids=[ids for _, ids in rejected],
    )


def labelled_rows(tokenizer: PreTrainedTokenizerBase, rows: Dataset, batch_size: int) -> Dataset:
    """`prompt`, `completion`, `label` → `prompt_ids`, `completion_ids`, `KL_completion_ids`, `label`: `KTOTrainer`'s.

    A row's `KL_completion_ids` are the completion of the row before it in its batch, round in a circle: rows are to be
    taken in this order.
    """
    pairs = encode_pairs(tokenizer, rows["prompt"], rows["completion"])
    completions = [ids for _, ids in pairs]
    batches = [completions[start : start + batch_size] for start in range(0, len(completions), batch_size)]
    return _dataset(
        prompt_ids=[before for before, _ in pairs],
        completion_ids=completions,
        KL_completion_ids=[ids for batch in batches for ids in (batch[-1], *batch[:-1])],
        label=list(rows["label"]),
    )


def contrasted_rows(tokenizer: PreTrainedTokenizerBase, pairs: Dataset) -> Dataset:
    """`prompt`, `chosen`, `rejected` → ids, masks and labels of prompt and both whole texts: CPO's and ORPO's."""
    columns: dict[str, list[list[int]]] = {}
    for side in ("chosen", "rejected"):
        encoded = encode_pairs(tokenizer, pairs["prompt"], pairs[side])
        wholes = [[*before, *ids] for before, ids in encoded]
        columns[f"{side}_input_ids"] = wholes
        columns[f"{side}_attention_mask"] = [[1] * len(ids) for ids in wholes]
        columns[f"{side}_labels"] = [[NO_LOSS] * len(before) + ids for before, ids in encoded]
        columns["prompt_input_ids"] = [before for before, _ in encoded]
        columns["prompt_attention_mask"] = [[1] * len(before) for before, _ in encoded]
    return _dataset(**columns)


def taking_ids(trainer_class: Any) -> Any:
    """TRL's `trainer_class`, rendering nothing: it takes the rows made here, or prompts as the bench encodes them."""
    return type(trainer_class.__name__, (_TakingIds, trainer_class), {})


class _TakingIds:
    processing_class: PreTrainedTokenizerBase

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset  # DPO, KTO

    def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
        return feature  # CPO, ORPO

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return encode_prompts(self.processing_class, prompts), None, {}  # RLOO, GRPO: ids, images, their fields


def _dataset(**columns: Any) -> Dataset:
    from datasets import Dataset

    return Dataset.from_dict({name: list(values) for name, values in columns.items()})
