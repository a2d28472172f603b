"""Policy and critic as the one module that PPO optimises, and log-probabilities of completions under any model."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.models.loading import takes
from bench.models.score_head import head_width


def at_completion(states: Tensor, starts: Tensor, length: int, before: bool = True) -> Tensor:
    """The states from which a completion's tokens come (or, not `before`, those after them).

    Args:
        states: (batch, row, …), one per token of the row.
        starts: (batch), where completions start in their rows.
        length: tokens of the longest completion.

    Returns:
        (batch, length, …); past a row's end, its last state again.
    """
    places = starts.unsqueeze(1) + torch.arange(length, device=starts.device) - int(before)
    places = places.clamp(max=states.shape[1] - 1)
    return states[torch.arange(len(states), device=starts.device).unsqueeze(1), places]


def causal(input_ids: Tensor) -> dict[str, Any]:
    """Keyword arguments of a forward pass over rows padded on the right: nothing is masked, as nothing looks ahead."""
    return {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "use_cache": False}


def forward_completion(
    model: nn.Module, input_ids: Tensor, starts: Tensor, length: int, **kwargs: Any
) -> tuple[Tensor, Any]:
    """Logits from which the tokens of each completion were sampled: shape (batch, length, vocabulary).

    Rows are packed, see `methods.policy_gradient.rollout.packed`. The language-model head is not run on what lies
    before all completions, where the model can do so. The model's whole output comes second.
    """
    input_ids, skipped = input_ids[:, :-1], 0  # no token comes after the last
    if takes(model, "logits_to_keep"):
        skipped = int(starts.min()) - 1
        kwargs["logits_to_keep"] = input_ids.shape[1] - skipped
    output = model(**causal(input_ids), **kwargs)
    return at_completion(output.logits, starts - skipped, length).float(), output


def pick(logprobs: Tensor, tokens: Tensor) -> Tensor:
    """log π(token), nats. Shapes (batch, tokens, vocabulary) and (batch, tokens) → (batch, tokens)."""
    return logprobs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def text_nll(model: nn.Module, input_ids: Tensor, mask: Tensor) -> Tensor:
    """−Σ log π(token) over all tokens of right-padded texts but their first, nats: a scalar."""
    logits = model(**causal(input_ids)).logits[:, :-1].float()
    targets = input_ids[:, 1:].masked_fill(mask[:, 1:] == 0, -100)
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


class Pass(NamedTuple):
    """What one forward pass says of completions.

    logprobs: log π of their tokens, (batch, length), nats. distribution: log π of every token of the vocabulary in
    their place, (batch, length, vocabulary). values: of the states before the tokens, (batch, length); None without a
    critic.
    """

    logprobs: Tensor
    distribution: Tensor
    values: Tensor | None


class ActorCritic(nn.Module):
    """A policy with a value for every state (prompt and the tokens so far) on the way through a completion.

    Args:
        policy: a causal language model.
        critic: a causal transformers sequence classifier with ``num_labels=1``, whose `score` head is read at every
            position; ``"value_head"`` for a linear head on the policy's last hidden state, which starts at V = 0;
            None for no critic at all.
        detached: keep the value head's gradient from the policy.
    """

    def __init__(
        self,
        policy: PreTrainedModel,
        critic: PreTrainedModel | Literal["value_head"] | None = "value_head",
        detached: bool = False,
    ) -> None:
        super().__init__()
        if critic not in ("value_head", None) and not hasattr(critic, "score"):
            raise ValueError(f"critic {type(critic).__name__} has no `score` head: pass a sequence classifier")
        self.policy: Any = policy
        self.separate = critic not in ("value_head", None)
        self.detached = detached
        self.critic: Any = self._value_head(policy) if critic == "value_head" else critic
        for module in self.modules():
            # ratios of log-probabilities mean nothing if every pass draws another network
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(getattr(module, "attention_dropout", None), float):
                setattr(module, "attention_dropout", 0.0)  # noqa: B010 (a plain float, which nn.Module does not declare)

    @staticmethod
    def _value_head(policy: PreTrainedModel) -> nn.Linear:
        head = nn.Linear(head_width(policy), 1)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return head.to(policy.device, policy.dtype)

    def gradient_checkpointing_enable(self, **kwargs: Any) -> None:
        """What `TrainingArguments.gradient_checkpointing` asks of a model."""
        self.policy.gradient_checkpointing_enable(**kwargs)
        if self.separate:
            self.critic.gradient_checkpointing_enable(**kwargs)

    def forward(
        self,
        input_ids: Tensor,
        starts: Tensor,
        length: int,
        temperature: float = 1.0,
        critic_only: bool = False,
    ) -> Pass | Tensor:
        """One pass over prompts with completions.

        Args:
            input_ids, starts: packed rows, see `methods.policy_gradient.rollout.packed`.
            length: tokens of the longest completion.
            temperature: what the policy's logits are divided by, as in sampling.
            critic_only: give the values alone, with no gradient to the policy.
        """
        if critic_only:
            return self.values(input_ids, starts, length)
        shared = self.critic is not None and not self.separate
        logits, output = forward_completion(self.policy, input_ids, starts, length, output_hidden_states=shared)
        distribution = (logits / temperature if temperature != 1 else logits).log_softmax(-1)
        values = None
        if self.separate:
            values = self.values(input_ids, starts, length)
        elif shared:
            hidden = output.hidden_states[-1]
            values = self._read(self.critic, hidden.detach() if self.detached else hidden, starts, length)
        return Pass(pick(distribution, at_completion(input_ids, starts, length, before=False)), distribution, values)

    def values(self, input_ids: Tensor, starts: Tensor, length: int) -> Tensor:
        """The values alone, shape (batch, length): see `Pass`. No gradient reaches the policy."""
        input_ids = input_ids[:, :-1]
        if self.separate:
            hidden = self.critic.base_model(**causal(input_ids)).last_hidden_state
            return self._read(self.critic.score, hidden, starts, length)
        inputs = causal(input_ids) | {"output_hidden_states": True}
        if takes(self.policy, "logits_to_keep"):
            inputs["logits_to_keep"] = 1
        with torch.no_grad():
            hidden = self.policy(**inputs).hidden_states[-1]
        return self._read(self.critic, hidden, starts, length)

    @staticmethod
    def _read(head: nn.Module, hidden: Tensor, starts: Tensor, length: int) -> Tensor:
        return at_completion(head(hidden).squeeze(-1), starts, length).float()
