"""What is maximised: E[Σ_t w_t r(x_≤t)] − β KL(π ‖ π0) over relaxed completions x."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from methods.reward_gradient.relaxation import end_weights, relaxed_kl
from methods.reward_gradient.rollout import Rollout, next_logits, score_every_end


def reward(module: Any, prompt_ids: Tensor, prompt_mask: Tensor, rollout: Rollout) -> Tensor:
    """Σ_t w_t r(x_≤t), one number per completion, (batch,).

    The end weights come from the relaxed tokens' own EOS, in both kinds of rollout, and carry no gradient: what moves
    the policy is the reward model's gradient and nothing else. A reward that is a step function has none.
    """
    eos = rollout.vectors[..., module.config.eos_token_id].detach()
    return (end_weights(eos) * score_every_end(module, prompt_ids, prompt_mask, rollout.vectors)).sum(1)


def kl_to(reference: Any, prompt_ids: Tensor, prompt_mask: Tensor, rollout: Rollout) -> Tensor:
    """KL(π ‖ π0) along what the policy read, differentiated in full; nats per completion, (batch,).

    Free running it is read along relaxed tokens, weighted by how much is still going. Teacher-forced it is
    Σ_t KL(π(·|y_<t) ‖ π0(·|y_<t)) along the given text y: other prefixes than the policy's own.
    """
    logits = next_logits(reference, prompt_ids, prompt_mask, rollout.read)
    return relaxed_kl(rollout.logits, logits, rollout.going)
