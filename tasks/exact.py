"""Exact quantities of a policy in a world small enough that every completion can be written down.

Everything here is a sum over all completions of one prompt: nothing is sampled, so estimators can be tested against
it. Tensors are float64, log-probabilities and entropies in nats, one entry per completion in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bench.contracts import Completion, Prompt
from bench.encoding import decode_completions, encode_prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Exact:
    """Every completion of `prompt` with its log-probability. The order depends on the vocabulary's size and the
    token limit alone, so the entries of two models of one vocabulary belong together.

    completion_ids: (N) the tokens, up to and including the first EOS, or as many as the limit allows.
    logp: (N) log-probabilities under the model at temperature 1; their exponentials sum to 1.
    """

    prompt: Prompt
    prompt_ids: list[int]
    completion_ids: list[list[int]]
    logp: Tensor
    tokenizer: PreTrainedTokenizerBase

    @cached_property
    def completions(self) -> list[Completion]:
        """(N) the completions as text, as `Samples.completions` has them: what a reward is computed from."""
        rows = len(self.completion_ids)
        return decode_completions(self.tokenizer, [self.prompt] * rows, [self.prompt_ids] * rows, self.completion_ids)

    @cached_property
    def lengths(self) -> Tensor:
        """(N) tokens of each completion, EOS included."""
        return self.logp.new_tensor([len(ids) for ids in self.completion_ids])


def enumerate_completions(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Prompt,
    max_new_tokens: int,
    batch_size: int = 4096,
) -> Exact:
    """All completions over the whole vocabulary, special tokens included, as `bench.policy.generate` may sample them.

    A completion ends at EOS or at `max_new_tokens`. For a vocabulary of V there are Σ_{t<T} (V−1)^(t−1) + V (V−1)^(T−1)
    of them; the model is run once for each prefix length.
    """
    import torch

    prompt_ids = encode_prompt(tokenizer, prompt)
    eos = model.config.eos_token_id
    device = model.device
    was_training = model.training
    model.eval()
    prefixes = torch.empty((1, 0), dtype=torch.long)  # all completions so far that go on, in lexicographic order
    prefix_logp = torch.zeros(1, dtype=torch.float64)
    sequences: list[list[int]] = []
    logps: list[Tensor] = []
    for length in range(1, max_new_tokens + 1):
        heads = torch.tensor([prompt_ids]).expand(len(prefixes), -1)
        inputs = torch.cat([heads, prefixes], dim=1)
        with torch.no_grad():
            logits = torch.cat(
                [model(input_ids=chunk.to(device)).logits[:, -1].double().cpu() for chunk in inputs.split(batch_size)]
            )
        logp = prefix_logp[:, None] + logits.log_softmax(-1)  # (prefixes, vocabulary)
        vocabulary = logp.shape[1]
        grown = torch.cat(
            [
                prefixes.repeat_interleave(vocabulary, dim=0),
                torch.arange(vocabulary).repeat(len(prefixes))[:, None],
            ],
            dim=1,
        )
        over = (grown[:, -1] == eos) | (length == max_new_tokens)
        sequences += grown[over].tolist()
        logps.append(logp.flatten()[over])
        prefixes, prefix_logp = grown[~over], logp.flatten()[~over]
    model.train(was_training)
    return Exact(prompt, prompt_ids, sequences, torch.cat(logps), tokenizer)


def both_enumerated(
    model: PreTrainedModel,
    reference: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    gold: Callable[[Exact], list[float]],
) -> dict[str, NDArray[np.float64]]:
    """The columns of `bench.Task.enumerated`: all completions of `prompts` under two models of one vocabulary.

    gold: the rewards of all completions of one prompt.
    """
    columns: dict[str, list[NDArray[np.float64]]] = {
        "exact_prompt": [], "exact_logp": [], "exact_reference_logp": [], "exact_gold": []
    }  # fmt: skip
    for number, prompt in enumerate(prompts):
        mine = enumerate_completions(model, tokenizer, prompt, max_new_tokens)
        theirs = enumerate_completions(reference, tokenizer, prompt, max_new_tokens)
        columns["exact_prompt"].append(np.full(len(mine.completion_ids), number))
        columns["exact_logp"].append(mine.logp.numpy())
        columns["exact_reference_logp"].append(theirs.logp.numpy())
        columns["exact_gold"].append(np.array(gold(mine)))
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def expected_reward(logp: Tensor, rewards: Tensor) -> Tensor:
    """E_π[r] = Σ_y π(y) r(y). Any other function of completions (their lengths, say) does as well."""
    return (logp.exp() * rewards).sum()


def kl(logp: Tensor, logp_reference: Tensor) -> Tensor:
    """KL(π ‖ π0) = Σ_y π(y) [log π(y) − log π0(y)], nats per completion; infinite where π0 lacks what π has."""
    # 0 log 0 = 0, also where both are impossible (−inf − −inf)
    return (logp.exp() * (logp - logp_reference)).masked_fill(logp == -float("inf"), 0.0).sum()


def entropy(logp: Tensor) -> Tensor:
    """H(π) = −Σ_y π(y) log π(y), nats per completion.

    By the chain rule this is also the expected sum of the per-token entropies over a completion's prefixes; divided by
    ``expected_reward(logp, exact.lengths)`` it is the entropy per token.
    """
    return -(logp.exp() * logp).masked_fill(logp == -float("inf"), 0.0).sum()


def objective(logp: Tensor, logp_reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """J(π) = E_π[r] − β KL(π ‖ π0), what RLHF maximises (Rafailov et al. 2023, eq. 3)."""
    return expected_reward(logp, rewards) - beta * kl(logp, logp_reference)


def optimal_policy(logp_reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """log π*, π*(y) = π0(y) exp(r(y)/β) / Z: the maximiser of `objective` (Rafailov et al. 2023, eq. 4)."""
    return (logp_reference + rewards / beta).log_softmax(0)


def optimal_value(logp_reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """max_π J(π) = β log Z, Z = Σ_y π0(y) exp(r(y)/β): what π* attains (Korbak et al. 2022)."""
    return beta * (logp_reference + rewards / beta).logsumexp(0)
