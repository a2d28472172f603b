"""`sft`: the SFT model π0 itself, the reference that KL is measured to."""

from __future__ import annotations

from bench import Method, Policy, Workbench


class SFT(Method):
    """Supervised fine-tuning on all demonstrations: the reference π0 that the others start from."""

    def train(self, workbench: Workbench) -> Policy:
        """The shared `sft` stage has trained it already; its settings are those of the matrix's `stages: sft`."""
        return workbench.policy(workbench.sft_model())
