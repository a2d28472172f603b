"""`expert_iteration`: best-of-n by the reward model, then SFT on the winners, again and again.

Anthony et al. 2017 (arXiv:1705.08439); for language models RAFT, Dong et al. 2023 (arXiv:2304.06767, algorithm 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench import Field, Method, ModelPolicy, Policy, Range, SearchSpace, Workbench

if TYPE_CHECKING:
    from datasets import Dataset


class ExpertIteration(Method):
    """Rounds of best-of-n sampling and SFT on the winners (RAFT): imitates the best of what it says itself.

    `on_policy: false` draws every round's samples from the frozen π0 instead: the same numbers of samples, winners and
    training steps, so that what differs is whose outputs are learned from. There is no pull towards π0.
    """

    needs: ClassVar[set[str]] = {"reward_model"}
    search_space: ClassVar[SearchSpace] = {
        "n": Range(2, 16),
        "learning_rate": Range(3e-5, 3e-3, log=True),
    }

    rounds: int = Field(4, ge=1, le=1000, description="times that sampling and fine-tuning are repeated")
    prompts: int = Field(480, ge=1, description="training prompts of a round, taken in turn from shuffled ones")
    n: int = Field(4, ge=1, le=1024, description="completions drawn per prompt, of which the best is kept")
    on_policy: bool = Field(True, description="draw from the model in training, or always from π0")
    epochs: float = Field(1, gt=0, description="passes over the winners of a round")
    batch_size: int = Field(32, ge=1, description="winners per step")
    learning_rate: float = Field(5e-4, gt=0, le=1, description="peak learning rate of a round (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Run the rounds from π0; curve and log count rounds."""
        from bench.models.training.callbacks import measured_steps

        policy = workbench.policy(workbench.sft_model())
        sampler = policy if self.on_policy else workbench.policy(workbench.reference)
        measured = measured_steps(self.rounds, workbench.curve_points) | ({0} if workbench.curve_points else set())
        if 0 in measured:
            workbench.measure(policy, 0)
        for number in range(self.rounds):
            workbench.fine_tune(
                policy.model,
                self.best_samples(workbench, sampler, number),
                epochs=self.epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                seed=workbench.seed + number,
                curve=False,
            )
            workbench.progress(number + 1, self.rounds)
            if number + 1 in measured:
                workbench.measure(policy, number + 1)
        return policy

    def best_samples(self, workbench: Workbench, sampler: ModelPolicy, number: int) -> Dataset:
        """The best of n samples for each prompt of a round: columns `prompt`, `completion`."""
        import numpy as np
        from datasets import Dataset

        order = workbench.prompts.shuffle(seed=workbench.seed)["prompt"]
        prompts = [order[(number * self.prompts + i) % len(order)] for i in range(self.prompts)]
        repeated = [prompt for prompt in prompts for _ in range(self.n)]
        samples = workbench.sample(sampler, repeated, workbench.seed + number)
        scores = np.reshape(workbench.reward_model(samples.prompts, samples.completions), (-1, self.n))
        workbench.log(number + 1, reward=float(scores.mean()), reward_of_winners=float(scores.max(1).mean()))
        best = samples.select((scores.argmax(1) + np.arange(self.prompts) * self.n).tolist())
        return Dataset.from_dict({"prompt": best.prompts, "completion": best.completions})
