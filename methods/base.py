"""`base`: the pre-trained model as it is, before any alignment."""

from __future__ import annotations

from bench import Method, Policy, Workbench


class Base(Method):
    """The pre-trained model, unaligned: where everything starts."""

    def train(self, workbench: Workbench) -> Policy:
        """Nothing to train."""
        return workbench.policy(workbench.base_model())
