"""DPO on `strings`, and where its distance to the optimum lies: a plug-in for `floor.yaml` beside it.

With pairs from an annotator of noise s (Bradley–Terry on gold / s), DPO's optimum at β is π* ∝ π0 exp(gold / (β s)).
KL(π ‖ π*) = Σ_y [π log(π/π*) − π + π*], whose terms are none below 0: they are summed here over kinds of completions.
"""

from __future__ import annotations

import numpy as np

from bench import Policy, Workbench
from methods.dpo import DPO
from tasks.strings import Strings

PROMPTS = 8
NOISE = 0.2


class DPOFloor(DPO):
    """DPO, and in its record the terms of KL(π‖π*): of what the pairs hold, what they hardly do, what is no string."""

    def train(self, workbench: Workbench) -> Policy:
        """As DPO; then all completions of eight training and eight test prompts, exactly."""
        policy, pairs = super().train(workbench), len(workbench.preferences)
        strings, reference = Strings(), workbench.policy(workbench.sft_model())
        shown = len(strings.prompts("train"))
        for split in ("train", "test"):
            found: dict[str, list[float]] = {}
            for prompt in strings.prompts(split)["prompt"][:PROMPTS]:
                logp, start = (each.exact_logp(prompt).numpy() for each in (policy, reference))
                gold = strings.enumerated_gold(workbench.tokenizer, prompt)
                optimum = start + gold / (self.beta * NOISE)
                optimum -= np.logaddexp.reduce(optimum)
                p, q = np.exp(logp), np.exp(optimum)
                terms = p * (logp - optimum) - p + q
                malformed = gold <= -1 + 1e-9
                held = np.exp(start) * 2 * pairs / shown >= 1  # drawn once or more among a prompt's pairs
                kinds = {"malformed": malformed, "held": held & ~malformed, "hardly": ~held & ~malformed}
                for kind, which in kinds.items():
                    found.setdefault(f"{split}_{kind}", []).append(terms[which].sum())
                    found.setdefault(f"{split}_{kind}_mass", []).append(p[which].sum())
                    found.setdefault(f"{split}_{kind}_optimum", []).append(q[which].sum())
                found.setdefault(f"{split}_kl", []).append(terms.sum())
            workbench.report(**{f"floor_{name}": float(np.mean(values)) for name, values in found.items()})
        return policy
