"""Models and tokenizers: `tiny` ones made here, others from a directory in transformers' format or from the hub."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from bench.contracts.stage_settings import TinyModel
from bench.models.encoding import PLAIN_CHAT_TEMPLATE
from bench.models.gelu import quicken

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"
ENSEMBLE = "ensemble.json"


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


def tiny_model(settings: TinyModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> GPT2LMHeadModel:
    """An untrained GPT-2 without dropout, initialised from `seed`."""
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=settings.context,
        n_embd=settings.width,
        n_layer=settings.layers,
        n_head=settings.heads,
        initializer_range=settings.initializer_range,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
    quicken(model)
    return model


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """A tokenizer that pads on the left, has a padding token (EOS if it brought none) and a chat template."""
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
    return tokenizer


def load_model(source: str | Path, tokenizer: PreTrainedTokenizerBase | None = None) -> PreTrainedModel:
    """A causal language model in full precision, dropout off, with no generation defaults of its own.

    tokenizer: whose pad and EOS ids the model takes over (a saved model of ours has them already).
    """
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, trust_remote_code=False)
    return _prepare(model, tokenizer)


def load_classifier(source: str | Path, tokenizer: PreTrainedTokenizerBase | None = None) -> PreTrainedModel:
    """A sequence classifier with one output; the head is new where `source` holds a language model."""
    model = AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=1, dtype=torch.float32, trust_remote_code=False
    )
    return _prepare(model, tokenizer)


def new_classifier(source: str | Path, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """An untrained sequence classifier with one output, built as `source` is, from the global random state."""
    config = AutoConfig.from_pretrained(source, num_labels=1, trust_remote_code=False)
    return _prepare(AutoModelForSequenceClassification.from_config(config, dtype=torch.float32), tokenizer)


class Ensemble(torch.nn.Module):
    """Several reward models as one: the mean of their scores, or the least of them.

    The least is the worst-case optimisation of Coste et al. 2023 ("Reward model ensembles help mitigate
    overoptimization", arXiv:2310.02743, section 3.2).

    Attributes:
        members: sequence classifiers with one output, of the same tokenizer.
        shifts: (members) what is taken from each member's score before the least is chosen, see `centre`.
    """

    def __init__(self, members: Sequence[PreTrainedModel], aggregate: str = "mean") -> None:
        super().__init__()
        self.members: Any = torch.nn.ModuleList(members)
        self.aggregate = aggregate
        self.shifts = [0.0] * len(members)

    def centre(self, means: Sequence[float]) -> None:
        """Take from each member its mean score: preferences do not tell where zero is, so only then compare members."""
        self.shifts = [float(mean) for mean in means]

    @property
    def config(self) -> PreTrainedConfig:
        """The first member's."""
        return self.members[0].config

    @property
    def device(self) -> torch.device:
        """The first member's."""
        return self.members[0].device

    def forward(self, **inputs: torch.Tensor) -> SequenceClassifierOutput:
        """`logits`, (texts, 1): the ensemble's scores."""
        return SequenceClassifierOutput(logits=self.together([member(**inputs).logits for member in self.members]))

    def together(self, scores: Sequence[torch.Tensor]) -> torch.Tensor:
        """The ensemble's scores from those of each member, all of one shape."""
        stacked = torch.stack([score - shift for score, shift in zip(scores, self.shifts, strict=True)])
        return stacked.mean(0) if self.aggregate == "mean" else stacked.amin(0)

    def save_pretrained(self, directory: Path) -> None:
        """One folder per member, and how they are put together."""
        for number, member in enumerate(self.members):
            member.save_pretrained(directory / f"member_{number}")
        (directory / ENSEMBLE).write_text(json.dumps({"aggregate": self.aggregate, "shifts": self.shifts}))


def load_reward_model(directory: Path, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel | Ensemble:
    """What the `reward_model` stage wrote."""
    if not (directory / ENSEMBLE).exists():
        return load_classifier(directory, tokenizer)
    how = json.loads((directory / ENSEMBLE).read_text())
    members = [load_classifier(directory / f"member_{i}", tokenizer) for i in range(len(how["shifts"]))]
    ensemble = Ensemble(members, how["aggregate"])
    ensemble.centre(how["shifts"])
    return ensemble


def context_length(model: PreTrainedModel) -> int:
    """The longest sequence, in tokens, that `model` takes."""
    return int(getattr(model.config, "max_position_embeddings", None) or 2**31)


def takes(model: torch.nn.Module, argument: str) -> bool:
    """Whether a forward pass of `model` has an argument of this name, such as ``"position_ids"``."""
    return argument in _arguments(type(model).forward)


@cache
def _arguments(forward: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(forward).parameters)


def _prepare(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> PreTrainedModel:
    if tokenizer is not None:
        model.config.eos_token_id = tokenizer.eos_token_id
        model.config.pad_token_id = tokenizer.pad_token_id
    # a model's own top-p or temperature would bias every estimate made from its samples
    model.generation_config = GenerationConfig(
        eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id
    )
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for name in ("attention_dropout", "attn_pdrop", "dropout"):
        if getattr(model.config, name, None):
            setattr(model.config, name, 0.0)
    quicken(model)
    return model
