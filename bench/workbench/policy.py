"""What a method returns: something that samples completions for prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contracts.task import Completion, Prompt
from bench.models.encoding import decode_completions, encode_prompts

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass
class Samples:
    """Completions drawn for prompts, one row each.

    completion_ids: sampled tokens up to and including the first that ends a completion (EOS, in most models the only
        one), no padding.
    finished: whether the completion ended in such a token (else it ran into the token limit).
    """

    prompts: list[Prompt] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    prompt_ids: list[list[int]] = field(default_factory=list)
    completion_ids: list[list[int]] = field(default_factory=list)
    finished: list[bool] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.prompts)

    def extend(self, other: Samples) -> None:
        """Append the rows of `other`."""
        for column, more in zip(vars(self).values(), vars(other).values(), strict=True):
            column.extend(more)

    def select(self, rows: Sequence[int]) -> Samples:
        """The given rows, in that order."""
        return Samples(*([column[i] for i in rows] for column in vars(self).values()))


class Policy(ABC):
    """Samples completions.

    Attributes:
        model: None for a policy that works at decoding time (best-of-n); its KL cannot be estimated from samples.
        kl_bound: an upper bound on KL(π‖π0) in nats, where theory gives one.
        from_all: each completion is drawn from among all that there are, so that `exact_logp` knows every prompt at
            no great cost, and KL and entropy are measured exactly although there is no model.
    """

    model: PreTrainedModel | None = None
    kl_bound: float | None = None
    from_all: bool = False

    @abstractmethod
    def sample(self, prompts: Sequence[Prompt], seed: int, temperature: float = 1.0) -> Samples:
        """One completion per prompt (repeat a prompt for more). Same seed, same samples.

        temperature: 1 samples the policy itself; anything else biases every estimate of KL and entropy.
        """

    def exact_logp(self, prompt: Prompt) -> Tensor | None:
        """log π of every completion of `prompt`, in the order of `enumeration.all_completions`; None where not known.

        Asked for only where the task can be enumerated. Nats, shape (completions,), float64.
        """
        return None

    def save(self, directory: Path) -> None:  # noqa: B027 (a policy at decoding time has nothing to save)
        """Write what `Method.load` needs to restore this policy; nothing by default."""


class ModelPolicy(Policy):
    """Samples a causal language model.

    Args:
        max_new_tokens: the most tokens a completion may have, EOS included.
        batch_size: prompts per forward pass; sampling is reproducible for a given value.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_new_tokens: int,
        batch_size: int = 256,
    ) -> None:
        self.model: PreTrainedModel = model
        self.tokenizer = tokenizer
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size

    def sample(self, prompts: Sequence[Prompt], seed: int, temperature: float = 1.0) -> Samples:
        """See `Policy.sample`. The caller's random state is left as it was."""
        import torch

        from bench.models.padding import pad_left
        from bench.models.sampling import generate

        encoded = encode_prompts(self.tokenizer, prompts)
        samples = Samples()
        device = self.model.device
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for start in range(0, len(prompts), self.batch_size):
                rows = slice(start, start + self.batch_size)
                ids, mask = pad_left(encoded[rows], self.model.config.pad_token_id)
                tokens, kept, _ = generate(
                    self.model, ids.to(device), mask.to(device), self.max_new_tokens, temperature
                )
                samples.extend(self._rows(list(prompts[rows]), encoded[rows], tokens, kept))
        return samples

    def exact_logp(self, prompt: Prompt) -> Tensor:
        """See `Policy.exact_logp`."""
        from bench.models.enumeration import enumerate_completions

        return enumerate_completions(self.model, self.tokenizer, prompt, self.max_new_tokens).logp

    def _rows(self, prompts: list[Prompt], prompt_ids: list[list[int]], tokens: Tensor, mask: Tensor) -> Samples:
        from bench.models.sampling import ending_ids

        lengths = mask.sum(1).tolist()
        ids = [row[:n] for row, n in zip(tokens.tolist(), lengths, strict=True)]
        completions = decode_completions(self.tokenizer, prompts, prompt_ids, ids)
        ends = set(ending_ids(self.model))
        return Samples(prompts, completions, prompt_ids, ids, [row[-1] in ends for row in ids])

    def save(self, directory: Path) -> None:
        """Write the model in transformers' format (safetensors)."""
        self.model.save_pretrained(directory)
