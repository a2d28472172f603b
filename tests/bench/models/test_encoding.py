import ast
import copy
import pickle
from pathlib import Path

import pytest
from datasets import Dataset

from bench.models.encoding import (
    completion_like,
    decode_completions,
    encode,
    encode_pairs,
    encode_prompt,
    encode_prompts,
    encode_sequences,
    text_of,
    within_context,
)
from bench.models.tokenizers import bpe_tokenizer, word_tokenizer

WORDS = word_tokenizer(["an", "old", "film", ":", "was", "good", "bad", "not", "."])
BYTES = bpe_tokenizer(["the film was good , the plot was not ."] * 4, 300)
PLAIN = ["an old film :", "film :"], [" was good .", " was not bad ."]
CHAT = (
    [[{"role": "user", "content": "is it good ?"}], [{"role": "user", "content": "why ?\nsay"}]],
    [[{"role": "assistant", "content": "it is ."}], [{"role": "assistant", "content": " because"}]],
)
CASES = [(WORDS, *PLAIN), (BYTES, *PLAIN), (BYTES, *CHAT)]


@pytest.mark.parametrize("tokenizer, prompts, completions", CASES)
def test_many_texts_are_encoded_as_each_alone(tokenizer, prompts, completions):
    assert encode_prompts(tokenizer, prompts) == [encode_prompt(tokenizer, prompt) for prompt in prompts]
    each = [encode(tokenizer, prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)]
    assert encode_pairs(tokenizer, prompts, completions) == each
    assert encode_pairs(tokenizer, [], []) == []


@pytest.mark.parametrize("tokenizer, prompts, completions", CASES)
def test_a_completion_ends_in_one_eos_and_comes_back_as_it_was(tokenizer, prompts, completions):
    pairs = encode_pairs(tokenizer, prompts, completions)
    assert all(tail.count(tokenizer.eos_token_id) == 1 and tail[-1] == tokenizer.eos_token_id for _, tail in pairs)
    heads, tails = [head for head, _ in pairs], [tail for _, tail in pairs]
    assert heads == encode_prompts(tokenizer, prompts)
    assert decode_completions(tokenizer, prompts, heads, tails) == completions


@pytest.mark.parametrize(
    "tokenizer, prompts, completions",
    [
        *CASES,
        (WORDS, ["film :", "film<eos> :", "film :", "<eos>", ""], [" good", " bad", " good<eos> bad", "<eos>", ""]),
        (BYTES, [[*CHAT[0][0], *CHAT[1][0], *CHAT[0][1]], *CHAT[0]], [CHAT[1][1], *CHAT[1]]),
    ],
)
def test_whole_texts_are_the_joined_pairs(tokenizer, prompts, completions):
    pairs = encode_pairs(tokenizer, prompts, completions)
    assert encode_sequences(tokenizer, prompts, completions) == [
        [*prompt_ids, *completion_ids] for prompt_ids, completion_ids in pairs
    ]


@pytest.mark.parametrize("prompt, completion", [("the film was ", "good"), ("the fi", "lm"), ("the film was", " good")])
def test_a_prompts_tokens_are_the_head_of_the_whole_whatever_its_last_letters(prompt, completion):
    before, tokens = encode(BYTES, prompt, completion)
    assert before == encode_prompt(BYTES, prompt)
    assert decode_completions(BYTES, [prompt], [before], [tokens]) == [completion]


def test_a_sampled_text_gives_its_own_tokens_back_and_a_changed_one_does_not():
    prompt, spelled = "the film", [BYTES.convert_tokens_to_ids(letter) for letter in "Ġgood"]
    before = encode_prompt(BYTES, prompt)
    (text,) = decode_completions(BYTES, [prompt], [before], [spelled])
    assert text == " good"
    joined = encode(BYTES, prompt, " good")[1]
    assert len(joined) < len(spelled)
    assert encode(BYTES, prompt, text) == (before, [*spelled, BYTES.eos_token_id])
    for other in (text + "", copy.deepcopy(text), pickle.loads(pickle.dumps(text))):
        assert encode(BYTES, prompt, other)[1] == joined
    assert encode(WORDS, "film", text) == encode(WORDS, "film", " good")


def test_what_follows_eos_is_no_part_of_a_completion():
    assert encode(WORDS, "film :", " good<eos> bad")[1] == encode(WORDS, "film :", " good")[1]


def test_a_special_token_that_was_sampled_stays_in_the_text():
    (text,) = decode_completions(WORDS, ["film :"], [encode_prompt(WORDS, "film :")], [[WORDS.unk_token_id]])
    assert "<unk>" in text_of(text)


def test_a_completion_has_the_format_of_its_prompt():
    assert completion_like("a", "b") == "b"
    assert completion_like([{"role": "user", "content": "a"}], "b") == [{"role": "assistant", "content": "b"}]


def test_rows_that_a_model_cannot_take_whole_are_left_out_and_counted():
    rows = Dataset.from_dict({"prompt": ["film :"] * 2, "chosen": [" good", " good"], "rejected": [" bad", " bad" * 9]})
    kept, dropped = within_context(rows, WORDS, 8)
    assert (len(kept), dropped) == (1, 1)
    prompts = Dataset.from_dict({"prompt": ["film :", "an old film :"]})
    assert within_context(prompts, WORDS, 6, new_tokens=3)[0]["prompt"] == ["film :"]
    assert within_context(prompts, WORDS, 7, new_tokens=3)[1] == 0


def test_nobody_else_calls_a_tokenizer_or_renders_a_template():
    root = Path(__file__).parents[3]
    callers = set()
    for file in (file for folder in ("bench", "methods", "tasks") for file in root.glob(f"{folder}/**/*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func).rsplit(".", 1)[-1] if isinstance(node, ast.Call) else ""
            if called in ("apply_chat_template", "processing_class") or (
                called == "tokenizer" and "." not in ast.unparse(node.func)
            ):
                callers.add(file.relative_to(root).as_posix())
    assert callers == {"bench/models/encoding.py", "bench/models/ends.py"}
