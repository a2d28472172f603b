"""The `dataset` task: a person's own preferences or demonstrations, from disk or from the hub.

**Files**: `.json` (a list of objects), `.jsonl`, `.csv`, `.tsv` (all four also as `.gz`), `.parquet`, or a
folder written by ``datasets.Dataset.save_to_disk``.

**Shapes**, recognised by their columns; any other is mapped with `columns` (README.md beside this file has fifteen):

| columns | what they hold |
|---|---|
| prompt, chosen, rejected | TRL's preference format: texts, or lists of messages (role, content) |
| chosen, rejected | whole dialogues, alike but for the last turn: messages, or HH's texts (below) |
| conversations, chosen, rejected | ShareGPT: messages as (from, value) |
| instruction, input, output, chosen, rejected | Alpaca: the prompt is instruction, newline, input |
| prompt, completion | demonstrations alone; so are messages, conversations, or Alpaca without a pair |
| prompt, completion, label | TRL's unpaired format: answers that are wanted or not, in any spelling of yes and no |
| text (or Text) | plain texts: the first `prompt_words` are the prompt, the rest the completion |

A file with pairs and a completion of its own gives both; without one, the chosen answers are the
demonstrations, and of labelled answers the wanted ones. A `quality` column grades the demonstrations.

**Where prompt and completion meet** in texts, ``prompt + completion`` is the whole. An HH prompt ends in
"\\n\\nAssistant:" and the answer starts with its space. In other texts, where no white space stands at the
seam, a newline is put at the prompt's end, so that no token straddles it.

**Gold.** With `gold_texts`, labelled texts that a sentiment classifier is trained on (`tasks.dataset.gold`), its
probability of *positive* is the gold reward, and its annotator compares samples where the data has no pairs.

**Probes.** With `choices`, multiple-choice questions (`tasks.dataset.choices`).

**Bad rows** (a field missing or empty, chosen = rejected, prompts that differ, not UTF-8, unparsable, too
long …) are set aside and counted by reason: see `DataSet.report` and `DataSet.set_aside`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import field_validator, model_validator

from bench.contracts.annotator import Annotated
from bench.contracts.errors import BenchError, nearest
from bench.contracts.plugin import Field
from bench.contracts.task import Completion, Probe, Prompt
from bench.models.encoding import PLAIN_CHAT_TEMPLATE, text_of
from tasks.dataset.choices import read_choices
from tasks.dataset.columns import COLUMNS, JUDGED, TEXTS
from tasks.dataset.gold import Classifier, classifier
from tasks.dataset.overlap import key, near_copies, normalised
from tasks.dataset.reading import NumberedRow, digest, digest_of_rows, read, read_hub
from tasks.dataset.rows import Limits, Parsed, Row, parse

if TYPE_CHECKING:
    from datasets import Dataset


SHOWN = 12
"""Names of columns that are listed."""


class DataSet(Annotated):
    """Your own preferences or demonstrations, from a file, a folder or the hub.

    The split into train and test goes by a hash of the prompt, or of a dialogue's first question, whatever its case,
    Unicode form and white space: none is in both, whatever the seed. What nearly is, is counted (`about`). The data is
    read when first asked for: whatever needs it may raise `BenchError`.

    Nobody knows the gold reward, unless `gold_texts` gives labelled texts to learn one from: then gold, in [0, 1], is
    that classifier's probability that prompt and completion together are positive (in conversations, the answer
    alone). Data without pairs then gets an annotator, Bradley–Terry on gold (`bench.Annotated`): its
    settings need `gold_texts`, and a data set's own pairs go before it.
    """

    name = "dataset"
    gold_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    path: Path | None = Field(
        None,
        description="a .json, .jsonl, .csv or .tsv file (or .gz of it), a .parquet file, or a saved folder",
    )
    hub: str | None = Field(
        None,
        description="name of a data set on the hub, instead of `path`; needs the network",
        examples=["trl-lib/ultrafeedback_binarized"],
    )
    config: str | None = Field(None, description="configuration of the hub data set")
    split: str | None = Field(None, description="split of the hub data set or saved folder; train if not given")
    columns: dict[str, str | list[str]] = Field(
        {}, description=f"the data's own column, or columns to join, for any of {', '.join(COLUMNS)}"
    )
    max_rows: int | None = Field(None, ge=2, description="stop reading after so many good rows")
    heldout: float = Field(0.2, gt=0, lt=1, description="share of the prompts that make the test split")
    max_prompt_characters: int | None = Field(None, ge=1, description="set rows with longer prompts aside")
    max_completion_characters: int | None = Field(None, ge=1, description="set rows with longer answers aside")
    prompt_words: int = Field(8, ge=1, description="of a plain text, the first so many words are the prompt")
    completion_words: int | None = Field(None, ge=1, description="and at most so many more are the completion")
    gold_texts: Path | None = Field(
        None, description="a file of texts labelled positive or negative, to learn the gold reward from"
    )
    choices: Path | None = Field(
        None, description="multiple-choice questions: a .jsonl or MMLU's .csv file, or a folder of them"
    )
    noise: float = Field(
        0.1, ge=0, description="the gold difference that the annotator gets right in 73 of 100; 0 for no noise"
    )
    max_completion_tokens: int = Field(64, ge=1, description="the most tokens a policy may sample, EOS included")

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
        for name, own in columns.items():
            if name not in COLUMNS:
                raise ValueError(f"{name!r} is no column of TRL's{nearest(name, COLUMNS)}")
            if not own:
                raise ValueError(f"{name!r} is mapped to no column")
            if name not in TEXTS + JUDGED[:-1] and isinstance(own, list) and len(own) > 1:
                raise ValueError(f"{name!r} is one column: only texts can be joined")
        judged = [name for name in JUDGED if name in columns]
        if judged and not ("answers" in columns and len(judged) == 2):
            raise ValueError("`answers` goes with one of ratings, ranks and best, and they with it")
        return columns

    @model_validator(mode="after")
    def _one_source(self) -> DataSet:
        if (self.path is None) == (self.hub is None):
            raise ValueError("give either `path` or `hub`")
        if self.config is not None and self.hub is None:
            raise ValueError("`config` goes with `hub`")
        for name, field in Annotated.model_fields.items():
            if self.gold_texts is None and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"`{name}` ({field.description}) goes with `gold_texts`")
        return self

    def demonstrations(self, seed: int) -> Dataset:
        """The training split's completions, or chosen answers where it has none; `quality` if graded."""
        return _dataset(
            {"prompt": row.prompt, "completion": row.completion or row.chosen}
            | ({} if row.quality is None else {"quality": row.quality})
            for row in self._splits["train"]
            if row.label is not False
        )

    def prompts(self, split: str) -> Dataset:
        """The split's prompts, each once."""
        return _dataset({"prompt": p} for p in {_same(r.prompt): r.prompt for r in self._splits[split]}.values())

    def pairs(self, split: str) -> Dataset:
        """The data's own preference pairs."""
        if not self.has_pairs:
            return super().pairs(split)
        return _dataset(
            {"prompt": row.prompt, "chosen": row.chosen, "rejected": row.rejected} for row in self._splits[split]
        )

    def labelled(self, split: str) -> Dataset:
        """The data's own answers that are wanted or not: `prompt`, `completion`, `label`."""
        if not self.has_labelled:
            return super().labelled(split)
        return _dataset(
            {"prompt": row.prompt, "completion": row.completion, "label": row.label} for row in self._splits[split]
        )

    def references(self) -> Dataset:
        """The test split's chosen answers, or its completions where it has no pairs."""
        return _dataset(
            {"prompt": row.prompt, "completion": row.chosen or row.completion}
            for row in self._splits["test"]
            if row.label is not False
        )

    def corpus(self, seed: int) -> list[str]:
        """The training demonstrations as the `tiny` model meets them, less the last end-of-sequence token."""
        return [_full_text(row["prompt"], row["completion"]) for row in self.demonstrations(seed)]

    def gold(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """The classifier's probability of *positive*, in [0, 1]; only with `gold_texts`."""
        if not self.has_gold:
            return super().gold(prompts, completions)
        pairs = zip(prompts, completions, strict=True)
        return self._gold[0]([f"{p}{c}" if isinstance(p, str) else text_of(c) for p, c in pairs])

    def probes(self) -> list[Probe]:
        """The questions of `choices`, in an order without pattern."""
        return self._choices[0] if self.has_probes else super().probes()

    @property
    def has_gold(self) -> bool:
        """Are there labelled texts to learn it from?"""
        return self.gold_texts is not None

    @property
    def has_preferences(self) -> bool:
        """Does the data hold pairs, or does a gold reward let us make them?"""
        return self.has_gold or self.has_pairs

    @property
    def has_ratings(self) -> bool:
        """Is there a gold reward for an annotator to rate by?"""
        return self.has_gold

    @property
    def has_probes(self) -> bool:
        """Are there questions?"""
        return self.choices is not None

    @property
    def has_pairs(self) -> bool:
        """Does the data hold pairs, and not demonstrations alone?"""
        return self._rows[0].chosen is not None

    @property
    def has_labelled(self) -> bool:
        """Does the data hold wanted and unwanted answers, each by itself?"""
        return {row.label for row in self._rows} >= {True, False}

    def report(self) -> dict[str, int]:
        """How many rows were set aside, by reason, until `max_rows` good ones were found."""
        return {reason: len(numbers) for reason, numbers in self._bad.items()}

    def set_aside(self, most: int = 10) -> dict[str, list[int]]:
        """Where the first rows set aside stand, by reason: line numbers in text files, else rows from 1."""
        return {reason: numbers[:most] for reason, numbers in self._bad.items()}

    def about(self) -> dict[str, float]:
        """How many test prompts there are, and what training nearly has of them, or word for word of their answers; how
        many answers are no demonstrations; how good the gold classifier is on labelled texts that it has not seen."""
        found: dict[str, float] = dict(self._overlap)
        if unwanted := sum(row.label is False for row in self._rows):
            found["answers labelled unwanted"] = unwanted
        if names := self._parsed.not_read:
            shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
            found[f"columns not read ({shown})"] = len(names)
        if self.has_gold:
            gold = self._gold[0]
            found |= {"gold_accuracy": gold.accuracy, "gold_texts": gold.trained, "gold_texts_heldout": gold.heldout}
        return found

    def content_digest(self) -> str:
        """SHA-256 of the file, of all files of the folder, or of the hub's rows; and of gold texts and questions."""
        return "".join([self._digest, *(digest(path) for path in (self.gold_texts, self.choices) if path is not None)])

    # -- private: read once, split once ----------------------------------------------------------------------

    def _raw(self) -> list[NumberedRow]:
        if self.path is None:
            return read_hub(str(self.hub), self.config, self.split)
        return read(self.path, self.split)

    @cached_property
    def _digest(self) -> str:
        return digest_of_rows(self._raw()) if self.path is None else digest(self.path)

    @cached_property
    def _parsed(self) -> Parsed:
        columns = {name: [own] if isinstance(own, str) else own for name, own in self.columns.items()}
        limits = Limits(
            self.max_prompt_characters,
            self.max_completion_characters,
            self.max_rows,
            self.prompt_words,
            self.completion_words,
        )
        return parse(self.path or self.hub, self._raw(), columns, limits)

    @cached_property
    def _gold(self) -> tuple[Classifier, dict[str, list[int]]]:
        assert self.gold_texts is not None
        return classifier(self.gold_texts, digest(self.gold_texts))

    @cached_property
    def _choices(self) -> tuple[list[Probe], dict[str, list[int]]]:
        assert self.choices is not None
        return read_choices(self.choices)

    @property
    def _bad(self) -> dict[str, list[int]]:
        """All that was set aside: rows, gold texts, questions."""
        return (
            self._parsed.bad | (self._gold[1] if self.has_gold else {}) | (self._choices[1] if self.has_probes else {})
        )

    @property
    def _rows(self) -> list[Row]:
        return self._parsed.rows

    @cached_property
    def _splits(self) -> dict[str, list[Row]]:
        """The keys with the smallest hashes are the test split: the share is exact, and never none."""
        keys = [key(row.prompt) for row in self._rows]
        order = sorted(set(keys), key=lambda k: hashlib.sha256(k.encode()).digest())
        if len(order) < 2:
            why = (
                "one prompt alone"
                if len({_same(row.prompt) for row in self._rows}) == 1
                else ("dialogues that all begin with one question")
            )
            raise BenchError(f"{self.path or self.hub}: {why} cannot be split into train and test")
        test = set(order[: min(max(round(self.heldout * len(order)), 1), len(order) - 1)])
        by_key = list(zip(keys, self._rows, strict=True))
        return {
            "train": [row for each, row in by_key if each not in test],
            "test": [row for each, row in by_key if each in test],
        }

    @cached_property
    def _overlap(self) -> dict[str, int]:
        train, test = ({text_of(row.prompt) for row in self._splits[split]} for split in ("train", "test"))
        learnt = {normalised(text_of(row.chosen or row.completion or "")) for row in self._splits["train"]}
        answers = [normalised(text_of(row.chosen or row.completion or "")) for row in self._splits["test"]]
        return {
            "test prompts": len(test),
            "of them with a near copy in train": near_copies(train, sorted(test)),
            "test answers that are answers in train": sum(answer in learnt for answer in answers),
        }


def _same(prompt: Prompt) -> str:
    """What makes two prompts one to sample from: all but the white space around them."""
    return prompt.strip() if isinstance(prompt, str) else json.dumps(prompt)


def _dataset(rows: Any) -> Dataset:
    from datasets import Dataset

    return Dataset.from_list(list(rows))


def _full_text(prompt: Prompt, completion: Completion) -> str:
    """Prompt and completion as one text; a conversation as the tiny model's chat template writes it."""
    if isinstance(prompt, str) or isinstance(completion, str):
        return f"{prompt}{completion}"
    from jinja2 import Template

    from bench.models.tokenizers import EOS

    text: str = Template(PLAIN_CHAT_TEMPLATE).render(messages=prompt + completion, eos_token=EOS)
    return text.removesuffix(EOS)
