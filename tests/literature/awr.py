"""`awr`: advantage-weighted regression on the policy's own samples (Peng et al. 2019, arXiv:1910.00177)."""

from bench import Field, Method, Policy, Workbench


class AWR(Method):
    """Likelihood of one's own samples, each weighted by exp(advantage/β); V is the mean of a prompt's rewards."""

    needs = {"reward_model"}
    beta: float = Field(0.5, gt=0, description="temperature β of the weights, reward per nat")
    max_weight: float = Field(20.0, ge=1, description="most that a sample counts (ω_max)")
    samples: int = Field(4, ge=2, description="completions per prompt")
    epochs: float = Field(1, gt=0, description="passes over the prompts")
    learning_rate: float = Field(5e-4, gt=0, le=1, description="peak learning rate (AdamW, linear decay)")

    def train(self, workbench: Workbench) -> Policy:
        """Regress π on what it samples, from π0."""
        policy = workbench.policy(workbench.sft_model())

        def loss(batch, step):
            drawn = workbench.sample(policy, batch["prompt"] * self.samples, seed=workbench.seed + step)
            logp = workbench.sample_logprobs(policy.model, drawn)[0].sum(1).view(self.samples, -1)
            rewards = logp.new_tensor(workbench.reward_model(drawn.prompts, drawn.completions)).view_as(logp)
            return -(((rewards - rewards.mean(0)) / self.beta).exp().clamp(max=self.max_weight) * logp).mean()

        schedule = {"epochs": self.epochs, "batch_size": 32, "learning_rate": self.learning_rate}
        workbench.fit(policy.model, workbench.prompts, loss, **schedule)
        return policy
