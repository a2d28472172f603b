"""The learned reward: a callable on texts, with its module where gradients are wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.contracts import Completion, Prompt
from bench.encoding import encode_pairs, encode_prompt
from bench.exact import all_scores

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class RewardModel:
    """A sequence classifier with one output, called as ``reward_model(prompts, completions)``.

    Text is encoded as TRL's RewardTrainer encodes it (prompt + completion + EOS). The score is read at the last token
    that is not padding: EOS where pad ≠ eos, the token before it where pad = eos, in training and here alike.

    Args:
        module: a transformers sequence classifier, ``num_labels=1``.
        count: told the number of texts scored at each call, for the cost account.
    """

    def __init__(
        self,
        module: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int = 256,
        count: Callable[[int], None] | None = None,
    ) -> None:
        self.module = module.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.count = count

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """One score per completion."""
        import torch

        rows = [[*head, *tail] for head, tail in encode_pairs(self.tokenizer, prompts, completions)]
        pad = self.module.config.pad_token_id
        scores: list[float] = []
        with torch.no_grad():
            for start in range(0, len(rows), self.batch_size):
                batch = rows[start : start + self.batch_size]
                longest = max(map(len, batch))
                ids = torch.tensor([row + [pad] * (longest - len(row)) for row in batch])
                mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch])
                logits = self.module(
                    input_ids=ids.to(self.module.device), attention_mask=mask.to(self.module.device)
                ).logits
                scores += logits.squeeze(-1).float().tolist()
        if self.count is not None:
            self.count(len(rows))
        return scores

    def enumerated(self, prompt: Prompt, max_new_tokens: int) -> Tensor:
        """(N) the scores of all completions of `prompt`, in the order of `bench.exact.all_completions`; float64.

        Raises:
            BenchError: there are too many, or the module is no causal classifier.
        """
        scores = all_scores(self.module, encode_prompt(self.tokenizer, prompt), max_new_tokens)
        if self.count is not None:
            self.count(len(scores))
        return scores
