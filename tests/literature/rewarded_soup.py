"""`rewarded_soup`: one policy per reward, their weights averaged (Ramé et al. 2023, arXiv:2306.04488)."""

from bench import Field, Method, Policy, Workbench


class RewardedSoup(Method):
    """From π0, a policy for the learned reward and one for brevity; what is sampled is the average of their weights."""

    needs = {"reward_model"}
    share: float = Field(0.5, ge=0, le=1, description="weight λ of the learned reward's policy in the average")
    epochs: float = Field(1, gt=0, description="passes over the prompts, of each policy")

    def train(self, workbench: Workbench) -> Policy:
        learned = self.specialist(workbench, lambda drawn: workbench.reward_model(drawn.prompts, drawn.completions))
        brief = self.specialist(workbench, lambda drawn: [-len(ids) for ids in drawn.completion_ids])
        for mine, other in zip(learned.model.parameters(), brief.model.parameters(), strict=True):
            mine.data.lerp_(other.data, 1 - self.share)
        return learned

    def specialist(self, workbench, reward):  # REINFORCE with the mean of a batch as its baseline
        policy = workbench.policy(workbench.sft_model())

        def loss(batch, step):
            drawn = workbench.sample(policy, batch["prompt"] * 4, seed=workbench.seed + step)
            logp, rewards = workbench.sample_logprobs(policy.model, drawn)[0].sum(1), reward(drawn)
            return -((logp.new_tensor(rewards) - sum(rewards) / len(rewards)) * logp).mean()

        schedule = {"epochs": self.epochs, "batch_size": 32, "learning_rate": 1e-3, "curve": False}
        workbench.fit(policy.model, workbench.prompts, loss, **schedule)
        return policy
