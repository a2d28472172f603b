"""`new_method`: the SFT model after a few more steps, on the training prompts' best samples."""

from __future__ import annotations

from typing import ClassVar

from bench import Field, Method, Policy, Range, SearchSpace, Workbench


class NewMethod(Method):
    """Raises the likelihood of the samples of π0 that the reward model scores highest."""

    contract: ClassVar[int] = 1  # the version of the bench's interface that this file is written for

    # the shared stages that `train` uses: any of "preferences", "ratings", "reward_model"
    needs: ClassVar[set[str]] = {"reward_model"}
    # what `bench tune` may try
    search_space: ClassVar[SearchSpace] = {"learning_rate": Range(1e-4, 1e-2, log=True)}

    steps: int = Field(20, ge=1, description="optimiser steps")
    samples: int = Field(256, ge=2, description="completions drawn from π0, of which the better half is learned")
    batch_size: int = Field(32, ge=1, description="completions per step")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="of Adam")

    def train(self, workbench: Workbench) -> Policy:
        """Draw samples of π0, score them, and fit the better half."""
        import torch

        from bench.encoding import encode_pairs
        from bench.padding import pad_right

        model = workbench.sft_model()
        policy = workbench.policy(model)
        generator = torch.Generator().manual_seed(workbench.seed)  # all randomness comes from the workbench's seed

        known = workbench.prompts["prompt"]
        drawn = policy.sample([known[i % len(known)] for i in range(self.samples)], workbench.seed)
        workbench.cost.tokens_sampled += sum(map(len, drawn.completion_ids))
        scores = torch.tensor(workbench.reward_model(drawn.prompts, drawn.completions))
        best = drawn.select(scores.topk(len(scores) // 2).indices.tolist())
        texts = encode_pairs(workbench.tokenizer, best.prompts, best.completions)

        optimiser = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        for step in range(1, self.steps + 1):
            chosen = torch.randint(len(texts), (self.batch_size,), generator=generator).tolist()
            ids, mask = pad_right([[*texts[i][0], *texts[i][1]] for i in chosen], model.config.pad_token_id)
            heads = torch.tensor([len(texts[i][0]) for i in chosen])
            # the mask tells padding from text, never its id: padding may be EOS; −100 is what the loss passes over
            is_completion = mask.bool() & (torch.arange(ids.shape[1]) >= heads[:, None])
            labels = ids.masked_fill(~is_completion, -100)
            inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
            loss = model(**{name: each.to(workbench.device) for name, each in inputs.items()}).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            workbench.cost.tokens_trained += int(mask.sum())
            workbench.log(step, loss=loss.item())
            workbench.progress(step, self.steps)
        return policy
