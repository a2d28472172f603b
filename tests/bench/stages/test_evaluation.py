"""Questions that a model cannot take whole are left out, and only those."""

from __future__ import annotations

from bench.contracts import Probe
from bench.models import bpe_tokenizer, word_tokenizer
from bench.stages.evaluation import fitting


def test_a_question_fits_if_its_longest_choice_does() -> None:
    tokenizer = word_tokenizer(["a", "b"])
    four = Probe("a a a", (" b", " a"), 0)
    six = Probe("a a a", (" b", " a a a"), 0)
    assert fitting([four, six], tokenizer, 6) == [four, six]
    assert fitting([four, six], tokenizer, 5) == [four]
    assert fitting([four, six], tokenizer, 3) == []
    assert fitting([], tokenizer, 5) == []


def test_a_text_of_many_bytes_fits_if_its_tokens_are_few_enough() -> None:
    tokenizer = bpe_tokenizer(["wonderful wonderful wonderful"] * 9, 300)
    probe = Probe("wonderful", (" wonderful", " ü"), 0)
    tokens = max(len(tokenizer(probe.query + choice)["input_ids"]) for choice in probe.choices)
    assert tokens < len("wonderful wonderful")
    assert fitting([probe], tokenizer, tokens) == [probe]
    assert fitting([probe], tokenizer, tokens - 1) == []
