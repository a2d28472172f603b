"""The same numbers on the processor and on the GPU: log-probabilities, KL, scores, losses, gradients.

SmolLM2 and a copy of it whose weights were moved a little read the completions that the copy sampled on the processor.
Every figure is the largest absolute difference to float64 on the processor; the gradient's is relative to its norm.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel

from bench.models.learned_reward import text_scores
from bench.models.loading import load_classifier, load_model
from bench.models.logprobs import completion_logprobs
from bench.models.sampling import generate
from methods.policy_gradient.losses import policy_loss
from tests.gpu.world import DEVICE, arguments, as_directory, prompts_of, report

CLOSE = 2.0
"""How often further from float64 than the processor's float32 the GPU's may be."""


def main() -> None:
    """Compare; fail where float32 on the GPU is further off than `CLOSE`."""
    chosen = arguments(__doc__)
    folder = as_directory(chosen.model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    reference, rows = load_model(folder, tokenizer), 4 if chosen.small else 16
    policy = moved(reference)
    torch.manual_seed(0)
    classifier = load_classifier(folder, tokenizer)
    prompts = prompts_of(tokenizer, 20, rows)
    prompt_ids = tokenizer(prompts)["input_ids"]
    ids = torch.tensor(prompt_ids)
    tokens, mask, _ = generate(policy, ids, torch.ones_like(ids), 8 if chosen.small else 32)
    completions = [row[: int(n)].tolist() for row, n in zip(tokens, mask.sum(1), strict=True)]
    texts = tokenizer.batch_decode(completions)

    def figures(device: str, dtype: torch.dtype) -> dict[str, Tensor]:
        models = [each.to(device, dtype) for each in (reference, policy, classifier)]
        scores = torch.tensor(text_scores(models[2], tokenizer, prompts, texts))
        return measured(models[0], models[1], prompt_ids, completions) | {"score": scores.double()}

    # the most exact first: the models are moved and rounded afterwards, and float32 holds what float64 was made from
    expected = figures("cpu", torch.float64)
    found = {"processor, float32": figures("cpu", torch.float32)}
    found[f"{DEVICE}, float32"] = figures(DEVICE, torch.float32)
    found[f"{DEVICE}, bfloat16"] = figures(DEVICE, torch.bfloat16)
    apart = {on: {name: difference(name, got, expected) for name in expected} for on, got in found.items()}
    table = [{"figure": name} | {on: f"{each[name]:.1e}" for on, each in apart.items()} for name in expected]
    report({"rows": table, "completions": rows, "tokens": int(mask.sum())})
    here, there = apart[f"{DEVICE}, float32"], apart["processor, float32"]
    for name in expected:
        if here[name] > CLOSE * max(there[name], 1e-5):
            raise SystemExit(f"{name}: off by {here[name]:.1e}, and by {there[name]:.1e} on the processor")


def moved(model: PreTrainedModel) -> PreTrainedModel:
    """A copy with noise of a hundredth of each weight's standard deviation."""
    torch.manual_seed(1)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weights in other.parameters():
            weights.add_(torch.randn_like(weights), alpha=0.01 * float(weights.std()))
    return other


def measured(
    reference: PreTrainedModel, policy: PreTrainedModel, prompt_ids: list[list[int]], completions: list[list[int]]
) -> dict[str, Tensor]:
    """Log-probabilities, KL (k1), and the losses of PPO and DPO with the gradient of PPO's, all on the processor."""
    torch.manual_seed(2)
    policy.requires_grad_(True).zero_grad()
    logprobs, mask = completion_logprobs(policy, prompt_ids, completions)
    with torch.no_grad():
        reference_logprobs, _ = completion_logprobs(reference, prompt_ids, completions)
    advantages = torch.randn(logprobs.shape).to(mask.device)
    loss = policy_loss(logprobs, reference_logprobs, advantages, 0.2)[mask].mean()
    loss.backward()
    ratios = (logprobs - reference_logprobs).sum(1).detach()
    half = len(ratios) // 2
    gradient = torch.cat(
        [weights.grad.double().flatten() for weights in policy.parameters() if weights.grad is not None]
    )
    each: dict[str, Any] = {
        "log-probability of a token (nats)": logprobs[mask],
        "KL of a completion, k1 (nats)": ratios,
        "DPO's loss": -F.logsigmoid(0.1 * (ratios[:half] - ratios[half:])),
        "PPO's loss": loss,
        "PPO's gradient, relative": gradient,
    }
    return {name: value.detach().double().cpu() for name, value in each.items()}


def difference(name: str, got: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest absolute difference; of a gradient, the norm of the difference relative to its own."""
    apart = got[name] - expected[name]
    if "relative" in name:
        return float(apart.norm() / expected[name].norm())
    return float(apart.abs().max())


if __name__ == "__main__":
    main()
