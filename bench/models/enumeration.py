"""Every completion of a prompt, in a world small enough to write them all down, and what a policy makes of each.

Everything here is a sum over all completions of one prompt: nothing is sampled, so estimators can be tested against
it. Tensors are float64, log-probabilities and entropies in nats, one entry per completion in the order of
`all_completions`, which depends on the vocabulary's size, EOS and the token limit alone: the entries of two models of
one vocabulary belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError
from bench.contracts.task import Completion, Prompt
from bench.models.encoding import decode_completions, encode_prompt

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MOST = 1_000_000
"""The most completions of one prompt that are enumerated."""


def completion_count(vocabulary: int, max_new_tokens: int) -> int:
    """Σ_{t<T} (V−1)^t + (V−1)^T: completions over V tokens that end at EOS, and those of T tokens that do not."""
    return sum((vocabulary - 1) ** t for t in range(max_new_tokens)) + (vocabulary - 1) ** max_new_tokens


@lru_cache(maxsize=4)
def all_completions(vocabulary: int, eos: int, max_new_tokens: int) -> tuple[Tensor, Tensor]:
    """Every completion over the whole vocabulary, special tokens included: what may be sampled from a model.

    A completion ends at EOS or at `max_new_tokens`. Shorter ones come first, those of one length in lexicographic
    order. See `completion_count` for N.

    Returns:
        The tokens (N, max_new_tokens), filled up with EOS, and the lengths (N), EOS included.

    Raises:
        BenchError: there are more than `MOST`.
    """
    import torch

    _check_count(vocabulary, max_new_tokens)
    going = torch.tensor([token for token in range(vocabulary) if token != eos])
    prefixes = torch.empty((1, 0), dtype=torch.long)
    rows, lengths = [], []
    for length in range(1, max_new_tokens + 1):
        last = torch.arange(vocabulary) if length == max_new_tokens else torch.tensor([eos])
        ended = _grown(prefixes, last)
        rows.append(torch.nn.functional.pad(ended, (0, max_new_tokens - length), value=eos))
        lengths.append(torch.full((len(ended),), length))
        prefixes = _grown(prefixes, going)
    return torch.cat(rows), torch.cat(lengths)


def states(vocabulary: int, eos: int, max_new_tokens: int) -> Tensor:
    """(N, max_new_tokens) which prefix stands before each token of `all_completions`; −1 after the last token.

    Prefixes are numbered as `by_length` gives them, shorter ones first: 0 is the prompt alone.
    """
    import torch

    tokens, lengths = all_completions(vocabulary, eos, max_new_tokens)
    digits = tokens - (tokens > eos).long()
    found = torch.full_like(tokens, -1)
    number = torch.zeros_like(lengths)
    for t in range(max_new_tokens):
        first = sum((vocabulary - 1) ** s for s in range(t))
        found[:, t] = torch.where(t < lengths, first + number, -1)
        number = number * (vocabulary - 1) + digits[:, t]
    return found


def rows_of(completion_ids: Sequence[Sequence[int]], vocabulary: int, eos: int, max_new_tokens: int) -> list[int]:
    """Where completions stand in `all_completions`."""

    def digit(token: int) -> int:
        return token - (token > eos)

    rows = []
    for ids in completion_ids:
        number = 0
        for token in ids[:-1]:
            number = number * (vocabulary - 1) + digit(token)
        if len(ids) == max_new_tokens:
            number = number * vocabulary + ids[-1]
        rows.append(sum((vocabulary - 1) ** t for t in range(len(ids) - 1)) + number)
    return rows


def log_probabilities(model: PreTrainedModel, prompt_ids: Sequence[int], max_new_tokens: int) -> Tensor:
    """(N) log π of all completions of a prompt at temperature 1, differentiable in the model's parameters.

    Completions that share a prefix share its forward pass.
    """
    import torch

    logps, prefix_logp = [], torch.zeros(1, dtype=torch.float64)
    for length, (output, _) in enumerate(by_length(model, prompt_ids, max_new_tokens), start=1):
        logp = prefix_logp[:, None] + output.logits[:, -1].double().log_softmax(-1).cpu()  # (prefixes, vocabulary)
        if length == max_new_tokens:
            logps.append(logp.flatten())
        else:
            eos = model.config.eos_token_id
            logps.append(logp[:, eos])
            prefix_logp = torch.cat([logp[:, :eos], logp[:, eos + 1 :]], 1).flatten()
    return torch.cat(logps)


def all_scores(module: Any, prompt_ids: Sequence[int], max_new_tokens: int) -> Tensor:
    """(N) what `learned_reward.RewardModel` says of the text of each completion, where tokens and text are one-to-one.

    Args:
        module: a causal sequence classifier with one output.

    Raises:
        BenchError: the module has no `score` head to read at every token.
    """
    import torch

    if not hasattr(module, "score"):
        raise BenchError(f"{type(module).__name__} has no `score` head: its scores cannot be enumerated")
    backbone, eos = module.base_model, module.config.eos_token_id
    vocabulary = module.get_input_embeddings().weight.shape[0]
    levels: list[list[Tensor]] = [[] for _ in range(max_new_tokens + 1)]  # by the number of tokens before EOS

    def read(head: Sequence[int], lengths: int, first: int) -> None:
        for length, (output, cache) in enumerate(by_length(backbone, head, lengths), start=first):
            hidden = output.last_hidden_state
            if module.config.pad_token_id != eos:  # else the score is read before EOS
                ends = torch.full((len(hidden), 1), eos, device=module.device)
                hidden = backbone(input_ids=ends, past_key_values=cache, use_cache=True).last_hidden_state
                cache.crop(-1)
            levels[length].append(module.score(hidden[:, -1]).squeeze(-1).double().cpu())

    with torch.no_grad():
        read(prompt_ids, 1, 0)
        for token in range(vocabulary):  # one after the other, since all at once need much memory
            if token != eos:
                read([*prompt_ids, token], max_new_tokens, 1)
    scores = [torch.cat(level) for level in levels]
    never_ended = scores[-1].view(-1, vocabulary - 1)
    full = torch.cat([never_ended[:, :eos], scores[-2][:, None], never_ended[:, eos:]], dim=1)
    return torch.cat([*scores[:-2], full.flatten()])


def by_length(model: Any, prompt_ids: Sequence[int], lengths: int, **arguments: Any) -> Iterator[tuple[Any, Any]]:
    """The model's output at the last token of all prefixes of 0, 1, …, `lengths` − 1 tokens without EOS, and its cache.

    Prefixes of one length are in lexicographic order. `arguments` go to each forward pass.

    Raises:
        BenchError: there are too many, or the model is not read with a key–value cache.
    """
    import torch
    from transformers import DynamicCache

    from bench.models.sampling import has_key_values

    if not has_key_values(model):
        raise BenchError(f"{type(model).__name__} is read without a key–value cache: it cannot be enumerated")

    vocabulary, eos = model.get_input_embeddings().weight.shape[0], model.config.eos_token_id
    _check_count(vocabulary, lengths)
    going = torch.tensor([token for token in range(vocabulary) if token != eos])
    cache = DynamicCache(config=model.config)
    inputs = torch.tensor([list(prompt_ids)])
    for length in range(lengths):
        mask = torch.ones((len(inputs), len(prompt_ids) + length), dtype=torch.long)
        yield (
            model(
                input_ids=inputs.to(model.device),
                attention_mask=mask.to(model.device),
                past_key_values=cache,
                use_cache=True,
                **arguments,
            ),
            cache,
        )
        if length + 1 < lengths:
            cache.batch_repeat_interleave(len(going))
            inputs = going.repeat(len(inputs))[:, None]


def _check_count(vocabulary: int, max_new_tokens: int) -> None:
    if (count := completion_count(vocabulary, max_new_tokens)) > MOST:
        raise BenchError(f"{vocabulary} tokens make {count:,} completions of one prompt: too many to enumerate")


def _grown(prefixes: Tensor, tokens: Tensor) -> Tensor:
    """Each prefix followed by each of `tokens`."""
    import torch

    rows = prefixes.repeat_interleave(len(tokens), dim=0)
    return torch.cat([rows, tokens.repeat(len(prefixes))[:, None]], dim=1)


@dataclass(frozen=True)
class Exact:
    """Every completion of `prompt` with its log-probability.

    logp: (N) log-probabilities under the model at temperature 1; their exponentials sum to 1.
    tokens, lengths: as `all_completions` gives them.
    """

    prompt: Prompt
    prompt_ids: list[int]
    tokens: Tensor
    lengths: Tensor
    logp: Tensor
    tokenizer: PreTrainedTokenizerBase

    @cached_property
    def completion_ids(self) -> list[list[int]]:
        """(N) the tokens of each completion, EOS included where there is one."""
        return [row[:length] for row, length in zip(self.tokens.tolist(), self.lengths.tolist(), strict=True)]

    @cached_property
    def completions(self) -> list[Completion]:
        """(N) the completions as text, as `Samples.completions` has them."""
        rows = len(self.completion_ids)
        return decode_completions(self.tokenizer, [self.prompt] * rows, [self.prompt_ids] * rows, self.completion_ids)


def enumerate_completions(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: Prompt, max_new_tokens: int
) -> Exact:
    """All completions of `prompt` under `model`, whose mode is left as it was."""
    import torch

    prompt_ids = encode_prompt(tokenizer, prompt)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logp = log_probabilities(model, prompt_ids, max_new_tokens)
    model.train(was_training)
    vocabulary = model.get_input_embeddings().weight.shape[0]
    tokens, lengths = all_completions(vocabulary, model.config.eos_token_id, max_new_tokens)
    return Exact(prompt, prompt_ids, tokens, lengths, logp, tokenizer)
