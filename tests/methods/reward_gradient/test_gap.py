"""The gap between relaxed and decoded reward, against what the reward model says of the same texts."""

from __future__ import annotations

import pytest
import torch

from bench.models.learned_reward import RewardModel
from bench.workbench.policy import ModelPolicy
from methods.reward_gradient import relaxed_objective
from methods.reward_gradient.gap import RelaxationGap
from tests.methods.reward_gradient.relaxed_models import PROMPTS, reward_for, trainer
from tests.small_models import gpt2, tokenizer


def gap_of(made, points=3):
    logged = []
    reward = RewardModel(made.reward_module, tokenizer())
    gap = RelaxationGap(
        made,
        reward,
        lambda model: ModelPolicy(model, tokenizer(), made.max_completion_length),
        lambda step, **figures: logged.append((step, figures)),
        points,
    )
    return gap, logged


@pytest.mark.parametrize("rollout", ["free", "teacher_forced"])
def test_the_figures_are_those_computed_by_hand(tmp_path, rollout):
    made = trainer(tmp_path, model=gpt2(), reward=reward_for(gpt2()), rollout=rollout)
    figures = gap_of(made)[0].measure()

    own = RewardModel(made.reward_module, tokenizer())
    policy = ModelPolicy(made.model, tokenizer(), 5)
    shuffled = made.train_dataset.shuffle(seed=made.args.seed)
    discrete = torch.tensor(
        own(list(shuffled["prompt"]), policy.sample(list(shuffled["prompt"]), made.args.seed).completions)
    )
    batch = made.collate(shuffled.to_list())
    with torch.no_grad():
        rollouts = made.roll_out(made.model, batch)
        relaxed = relaxed_objective.reward(made.reward_module, batch["input_ids"], batch["attention_mask"], rollouts)
    assert figures["discrete_reward"] == pytest.approx(discrete.mean().item(), abs=1e-6)
    assert figures["relaxed_reward"] == pytest.approx(relaxed.mean().item(), abs=1e-6)
    assert figures["relaxation_gap"] == pytest.approx((relaxed.mean() - discrete.mean()).item(), abs=1e-6)
    assert abs(figures["relaxation_gap"]) > 0.01


def test_a_policy_that_is_sure_of_every_token_has_no_gap(tmp_path):
    model = gpt2()
    with torch.no_grad():
        model.transformer.ln_f.weight.mul_(1e5)
    figures = gap_of(trainer(tmp_path, model=model, reward=reward_for(gpt2())))[0].measure()
    assert figures["relaxation_gap"] == pytest.approx(0, abs=1e-5)
    assert figures["argmax_reward"] == pytest.approx(figures["relaxed_reward"], abs=1e-5)


def test_straight_through_completions_are_worth_relaxed_what_they_are_worth_as_text(tmp_path):
    made = trainer(tmp_path, model=gpt2(), reward=reward_for(gpt2()), estimator="straight_through")
    figures = gap_of(made)[0].measure()
    assert figures["argmax_reward"] == pytest.approx(figures["relaxed_reward"], abs=1e-5)


def test_measuring_on_the_way_changes_nothing_and_counts_what_it_cost(tmp_path):
    def run(watched):
        made = trainer(
            tmp_path, model=gpt2(), reward=reward_for(gpt2()), estimator="gumbel_softmax", final_temperature=0.5
        )
        gap, logged = gap_of(made)
        if watched:
            made.add_callback(gap)
        made.train()
        return made, gap, logged

    (watched, gap, logged), (alone, _, _) = run(True), run(False)
    for name, tensor in alone.model.state_dict().items():
        assert torch.equal(tensor, watched.model.state_dict()[name])
    assert [step for step, _ in logged] == [0, 1, 2, 3]
    assert gap.figures == logged[-1][1] == gap.measure()
    assert gap.completions == 5 * len(PROMPTS)
    assert 5 * len(PROMPTS) <= gap.tokens_sampled <= 5 * len(PROMPTS) * 5


def test_the_end_is_measured_also_where_nothing_else_is(tmp_path):
    made = trainer(tmp_path, model=gpt2(), reward=reward_for(gpt2()))
    gap, logged = gap_of(made, points=0)
    made.add_callback(gap)
    made.train()
    assert [step for step, _ in logged] == [3]
    assert gap.figures
