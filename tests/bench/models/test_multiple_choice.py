"""The choices of a question stand behind one context, whatever the tokenizer joins."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bench.contracts.task import Probe
from bench.models.multiple_choice import encode_questions


@pytest.fixture
def tokenizer():
    """Letters, of which `i` and `m` join to `im`, and that with a `p` to `imp`."""
    letters = {letter: i for i, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    vocabulary = letters | {"im": 26, "imp": 27, "<eos>": 28}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[("i", "m"), ("im", "p")]))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<eos>", pad_token="<eos>")


def test_all_choices_of_a_question_stand_behind_the_same_context(tokenizer):
    questions = encode_questions(tokenizer, [Probe("it is im", ("possible", "mediate"), 0), Probe("so", ("a",), 0)])
    rows = questions.choices[questions.choices["question"] == 0]
    assert rows["context"].nunique() == 1
    context = questions.contexts[rows["context"].iloc[0]]
    assert tokenizer.decode(context).replace(" ", "") == "itis"  # `im` is joined with the first choice alone
    texts = [tokenizer.decode(list(tokens)).replace(" ", "") for tokens in rows["tokens"]]
    assert texts == ["impossible", "immediate"]
    assert questions.contexts[1] == tokenizer("so")["input_ids"]


def test_a_choice_that_adds_no_token_is_refused(tokenizer):
    with pytest.raises(ValueError, match="adds no token"):
        encode_questions(tokenizer, [Probe("so", ("a", ""), 0)])
