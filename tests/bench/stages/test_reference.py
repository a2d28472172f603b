"""Questions that a model cannot take whole are left out, and only those; what is written is what is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bench.contracts.task import Probe
from bench.models.multiple_choice import Questions, encode_questions
from bench.models.tokenizers import bpe_tokenizer, word_tokenizer


def test_a_question_fits_if_its_longest_choice_does() -> None:
    tokenizer = word_tokenizer(["a", "b"])
    four = Probe("a a a", (" b", " a"), 0)
    six = Probe("a a a", (" b", " a a a"), 0)
    assert [len(encode_questions(tokenizer, [four, six], context)) for context in (6, 5, 3)] == [2, 1, 0]
    assert len(encode_questions(tokenizer, [], 5)) == 0


def test_a_text_of_many_bytes_fits_if_its_tokens_are_few_enough() -> None:
    tokenizer = bpe_tokenizer(["wonderful wonderful wonderful"] * 9, 300)
    probe = Probe("wonderful", (" wonderful", " ü"), 0)
    tokens = max(len(tokenizer(probe.query + choice)["input_ids"]) for choice in probe.choices)
    assert tokens < len("wonderful wonderful")
    assert len(encode_questions(tokenizer, [probe], tokens)) == 1
    assert len(encode_questions(tokenizer, [probe], tokens - 1)) == 0


def test_questions_are_read_as_they_were_written(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(["a", "b", "c"])
    probes = [Probe("a", (" b", " c b", " a"), 1, (0.5, 0.25, 0.25)), Probe("b", (" b", " c"), 0)]
    made = encode_questions(tokenizer, probes)
    made.save(tmp_path)
    read = Questions.load(tmp_path)
    assert read.contexts == made.contexts == [tokenizer("a")["input_ids"], tokenizer("b")["input_ids"]]
    as_lists = [each.choices.assign(tokens=[list(ids) for ids in each.choices["tokens"]]) for each in (read, made)]
    pd.testing.assert_frame_equal(*as_lists)
    assert read.choices["correct"].tolist() == [False, True, False, True, False]
    assert [row.tolist() for row in read.by_question(np.arange(5.0))] == [[0, 1, 2], [3, 4]]
