"""The `dataset` task: a person's own preferences or demonstrations, from disk or from the hub.

**Files**: `.json` (a list of objects), `.jsonl`, `.csv`, `.tsv` (all four also as `.gz`), `.parquet`, or a
folder written by ``datasets.Dataset.save_to_disk``.

**Shapes**, recognised by their columns; any other is mapped with `columns`:

| columns | what they hold |
|---|---|
| prompt, chosen, rejected | TRL's preference format: texts, or lists of messages (role, content) |
| chosen, rejected | whole dialogues, alike but for the last turn: messages, or HH's texts (below) |
| conversations, chosen, rejected | ShareGPT: messages as (from, value) |
| instruction, input, output, chosen, rejected | Alpaca: the prompt is instruction, newline, input |
| prompt, completion | demonstrations alone; so are messages, conversations, or Alpaca without a pair |

A file with pairs and a completion of its own gives both; without one, the chosen answers are the
demonstrations. A `quality` column grades the demonstrations.

**Where prompt and completion meet** in texts, ``prompt + completion`` is the whole. An HH prompt ends in
"\\n\\nAssistant:" and the answer starts with its space. In other texts, where no white space stands at the
seam, a newline is put at the prompt's end, so that no token straddles it.

**Bad rows** (a field missing or empty, chosen = rejected, prompts that differ, not UTF-8, unparsable, too
long …) are set aside and counted by reason: see `DataSet.report` and `DataSet.set_aside`.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import field_validator, model_validator

from bench.contracts import Completion, Field, Prompt, Task
from bench.encoding import PLAIN_CHAT_TEMPLATE
from bench.errors import BenchError, nearest
from tasks.dataset.reading import NumberedRow, digest, digest_of_rows, read, read_hub
from tasks.dataset.rows import COLUMNS, Limits, Row, parse

if TYPE_CHECKING:
    from datasets import Dataset


class DataSet(Task):
    """Your own preferences or demonstrations, from a file, a folder or the hub.

    The split into train and test goes by a hash of the prompt: no prompt is in both, whatever the seed. There
    is no gold reward. The data is read when first asked for: whatever needs it may raise `BenchError`.
    """

    name = "dataset"

    path: Path | None = Field(
        None,
        description="a .json, .jsonl, .csv or .tsv file (or .gz of it), a .parquet file, or a saved folder",
    )
    hub: str | None = Field(None, description="name of a data set on the hub, instead of `path`; needs the network")
    config: str | None = Field(None, description="configuration of the hub data set")
    split: str | None = Field(None, description="split of the hub data set or saved folder; train if not given")
    columns: dict[str, str | list[str]] = Field(
        {}, description=f"the data's own column, or columns to join, for any of {', '.join(COLUMNS)}"
    )
    max_rows: int | None = Field(None, ge=2, description="stop reading after so many good rows")
    heldout: float = Field(0.2, gt=0, lt=1, description="share of the prompts that make the test split")
    max_prompt_characters: int | None = Field(None, ge=1, description="set rows with longer prompts aside")
    max_completion_characters: int | None = Field(None, ge=1, description="set rows with longer answers aside")
    max_completion_tokens: int = Field(64, ge=1, description="the most tokens a policy may sample, EOS included")

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
        for name, own in columns.items():
            if name not in COLUMNS:
                raise ValueError(f"{name!r} is no column of TRL's{nearest(name, COLUMNS)}")
            if not own:
                raise ValueError(f"{name!r} is mapped to no column")
            if name in ("quality", "messages") and isinstance(own, list) and len(own) > 1:
                raise ValueError(f"{name!r} is one column: only texts can be joined")
        return columns

    @model_validator(mode="after")
    def _one_source(self) -> DataSet:
        if (self.path is None) == (self.hub is None):
            raise ValueError("give either `path` or `hub`")
        if self.config is not None and self.hub is None:
            raise ValueError("`config` goes with `hub`")
        return self

    def demonstrations(self, seed: int) -> Dataset:
        """The training split's completions, or chosen answers where it has none; `quality` if graded."""
        return _dataset(
            {"prompt": row.prompt, "completion": row.completion or row.chosen}
            | ({} if row.quality is None else {"quality": row.quality})
            for row in self._splits["train"]
        )

    def prompts(self, split: str) -> Dataset:
        """The split's prompts, each once."""
        return _dataset({"prompt": p} for p in {_key(r.prompt): r.prompt for r in self._splits[split]}.values())

    def pairs(self, split: str) -> Dataset:
        """The data's own preference pairs."""
        if not self.has_pairs:
            return super().pairs(split)
        return _dataset(
            {"prompt": row.prompt, "chosen": row.chosen, "rejected": row.rejected} for row in self._splits[split]
        )

    def references(self) -> Dataset:
        """The test split's chosen answers, or its completions where it has no pairs."""
        return _dataset(
            {"prompt": row.prompt, "completion": row.chosen or row.completion} for row in self._splits["test"]
        )

    def corpus(self, seed: int) -> list[str]:
        """The training demonstrations as the `tiny` model meets them, less the last end-of-sequence token."""
        return [_whole(row["prompt"], row["completion"]) for row in self.demonstrations(seed)]

    @property
    def has_pairs(self) -> bool:
        """Does the data hold pairs, and not demonstrations alone?"""
        return self._rows[0].chosen is not None

    def report(self) -> dict[str, int]:
        """How many rows were set aside, by reason, until `max_rows` good ones were found."""
        return {reason: len(numbers) for reason, numbers in self._parsed[1].items()}

    def set_aside(self, most: int = 10) -> dict[str, list[int]]:
        """Where the first rows set aside stand, by reason: line numbers in text files, else rows from 1."""
        return {reason: numbers[:most] for reason, numbers in self._parsed[1].items()}

    def content_digest(self) -> str:
        """SHA-256 of the file, of all files of the folder, or of the hub's rows."""
        return self._digest

    # -- private: read once, split once ----------------------------------------------------------------------

    def _raw(self) -> list[NumberedRow]:
        if self.path is None:
            return read_hub(str(self.hub), self.config, self.split)
        return read(self.path, self.split)

    @cached_property
    def _digest(self) -> str:
        return digest_of_rows(self._raw()) if self.path is None else digest(self.path)

    @cached_property
    def _parsed(self) -> tuple[list[Row], dict[str, list[int]]]:
        columns = {name: [own] if isinstance(own, str) else own for name, own in self.columns.items()}
        limits = Limits(self.max_prompt_characters, self.max_completion_characters, self.max_rows)
        return parse(self.path or self.hub, self._raw(), columns, limits)

    @property
    def _rows(self) -> list[Row]:
        return self._parsed[0]

    @cached_property
    def _splits(self) -> dict[str, list[Row]]:
        """The prompts with the smallest hashes are the test split: the share is exact, and never none."""
        order = sorted({_key(row.prompt) for row in self._rows}, key=lambda k: hashlib.sha256(k.encode()).digest())
        if len(order) < 2:
            raise BenchError(f"{self.path or self.hub}: one prompt alone cannot be split into train and test")
        test = set(order[: min(max(round(self.heldout * len(order)), 1), len(order) - 1)])
        return {
            "train": [row for row in self._rows if _key(row.prompt) not in test],
            "test": [row for row in self._rows if _key(row.prompt) in test],
        }


def _key(prompt: Prompt) -> str:
    """What makes two prompts the same: all but the white space around them."""
    return prompt.strip() if isinstance(prompt, str) else json.dumps(prompt)


def _dataset(rows: Any) -> Dataset:
    from datasets import Dataset

    return Dataset.from_list(list(rows))


def _whole(prompt: Prompt, completion: Completion) -> str:
    """Prompt and completion as one text; a conversation as the tiny model's chat template writes it."""
    if isinstance(prompt, str) or isinstance(completion, str):
        return f"{prompt}{completion}"
    from jinja2 import Template

    from bench.models import EOS

    text: str = Template(PLAIN_CHAT_TEMPLATE).render(messages=prompt + completion, eos_token=EOS)
    return text.removesuffix(EOS)
