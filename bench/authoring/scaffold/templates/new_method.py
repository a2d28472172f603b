"""`new_method`: the SFT model after a few more steps, on the training prompts' best samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bench import Field, Method, Policy, Range, SearchSpace, Workbench

if TYPE_CHECKING:
    from torch import Tensor


class NewMethod(Method):
    """Raises the likelihood of the samples of π0 that the reward model scores highest."""

    contract: ClassVar[int] = 1  # the version of the bench's interface that this file is written for

    # the shared stages that `train` uses: any of "preferences", "ratings", "reward_model"
    needs: ClassVar[set[str]] = {"reward_model"}
    # what `bench tune` may try
    search_space: ClassVar[SearchSpace] = {"learning_rate": Range(1e-4, 1e-2, log=True)}

    samples: int = Field(256, ge=2, description="completions drawn from π0, of which the better half is learned")
    epochs: float = Field(3, gt=0, description="passes over the better half")
    batch_size: int = Field(32, ge=1, description="completions per step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Draw samples of π0, score them, and fit the better half. All randomness comes from the workbench's seed."""
        from datasets import Dataset

        known = workbench.prompts["prompt"]
        prompts = [known[i % len(known)] for i in range(self.samples)]
        drawn = workbench.sample(workbench.policy(workbench.reference), prompts, workbench.seed)
        scores = workbench.reward_model(drawn.prompts, drawn.completions)
        best = drawn.select(sorted(range(len(scores)), key=scores.__getitem__)[len(scores) // 2 :])
        rows = Dataset.from_dict({"prompt": best.prompts, "completion": best.completions})
        model = workbench.sft_model()

        def loss(batch: dict[str, list[Any]], step: int) -> Tensor:
            logprobs, mask = workbench.logprobs(model, batch["prompt"], batch["completion"])
            return -logprobs.sum() / mask.sum()

        workbench.fit(
            model, rows, loss, epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate
        )
        return workbench.policy(model)
