"""The learned reward: a callable on texts, with its module where gradients are wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.contracts.errors import BenchError
from bench.contracts.task import Completion, Prompt
from bench.models.encoding import encode_prompt, encode_sequences
from bench.models.enumeration import all_scores

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from bench.models.ensemble import Ensemble


class RewardModel:
    """A sequence classifier with one output, called as ``reward_model(prompts, completions)``.

    Text is encoded as everywhere (prompt + completion + EOS), what a policy sampled by the tokens that it sampled, see
    `encoding.Sampled`. The score is read at the EOS. Where that is beyond the context, the last tokens give way to it.

    Args:
        module: a transformers sequence classifier, ``num_labels=1``, or an ensemble of them.
        count: told the number of texts scored at each call (by each member), for the cost account.
    """

    def __init__(
        self,
        module: PreTrainedModel | Ensemble,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int = 256,
        count: Callable[[int], None] | None = None,
    ) -> None:
        self._scorer = module.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.count = count

    @property
    def modules(self) -> list[PreTrainedModel]:
        """The classifiers behind the score: one, or the members of an ensemble."""
        return list(getattr(self._scorer, "members", [self._scorer]))

    @property
    def module(self) -> PreTrainedModel:
        """The classifier, where gradients or hidden states are wanted.

        Raises:
            BenchError: it is an ensemble, which has no single one.
        """
        if len(self.modules) > 1:
            raise BenchError(
                f"this reward model is an ensemble of {len(self.modules)}, and the method wants the inside of one: "
                "set stages.reward_model.members to 1"
            )
        return self.modules[0]

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """One score per completion."""
        scores = text_scores(self._scorer, self.tokenizer, prompts, completions, self.batch_size)
        if self.count is not None:
            self.count(len(scores) * len(self.modules))
        return scores

    def enumerated(self, prompt: Prompt, max_new_tokens: int) -> Tensor:
        """(N) the scores of all completions of `prompt`, in the order of `enumeration.all_completions`; float64.

        Raises:
            BenchError: there are too many, or the module is no causal classifier.
        """
        ids = encode_prompt(self.tokenizer, prompt)
        each = [all_scores(module, ids, max_new_tokens) for module in self.modules]
        if self.count is not None:
            self.count(sum(map(len, each)))
        return self._scorer.together(each) if hasattr(self._scorer, "together") else each[0]


def text_scores(
    module: PreTrainedModel | Ensemble,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    completions: Sequence[Completion],
    batch_size: int = 256,
) -> list[float]:
    """`module`'s score of each completion; the module, which may be in training, is left as it is.

    Args:
        batch_size: the most texts that go through together, see `bench.models.memory`.
    """
    import torch

    from bench.models.loading import context_length
    from bench.models.memory import blocks, state_bytes
    from bench.models.padding import pad_right

    room, eos = context_length(module), tokenizer.eos_token_id
    # a completion sampled to the end of the context leaves no room for its EOS
    rows = [
        ids if len(ids) <= room else [*ids[: room - 1], eos]
        for ids in encode_sequences(tokenizer, prompts, completions)
    ]
    pad, state = module.config.pad_token_id, state_bytes(module)
    scores: list[float] = []
    with torch.no_grad():
        for block in blocks([(len(row) * state,) for row in rows], batch_size):
            ids, mask = pad_right(rows[block], pad)
            logits = module(input_ids=ids.to(module.device), attention_mask=mask.to(module.device)).logits
            scores += logits.squeeze(-1).float().tolist()
    return scores
