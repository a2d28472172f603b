"""`kto`: Kahneman–Tversky Optimisation (Ethayarajh et al. 2024, arXiv:2402.01306), trained by TRL."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench import BenchError, Field, Method, Policy, Range, SearchSpace, Workbench

if TYPE_CHECKING:
    from datasets import Dataset


class KTO(Method):
    """Learns from completions that are labelled good or bad one by one; of data with pairs, from the two sides of each.

    The loss is λ_D (1 − σ(β (log π/π0 − z))) on a good completion and λ_U (1 − σ(β (z − log π/π0))) on a bad one
    (eq. 7 and 8), where z estimates KL(π ‖ π0) from completions put behind the wrong prompts of the same batch.
    """

    needs: ClassVar[set[str]] = {"preferences"}
    unpaired: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {
        "beta": Range(0.03, 1, log=True),
        "epochs": Range(1, 6, step=1),
        "learning_rate": Range(3e-5, 3e-3, log=True),
    }

    beta: float = Field(0.1, gt=0, description="strength of the pull towards π0")
    desirable_weight: float = Field(1.0, ge=0, description="λ_D, weight of the good completions")
    undesirable_weight: float = Field(1.0, ge=0, description="λ_U, weight of the bad completions")
    epochs: float = Field(3, gt=0, description="passes over the completions")
    batch_size: int = Field(64, ge=2, description="completions per step; one alone has no wrong prompt to go behind")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Train from π0 on the labelled completions, or on the training pairs, taken apart."""
        from trl import KTOConfig, KTOTrainer
        from trl.data_utils import unpair_preference_dataset

        from bench.models.loading import context_length
        from bench.models.training.trl_rows import labelled_rows, taking_ids

        model = workbench.sft_model()
        rows = workbench.preferences
        if "label" not in rows.column_names:
            rows = unpair_preference_dataset(rows.select_columns(["prompt", "chosen", "rejected"]))
        if len(rows) < 2:
            raise BenchError("kto: one completion alone has no wrong prompt to go behind; give it two or more")
        # TRL takes the rows as they stand, for the mismatched completions' sake; unpaired, the good all come first
        rows = rows.select_columns(["prompt", "completion", "label"]).shuffle(seed=workbench.seed)
        rows = without_left_over(rows, self.batch_size)
        trainer = taking_ids(KTOTrainer)(
            model,
            ref_model=workbench.reference,
            args=KTOConfig(
                **workbench.training_arguments(),
                beta=self.beta,
                desirable_weight=self.desirable_weight,
                undesirable_weight=self.undesirable_weight,
                num_train_epochs=self.epochs,
                per_device_train_batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                # rows fit, but a long prompt and another's long completion may not
                max_length=context_length(model),
                precompute_ref_log_probs=True,
                precompute_ref_batch_size=256,
            ),
            train_dataset=labelled_rows(workbench.tokenizer, rows, self.batch_size),
            processing_class=workbench.tokenizer,
            callbacks=workbench.callbacks(),
        )
        trainer.train()
        return workbench.policy(model)


def without_left_over(rows: Dataset, batch_size: int) -> Dataset:
    """The rows without the last one, where it would be a batch: alone, it would stand in for a wrong completion behind
    its own prompt."""
    return rows.select(range(len(rows) - 1)) if len(rows) % batch_size == 1 else rows
