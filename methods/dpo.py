"""`dpo`: Direct Preference Optimization (Rafailov et al. 2023, arXiv:2305.18290), trained by TRL.

`ipo` and `cdpo` are the same method with another loss.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bench import Field, Method, Policy, Range, SearchSpace, Workbench


class DPO(Method):
    """Direct preference optimisation: a classification loss on pairs, no reward model, no sampling."""

    needs: ClassVar[set[str]] = {"preferences"}
    search_space: ClassVar[SearchSpace] = {
        "beta": Range(0.03, 1, log=True),
        "epochs": Range(1, 6, step=1),
        "learning_rate": Range(3e-5, 3e-3, log=True),
    }

    beta: float = Field(0.1, gt=0, description="strength of the pull towards π0 (β, eq. 7)")
    epochs: float = Field(3, gt=0, description="passes over the pairs")
    batch_size: int = Field(32, ge=1, description="pairs per step")
    learning_rate: float = Field(3e-4, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def loss(self) -> dict[str, Any]:
        """The arguments of TRL's `DPOConfig` that choose what its trainer's `compute_loss` computes."""
        # −log σ(β Δ), Δ = log π(chosen)/π0(chosen) − log π(rejected)/π0(rejected); Rafailov et al. 2023, eq. 7
        return {"loss_type": "sigmoid"}

    def train(self, workbench: Workbench) -> Policy:
        """Train from π0 on the training pairs."""
        from trl import DPOConfig, DPOTrainer

        from bench.models.training.trl_rows import compared_rows, taking_ids

        model = workbench.sft_model()
        trainer = taking_ids(DPOTrainer)(
            model,
            ref_model=workbench.reference,
            args=DPOConfig(
                **workbench.training_arguments(),
                **self.loss(),
                beta=self.beta,
                num_train_epochs=self.epochs,
                per_device_train_batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                max_length=None,
                precompute_ref_log_probs=True,
                precompute_ref_batch_size=256,
            ),
            train_dataset=compared_rows(workbench.tokenizer, workbench.preferences),
            processing_class=workbench.tokenizer,
            callbacks=workbench.callbacks(),
        )
        trainer.train()
        return workbench.policy(model)
