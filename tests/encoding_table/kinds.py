"""The kinds of tokenizer and chat template that people bring, each small, and what its ids must read as."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from bench.models.ends import end_turns
from bench.models.tokenizers import load_tokenizer

TEXTS = ["what is red ?", "a colour .", "say two words .", "blue and green", "never mind", "all is well , thank you .",
         "be good . system user assistant model"]  # fmt: skip
PLAIN_NAMES = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
IN_TURN = (
    "{% for m in messages %}{{ START + m['role'] + MIDDLE + m['content'] + END }}{% endfor %}"
    "{% if add_generation_prompt %}{{ START + 'assistant' + MIDDLE }}{% endif %}"
)
CHATML = IN_TURN.replace("START", "'<|im_start|>'").replace("MIDDLE", r"'\n'").replace("END", r"'<|im_end|>\n'")
LLAMA_3 = "{{ bos_token }}" + IN_TURN.replace("START", "'<|start_header_id|>'").replace(
    "MIDDLE", r"'<|end_header_id|>\n\n'"
).replace("m['content'] + END", "m['content'] | trim + '<|eot_id|>'")
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' }}"
    "{{ m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
THINKS = (  # as Qwen 3's and DeepSeek R1's: a turn is written in another way than it is read back
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' + m['content'].split('</think>')[-1] }}"
    "{% else %}{{ m['content'] }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Kind:
    """A kind of tokenizer, with its template where prompts are conversations.

    Attributes:
        make: the tokenizer as its author saved it.
        reads: what the ids of prompt and completion of the first row read as: (prompt, end).
        lossless: whether ids read as the text that they were made of.
    """

    make: Callable[[], PreTrainedTokenizerFast]
    reads: tuple[str, str]
    chat: bool = False
    lossless: bool = True

    def load(self) -> PreTrainedTokenizerBase:
        """As the bench has it, for prompts of this kind."""
        with tempfile.TemporaryDirectory() as folder:
            self.make().save_pretrained(folder)
            tokenizer = load_tokenizer(folder)
        return end_turns(tokenizer) if self.chat else tokenizer

    def rows(self, count: int = 4) -> list[dict[str, Any]]:
        """Prompts with a chosen and a rejected completion."""
        asked, good, bad = ["what is red ?", "say two words ."], ["a colour .", "blue and green"], "never mind"
        rows = [(f"{asked[i % 2]}", good[i % 2], bad) for i in range(count)]
        if not self.chat:
            return [{"prompt": p, "chosen": f" {c}", "rejected": f" {r}"} for p, c, r in rows]
        said = [[{"role": role, "content": text} for role, text in zip(("user", *("assistant",) * 2), row, strict=True)]
                for row in rows]  # fmt: skip
        before = said[0][:2]  # every other prompt goes on after a turn that has ended
        return [{"prompt": [*before * (i % 2), p], "chosen": [c], "rejected": [r]} for i, (p, c, r) in enumerate(said)]


def byte_bpe(special: tuple[str, ...] = tuple(PLAIN_NAMES.values()), template: str | None = None, **names: str) -> Any:
    """A byte-level BPE that knows `special` tokens."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    train(raw, trainers.BpeTrainer, special, vocab_size=len(special) + 290, initial_alphabet=alphabet)
    return finish(raw, special, template, **(names or PLAIN_NAMES))


def train(raw: Tokenizer, trainer: Any, special: tuple[str, ...], **settings: Any) -> None:
    """Train `raw` on the few texts."""
    raw.train_from_iterator(TEXTS * 5, trainer(special_tokens=list(special), show_progress=False, **settings))


def finish(raw: Tokenizer, special: tuple[str, ...], template: str | None = None, **names: str) -> Any:
    """A tokenizer of transformers' with names for its special tokens; one with a BOS puts it before every text."""
    if "bos_token" in names:
        frame(raw, f"{names['bos_token']} $A")
    more = [token for token in special if token not in names.values()]
    made = PreTrainedTokenizerFast(tokenizer_object=raw, additional_special_tokens=more, **names)
    made.chat_template = template
    return made


def frame(raw: Tokenizer, form: str) -> None:
    """Put special tokens around every text."""
    tokens = [part for part in form.split() if part != "$A"]
    raw.post_processor = processors.TemplateProcessing(
        single=form, special_tokens=[(token, raw.token_to_id(token)) for token in tokens]
    )


def chatml(pad: str, template: str = CHATML) -> Any:
    """SmolLM2's and Qwen's kind."""
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    return byte_bpe(special, template, pad_token=pad, eos_token="<|im_end|>")


def gemma() -> Any:
    """EOS is declared, and is not what ends a turn."""
    special = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
    names = PLAIN_NAMES | {"bos_token": "<bos>"}
    return byte_bpe(special, GEMMA, **names)


def llama_3() -> Any:
    """No padding token; the base model's EOS is declared, a turn ends in another."""
    special = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    return byte_bpe(special, LLAMA_3, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>")


def mistral() -> Any:
    """BPE of pieces with a fallback to bytes; a turn ends in EOS."""
    return fallback(MISTRAL)


def fallback(template: str | None = None) -> Any:
    """Llama 2's kind: BPE of pieces that carry their space, and bytes for what they lack."""
    special = ("<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)))
    raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    train(raw, trainers.BpeTrainer, special[:3], vocab_size=400)
    held = raw.get_vocab()
    raw.model = models.BPE(
        {**held, **{byte: len(held) + i for i, byte in enumerate(special[3:])}},
        _merges(raw),
        unk_token="<unk>",
        byte_fallback=True,
    )
    return finish(raw, special[:3], template, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _merges(raw: Tokenizer) -> list[tuple[str, str]]:
    import json

    return [tuple(pair) for pair in json.loads(raw.to_str())["model"]["merges"]]


def unigram() -> Any:
    """T5's and XLNet's kind, with clean-up of spaces on."""
    raw = Tokenizer(models.Unigram())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    train(raw, trainers.UnigramTrainer, tuple(PLAIN_NAMES.values()), vocab_size=150, unk_token="<unk>")
    made = finish(raw, (), **PLAIN_NAMES)
    made.clean_up_tokenization_spaces = True
    return made


def word_piece() -> Any:
    """BERT's kind, which frames every text and reads no spaces."""
    raw = Tokenizer(models.WordPiece(unk_token="<unk>"))
    raw.normalizer = normalizers.NFC()
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
    special = (*PLAIN_NAMES.values(), "[CLS]")
    train(raw, trainers.WordPieceTrainer, special, vocab_size=150)
    frame(raw, "[CLS] $A <eos>")
    return finish(raw, special, **PLAIN_NAMES)


def adds_eos() -> Any:
    """Ends every text in EOS, prompts as well."""
    made = byte_bpe()
    frame(made.backend_tokenizer, "$A <eos>")
    return made


IM = "<|im_start|>user\nwhat is red ?<|im_end|>\n<|im_start|>assistant\n"
KINDS: dict[str, Kind] = {
    "plain text, byte BPE": Kind(byte_bpe, ("what is red ?", "<eos>")),
    "plain text, pad = EOS": Kind(lambda: byte_bpe(**PLAIN_NAMES | {"pad_token": "<eos>"}), ("what is red ?", "<eos>")),
    "plain text, Unigram": Kind(unigram, ("what is red ?", "<eos>")),
    "plain text, BPE with bytes": Kind(fallback, ("<s> what is red ?", "</s>")),
    "plain text, WordPiece": Kind(word_piece, ("[CLS] what is red ?", "<eos>")),
    "plain text, EOS after every text": Kind(adds_eos, ("what is red ?", "<eos>")),
    "conversation, no template": Kind(byte_bpe, ("user:\nwhat is red ?\nassistant:\n", "<eos>"), chat=True),
    "ChatML": Kind(lambda: chatml("<|endoftext|>"), (IM, "<|im_end|>"), chat=True),
    "ChatML, pad = EOS": Kind(lambda: chatml("<|im_end|>"), (IM, "<|im_end|>"), chat=True),
    "ChatML that opens no turn": Kind(
        lambda: chatml("<|endoftext|>", CHATML.partition("{% if add")[0]), (IM, "<|im_end|>"), chat=True
    ),
    "ChatML that thinks aloud": Kind(
        lambda: chatml("<|endoftext|>", THINKS), (f"{IM}<think>\n", "<|im_end|>"), chat=True
    ),
    "Gemma (no system turn)": Kind(
        gemma,
        ("<bos><start_of_turn>user\nwhat is red ?<end_of_turn>\n<start_of_turn>model\n", "<end_of_turn>"),
        chat=True,
    ),
    "Llama 3": Kind(
        llama_3,
        (
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nwhat is red ?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            "<|eot_id|>",
        ),
        chat=True,
    ),
    "Mistral": Kind(mistral, ("<s>[INST] what is red ? [/INST]", "</s>"), chat=True),
}
