"""What a model answers to multiple-choice questions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.contracts.task import Probe
from bench.models.encoding import encode_texts
from bench.models.logprobs import completion_logits, token_logprobs

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Questions:
    """Multiple-choice questions as tokens: made once, asked of every model that shares the tokenizer.

    Attributes:
        contexts: the distinct token sequences that choices follow.
        choices: one row per question and choice, questions one after another. Columns: `question` and `choice`
            (numbers from 0), `context` (its place in `contexts`), `tokens` (a sequence of ids, EOS not included),
            `posterior` (NaN where unknown), `correct`.
    """

    contexts: list[list[int]]
    choices: pd.DataFrame

    def __len__(self) -> int:
        return int(self.choices["question"].iloc[-1]) + 1 if len(self.choices) else 0

    def save(self, directory: Path) -> None:
        """Write ``questions.parquet`` and ``contexts.parquet``."""
        self.choices.to_parquet(directory / "questions.parquet")
        pd.DataFrame({"tokens": pd.Series(self.contexts, dtype=object)}).to_parquet(directory / "contexts.parquet")

    @classmethod
    def load(cls, directory: Path) -> Questions:
        """What `save` wrote."""
        contexts = [ids.tolist() for ids in pd.read_parquet(directory / "contexts.parquet")["tokens"]]
        return cls(contexts, pd.read_parquet(directory / "questions.parquet"))

    def by_question(self, values: Array) -> Sequence[Array]:
        """One value per choice, (choices,), as one array per question: (questions, choices) where all have as many."""
        count = np.bincount(self.choices["question"]) if len(self) else np.zeros(0, dtype=np.int64)
        if len(count) and (count == count[0]).all():
            table: Sequence[Array] = values.reshape(len(count), -1)  # type: ignore[assignment]  # rows are arrays
            return table
        return np.split(values, count.cumsum()[:-1]) if len(count) else []


def encode_questions(
    tokenizer: PreTrainedTokenizerBase, probes: Sequence[Probe], context_length: int | None = None
) -> Questions:
    """The questions as tokens, without those that a model of `context_length` tokens cannot take with every choice.

    Raises:
        ValueError: a choice adds no token to its query.
    """
    query_ids = _encode_each(tokenizer, {probe.query for probe in probes})
    full_ids = _encode_each(tokenizer, {probe.query + choice for probe in probes for choice in probe.choices})
    fits = [
        probe
        for probe in probes
        if context_length is None or all(len(full_ids[probe.query + each]) <= context_length for each in probe.choices)
    ]
    places: dict[tuple[int, ...], int] = {}
    rows = []
    for question, probe in enumerate(fits):
        whole = [full_ids[probe.query + choice] for choice in probe.choices]
        context, answers = _split(query_ids[probe.query], whole)
        for i, tokens in enumerate(answers):
            posterior = probe.posterior[i] if probe.posterior else float("nan")
            rows.append((question, i, places.setdefault(context, len(places)), tokens, posterior, i == probe.answer))
    names = ["question", "choice", "context", "tokens", "posterior", "correct"]
    return Questions([list(context) for context in places], pd.DataFrame(rows, columns=names))


def choice_probabilities(model: PreTrainedModel, questions: Questions, batch_size: int) -> Array:
    """The model's probability of each choice, (choices,), summing to 1 within each question.

    A choice's weight is the product of its tokens' probabilities given the query, EOS not included,
    normalised over the choices. No length normalisation: longer choices have less weight, as they have in the
    model. Where every choice is one token, each distinct query runs once.
    """
    question, context = (questions.choices[name].to_numpy() for name in ("question", "context"))
    tokens = questions.choices["tokens"].tolist()
    several = np.array([len(each) > 1 for each in tokens], dtype=bool)
    # where all choices after a context are one token, one run of it serves them all
    mixed = np.zeros(len(questions.contexts), dtype=bool)
    mixed[context[several]] = True
    logp = np.zeros(len(tokens))
    for rows, values in _single(model, questions.contexts, context, tokens, mixed, batch_size):
        logp[rows] = values
    rest = np.flatnonzero(mixed[context])
    pairs = {(int(context[i]), tuple(tokens[i])): 0.0 for i in rest}
    distinct = list(pairs)
    context_ids, choice_ids = [questions.contexts[place] for place, _ in distinct], [list(ids) for _, ids in distinct]
    for batch in completion_logits(model, context_ids, choice_ids, batch_size):
        sums = token_logprobs(batch.logits, batch.tokens).double().masked_fill(~batch.mask, 0.0).sum(1)
        pairs.update(zip([distinct[row] for row in batch.rows], sums.tolist(), strict=True))
    logp[rest] = [pairs[int(context[i]), tuple(tokens[i])] for i in rest]

    starts = np.flatnonzero(np.diff(question, prepend=-1))
    weight = np.exp(logp - np.maximum.reduceat(logp, starts)[question])
    probabilities: Array = weight / np.add.reduceat(weight, starts)[question]
    return probabilities


def _single(
    model: PreTrainedModel,
    contexts: list[list[int]],
    context: NDArray[np.int64],
    tokens: list[Sequence[int]],
    mixed: NDArray[np.bool_],
    batch_size: int,
) -> Iterator[tuple[NDArray[np.int64], Array]]:
    """Log-probabilities of the choices of one token: their rows and values, batch by batch."""
    single = np.flatnonzero(~mixed)
    first = np.array([each[0] for each in tokens], dtype=np.int64)
    for batch in completion_logits(model, [contexts[i] for i in single], [(0,)] * len(single), batch_size):
        place = np.full(len(contexts), -1)
        place[single[batch.rows]] = np.arange(len(batch.rows))
        rows = np.flatnonzero(place[context] >= 0)
        values = batch.logits[:, 0].log_softmax(-1)[place[context[rows]], first[rows]]
        yield rows, values.double().cpu().numpy()


def _encode_each(tokenizer: PreTrainedTokenizerBase, texts: set[str]) -> dict[str, tuple[int, ...]]:
    ordered = sorted(texts)
    return dict(zip(ordered, map(tuple, encode_texts(tokenizer, ordered)), strict=True))


def _split(
    query_ids: tuple[int, ...], whole: Sequence[tuple[int, ...]]
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The context that all choices of a question share, and what each adds to it.

    It ends where the tokens of the query alone and of the query with any choice diverge: a tokenizer may join the
    query's last letters with one choice and not with another, and what stands behind different contexts cannot be
    compared.
    """
    shared = itertools.takewhile(lambda ids: len(set(ids)) == 1, zip(query_ids, *whole, strict=False))
    context = query_ids[: len(list(shared))]
    if any(len(ids) == len(context) for ids in whole):
        raise ValueError("a choice adds no token to its query")
    return context, [ids[len(context) :] for ids in whole]
