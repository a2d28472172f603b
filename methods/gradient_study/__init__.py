"""`gradient_study`: how good gradient and advantage estimates are at π0, against sums over all completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from bench import Field, Method, Policy, Prompt, Workbench
from bench.contracts.task import Task
from methods.exact_rewards import why_not

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from methods.gradient_study.advantages import Tree
    from methods.reward_gradient.relaxation import Estimator

LAMBDAS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)


class GradientStudy(Method):
    """Bias and variance of policy-gradient and GAE estimates at π0, against exact sums. Its policy is π0 itself.

    J = E_π[r], r the reward model's score, whose gradient relaxed outputs need (KL has none at π0). Reports means over
    prompts: `grad_bias_…` and `grad_deviation_…` of each estimator, in units of ‖∇J‖, with `grad_noise_…`, the standard
    error of that bias (see `quality`); `gae_bias_…` and `gae_deviation_…` for each λ in hundredths, in
    the reward's unit (see `advantage_quality`).
    """

    needs: ClassVar[set[str]] = {"reward_model"}

    prompts: int = Field(2, ge=1, description="training prompts to study")
    repetitions: int = Field(50, ge=2, description="estimates per estimator and prompt")
    batch_size: int = Field(64, ge=2, description="completions per estimate")
    critic_rollouts: int = Field(64, ge=2, description="completions that the critic is fitted to")

    def train(self, workbench: Workbench) -> Policy:
        """Nothing is trained but a critic that is thrown away."""
        import numpy as np

        found: dict[str, list[float]] = {}
        for number, prompt in enumerate(workbench.prompts["prompt"][: self.prompts]):
            for name, value in self._figures(workbench, prompt, workbench.seed + number):
                found.setdefault(name, []).append(value)
            workbench.progress(number + 1, self.prompts)
        workbench.report(**{name: float(np.mean(values)) for name, values in found.items()})
        return workbench.policy(workbench.sft_model())

    def unfit_for(self, task: Task) -> str | None:
        """Only tasks that can be enumerated."""
        return why_not(task)

    def _figures(self, workbench: Workbench, prompt: Prompt, seed: int) -> Iterator[tuple[str, float]]:
        from bench.models.enumeration import enumerate_completions, states
        from methods.gradient_study.advantages import Tree, advantage_quality, fitted_values
        from methods.gradient_study.gradients import quality

        model, limit = workbench.sft_model().eval(), workbench.max_completion_tokens
        scores = workbench.reward_model.enumerated(prompt, limit)
        exact = enumerate_completions(model, workbench.tokenizer, prompt, limit)
        vocabulary, eos = len(workbench.tokenizer), workbench.tokenizer.eos_token_id
        tree = Tree(exact.logp, exact.tokens, states(vocabulary, eos, limit), vocabulary)
        truth, estimators = self._estimators(workbench, model, prompt, exact.prompt_ids, tree, scores, seed)
        for name, estimates in estimators.items():
            found = quality(estimates, truth)
            for figure, value in vars(found).items():
                yield f"grad_{figure}_{name}", value
        yield from self._by_values_alone(workbench, model, prompt, exact.prompt_ids, tree, scores, seed)
        values = fitted_values(model, exact.prompt_ids, tree, scores, self.critic_rollouts, seed)
        for each in LAMBDAS:
            bias, deviation = advantage_quality(tree, scores, values, each)
            yield f"gae_bias_{round(100 * each)}", bias
            yield f"gae_deviation_{round(100 * each)}", deviation

    def _estimators(
        self,
        workbench: Workbench,
        model: PreTrainedModel,
        prompt: Prompt,
        prompt_ids: list[int],
        tree: Tree,
        scores: Tensor,
        seed: int,
    ) -> tuple[Tensor, dict[str, Iterator[Tensor]]]:
        """∇J, and for each estimator its estimates, which are made as they are asked for."""
        import torch

        from methods.gradient_study.gradients import Baseline, exact_gradient, score_function_gradient
        from methods.reward_gradient.relaxation import Estimator

        limit = workbench.max_completion_tokens
        generator = torch.Generator().manual_seed(seed)
        drawn = tree.logp.exp().multinomial(self.repetitions * self.batch_size, True, generator=generator)
        batches = drawn.split(self.batch_size)
        workbench.cost.tokens_sampled += int(tree.mask[drawn].sum())

        def score_function(baseline: Baseline) -> Iterator[Tensor]:
            for rows in batches:
                tokens, mask, r = (each[rows].to(model.device) for each in (tree.tokens, tree.mask, scores))
                yield score_function_gradient(
                    model, workbench.reference, prompt_ids, tokens, mask, r, beta=0.0, kind=baseline
                )

        def relaxed(estimator: Estimator) -> Iterator[Tensor]:
            module = workbench.reward_model.module
            return self._relaxed(workbench, model, module, prompt, prompt_ids, estimator, self.repetitions, seed)

        truth = exact_gradient(model, prompt_ids, limit, scores, tree.logp, 0.0)
        estimators = {f"score_function_{name}": score_function(name) for name in get_args(Baseline)}
        return truth, estimators | {name: relaxed(name) for name in get_args(Estimator)}

    def _relaxed(
        self,
        workbench: Workbench,
        model: PreTrainedModel,
        module: Any,
        prompt: Prompt,
        prompt_ids: list[int],
        estimator: Estimator,
        repetitions: int,
        seed: int,
    ) -> Iterator[Tensor]:
        """Gradients of `module`'s score through relaxed completions, each averaged over a batch."""
        import torch
        from transformers import TrainingArguments

        from methods.gradient_study.gradients import flat_gradient
        from methods.reward_gradient.trainer import RewardGradientTrainer

        trainer = RewardGradientTrainer(
            model=model,
            reward_module=module,
            args=TrainingArguments(**workbench.training_arguments() | {"seed": seed}),
            train_dataset=[{"prompt": prompt}],
            processing_class=workbench.tokenizer,
            ref_model=None,
            max_completion_length=workbench.max_completion_tokens,
            estimator=estimator,
        )
        ids = torch.tensor([prompt_ids] * self.batch_size, device=model.device)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        for _ in range(repetitions):
            yield flat_gradient(-trainer.compute_loss(model, inputs), model)
        workbench.cost.reward_model_calls += trainer.completions

    def _by_values_alone(
        self,
        workbench: Workbench,
        model: PreTrainedModel,
        prompt: Prompt,
        prompt_ids: list[int],
        tree: Tree,
        scores: Tensor,
        seed: int,
    ) -> Iterator[tuple[str, float]]:
        """One batch's estimates with a reward that hides how it comes about, and with one whose slope is 0."""
        import torch

        from bench.models.encoding import decode_completions
        from methods.gradient_study.gradients import score_function_gradient, stepped

        tokenizer, reward = workbench.tokenizer, workbench.reward_model
        generator = torch.Generator().manual_seed(seed)
        rows = tree.logp.exp().multinomial(self.batch_size, True, generator=generator)
        tokens, mask = (each[rows].to(model.device) for each in (tree.tokens, tree.mask))
        ids = [row[kept.bool()].tolist() for row, kept in zip(tree.tokens[rows], tree.mask[rows], strict=True)]
        prompts = [prompt] * len(rows)
        text_scores = reward(prompts, decode_completions(tokenizer, prompts, [prompt_ids] * len(rows), ids))

        def estimate(rewards: Tensor) -> Tensor:
            return score_function_gradient(
                model, workbench.reference, prompt_ids, tokens, mask, rewards.to(model.device), beta=0.0, kind="none"
            )

        plain, middle = estimate(scores[rows]), scores[rows].median()
        yield "black_box_difference", float((estimate(torch.tensor(text_scores)) - plain).norm() / plain.norm())
        yield "step_length_score_function", float(estimate((scores[rows] - middle).sign()).norm() / plain.norm())
        lengths = [
            next(self._relaxed(workbench, model, module, prompt, prompt_ids, "soft", 1, seed)).norm()
            for module in (stepped(reward.module, float(middle)), reward.module)
        ]
        yield "step_length_soft", float(lengths[0] / lengths[1])
