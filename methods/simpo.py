"""`simpo`: Simple Preference Optimisation (Meng et al. 2024, arXiv:2405.14734), trained by TRL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bench import Field, Method, Policy, Range, SearchSpace, Workbench

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class SimPO(Method):
    """DPO without a reference: the reward is the mean log-probability per token, and a win needs a margin.

    Nothing but a small learning rate keeps the policy near π0.
    """

    needs: ClassVar[set[str]] = {"preferences"}
    search_space: ClassVar[SearchSpace] = {
        "beta": Range(0.5, 10, log=True),
        "gamma": Range(0, 3),
        "learning_rate": Range(3e-5, 3e-3, log=True),
    }
    name: ClassVar[str] = "simpo"

    beta: float = Field(2.0, gt=0, description="scale of the reward β/|y| log π (eq. 4)")
    gamma: float = Field(1.0, ge=0, description="margin γ by which the chosen completion's reward must win (eq. 6)")
    epochs: float = Field(3, gt=0, description="passes over the pairs")
    batch_size: int = Field(32, ge=1, description="pairs per step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Train from π0 on the training pairs: −log σ(β/|y_w| log π(y_w) − β/|y_l| log π(y_l) − γ), eq. 6."""
        from trl.experimental.cpo import CPOConfig, CPOTrainer

        return train_without_reference(
            workbench,
            workbench.sft_model(),
            CPOTrainer,
            CPOConfig,
            {"loss_type": "simpo", "beta": self.beta, "simpo_gamma": self.gamma, "cpo_alpha": 0.0},
            {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.learning_rate},
        )


def train_without_reference(
    workbench: Workbench,
    model: PreTrainedModel,
    trainer_class: Any,
    config_class: Any,
    loss: dict[str, Any],
    schedule: dict[str, Any],
) -> Policy:
    """Train `model` on the training pairs with one of TRL's trainers that have no reference: CPO's or ORPO's.

    Args:
        loss: arguments of `config_class` that choose the loss.
        schedule: `epochs`, `batch_size` and `learning_rate`.
    """
    from bench.models.loading import context_length
    from bench.models.training.trl_rows import contrasted_rows, taking_ids

    trainer = taking_ids(trainer_class)(
        model,
        args=config_class(
            **workbench.training_arguments(),
            **loss,
            num_train_epochs=schedule["epochs"],
            per_device_train_batch_size=schedule["batch_size"],
            learning_rate=schedule["learning_rate"],
            max_length=context_length(model),  # None would cut at 512
            remove_unused_columns=False,
        ),
        train_dataset=contrasted_rows(workbench.tokenizer, workbench.preferences),
        processing_class=workbench.tokenizer,
        callbacks=workbench.callbacks(),
    )
    trainer.train()
    # nor do they count tokens
    rows = trainer.train_dataset
    tokens = sum(len(ids) for side in ("chosen", "rejected") for ids in rows[f"{side}_input_ids"])
    workbench.cost.tokens_trained += round(tokens * trainer.state.epoch)
    return workbench.policy(model)
