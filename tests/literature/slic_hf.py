"""`slic_hf`: sequence likelihood calibration on preference pairs (SLiC-HF, Zhao et al. 2023, arXiv:2305.10425)."""

from bench import Field, Method, Policy, Workbench


class SlicHf(Method):
    """A hinge on how much likelier the chosen completion is than the rejected one; no reference, no reward model."""

    needs = {"preferences"}
    delta: float = Field(1.0, gt=0, description="difference of log π at which a pair is settled (δ), nats")
    regularisation: float = Field(0.1, ge=0, description="weight λ of −log π of the chosen completion")
    epochs: float = Field(3, gt=0, description="passes over the pairs")
    batch_size: int = Field(32, ge=1, description="pairs per step")
    learning_rate: float = Field(3e-4, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Train π0 on max(0, δ − log π(chosen) + log π(rejected)) − λ log π(chosen)."""
        model = workbench.sft_model()

        def loss(batch, step):
            chosen = workbench.logprobs(model, batch["prompt"], batch["chosen"])[0].sum(1)
            rejected = workbench.logprobs(model, batch["prompt"], batch["rejected"])[0].sum(1)
            return ((self.delta - chosen + rejected).clamp(min=0) - self.regularisation * chosen).mean()

        schedule = {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.learning_rate}
        workbench.fit(model, workbench.preferences, loss, **schedule)
        return workbench.policy(model)
