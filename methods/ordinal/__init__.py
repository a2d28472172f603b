"""`ordinal`: regress the 1–5 labels directly, then keep or ask for what the regression rates best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from bench import Field, Policy, Range, SearchSpace, Workbench
from methods.best_of_n import BestOfNPolicy
from methods.conditional import Conditional

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.models.learned_reward import RewardModel


class Ordinal(Conditional):
    """Ordinal regression on 1–5 ratings from π0, no pairs and no RL; then best-of-n by it, or conditioning on it.

    `use: filter` samples n completions and keeps the one that is rated best (as `best_of_n`); `use: condition` trains
    as `conditional` does, with the ratings predicted for π0's samples in place of the reward, and with its settings.
    All ratings count alike, whoever gave them: scales that differ between raters are not told apart.
    """

    needs: ClassVar[set[str]] = {"ratings"}
    search_space: ClassVar[SearchSpace] = {
        "head_epochs": Range(1, 6, step=1),
        "head_learning_rate": Range(1e-4, 1e-2, log=True),
    }

    use: Literal["filter", "condition"] = Field("filter", description="what is done with the predicted ratings")
    n: int = Field(16, ge=1, le=4096, description="completions drawn per prompt (`filter`)")
    head_epochs: float = Field(2, gt=0, description="passes over the ratings")
    head_batch_size: int = Field(32, ge=1, description="ratings per step")
    head_learning_rate: float = Field(1e-3, gt=0, le=1, description="peak learning rate of the regression (AdamW)")

    def train(self, workbench: Workbench) -> Policy:
        """Train the regression, then use it."""
        import torch

        from bench.models.loading import load_classifier
        from methods.ordinal.coral import train_on_ratings

        start = workbench.checkpoints / "sft"
        workbench.reference.save_pretrained(start)
        with torch.random.fork_rng():
            torch.manual_seed(workbench.seed)  # the head is new, and random
            module = load_classifier(start, workbench.tokenizer).to(workbench.device)
        workbench.cost.tokens_trained += train_on_ratings(
            module,
            workbench.tokenizer,
            workbench.ratings,
            workbench.training_arguments()
            | {
                "num_train_epochs": self.head_epochs,
                "per_device_train_batch_size": self.head_batch_size,
                "learning_rate": self.head_learning_rate,
            },
        )
        if self.use == "condition":
            return self.condition(workbench, scorer(workbench, module))
        return FilteredPolicy(workbench.policy(workbench.reference), scorer(workbench, module), self.n)

    def load(self, workbench: Workbench, directory: Path) -> Policy:
        """Restore the model, or π0 and the regression."""
        from bench.models.loading import load_classifier

        if self.use == "condition":
            return workbench.load_policy(directory)
        module = load_classifier(directory, workbench.tokenizer).to(workbench.device)
        return FilteredPolicy(workbench.policy(workbench.reference), scorer(workbench, module), self.n)


class FilteredPolicy(BestOfNPolicy):
    """Best-of-n by a regression of its own, which is kept with it."""

    def save(self, directory: Path) -> None:
        """Write the regression in transformers' format."""
        self.reward.module.save_pretrained(directory)


def scorer(workbench: Workbench, module: PreTrainedModel) -> RewardModel:
    """The regression as a callable on texts; its calls are charged as a reward model's, which it is in size."""
    from bench.models.learned_reward import RewardModel

    def count(texts: int) -> None:
        workbench.cost.reward_model_calls += texts

    return RewardModel(module, workbench.tokenizer, workbench.batch_size, count=count)
