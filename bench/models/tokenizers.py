"""Tokenizers: word-level and byte-level ones made here, others loaded; each with what the bench needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from bench.contracts.errors import BenchError
from bench.models.ends import PLAIN_CHAT_TEMPLATE, STOPS, add_stops, declared_stops

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """One token per space-separated word; lossless on text whose words are single-spaced and known."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {word: i for i, word in enumerate([PAD, EOS, UNKNOWN, *(f"▁{word}" for word in words)])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    raw.decoder = decoders.Metaspace(prepend_scheme="first")
    return _finish(raw)


def bpe_tokenizer(texts: Sequence[str], size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE trained on `texts`: any text is encoded without loss."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, EOS, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    return _finish(raw)


def _finish(raw: object) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token=PAD, eos_token=EOS, unk_token=UNKNOWN, padding_side="left"
    )
    tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
    tokenizer.clean_up_tokenization_spaces = False
    return tokenizer


def _give_texts_back(tokenizer: PreTrainedTokenizerBase) -> None:
    """No space is taken away before punctuation when ids become text."""
    from tokenizers import decoders

    tokenizer.clean_up_tokenization_spaces = False
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None and isinstance(backend.decoder, decoders.WordPiece):
        backend.decoder = decoders.WordPiece(prefix=backend.decoder.prefix, cleanup=False)


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """A tokenizer that pads on the left, has a padding token (EOS if it brought none) and a chat template.

    It gives texts back as they were, and knows what its model declares as EOS, see `bench.models.ends`.

    Raises:
        BenchError: there is none in `source`.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise BenchError(f"no tokenizer can be read from {source}: {' '.join(str(error).split())[:300]}") from None
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
    _give_texts_back(tokenizer)
    if STOPS not in tokenizer.init_kwargs:
        add_stops(tokenizer, declared_stops(tokenizer, source))
    return tokenizer
