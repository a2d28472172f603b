"""`exact_posterior`, `exact_gradient`, `posterior_sampling` and best-of-n's own distribution, against sums."""

from __future__ import annotations

import copy
from collections import Counter

import numpy as np
import pytest
import torch
from transformers import GPT2ForSequenceClassification

from bench.contracts.stage_settings import TinyModel
from bench.models.closed_forms import best_of_n, entropy, expected_reward, kl, optimal_value, regularised_objective
from bench.models.tiny import tiny_model
from bench.models.tokenizers import word_tokenizer
from bench.stages.exact_columns import exact_columns, exact_scores
from bench.workbench.policy import ModelPolicy
from bench.workbench.workbench import Workbench
from methods.best_of_n import BestOfN
from methods.exact_gradient import ExactGradient
from methods.exact_posterior import ExactPosterior
from methods.gradient_study import GradientStudy
from methods.posterior_sampling import PosteriorSampling, ResamplingPolicy
from tasks.reviews import Reviews
from tasks.strings import Strings

TASK = Strings()
TOKENIZER = word_tokenizer(TASK.vocabulary())
PROMPT = TASK.prompts("test")["prompt"][0]


def model():
    return tiny_model(TinyModel(layers=1, width=16, heads=2, context=16), TOKENIZER, seed=0)


def reward_module():
    config = copy.deepcopy(model().config)
    config.num_labels = 1
    torch.manual_seed(1)
    return GPT2ForSequenceClassification(config)


@pytest.fixture
def workbench(tmp_path):
    return Workbench(
        task=TASK,
        tokenizer=TOKENIZER,
        seed=0,
        device="cpu",
        checkpoints=tmp_path,
        load_base=model,
        load_sft=model,
        load_demonstrations=lambda: pytest.fail("no method here uses demonstrations"),
        load_preferences=lambda: pytest.fail("no method here uses preferences"),
        load_reward_model=reward_module,
        curve_points=0,
    )


def gold(prompt: str = PROMPT) -> torch.Tensor:
    return torch.from_numpy(TASK.enumerated_gold(TOKENIZER, prompt))


def log(*probabilities: float) -> torch.Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_the_exact_posterior_attains_beta_log_z_and_no_policy_more(workbench):
    beta = 0.2
    reference = workbench.policy(workbench.reference).exact_logp(PROMPT)
    policy = ExactPosterior(beta=beta).train(workbench)
    best = optimal_value(reference, gold(), beta).item()
    assert regularised_objective(policy.exact_logp(PROMPT), reference, gold(), beta).item() == pytest.approx(best)
    other = ExactPosterior(beta=2 * beta).train(workbench).exact_logp(PROMPT)
    assert regularised_objective(other, reference, gold(), beta).item() < best - 1e-3


def test_its_samples_have_its_reward_its_measured_kl_and_depend_on_the_seed_alone(workbench):
    policy = ExactPosterior(beta=0.3).train(workbench)
    samples = policy.sample([PROMPT] * 2000, seed=1)
    assert samples == policy.sample([PROMPT] * 2000, seed=1) != policy.sample([PROMPT] * 2000, seed=2)
    logp, pi0 = policy.exact_logp(PROMPT), workbench.policy(workbench.reference)
    rewards = np.array(TASK.gold(samples.prompts, samples.completions))
    error = rewards.std() / np.sqrt(len(rewards))
    assert rewards.mean() == pytest.approx(expected_reward(logp, gold()).item(), abs=3 * error)
    scores = exact_scores(policy, pi0, samples)
    assert set(scores["kl"]) == {kl(logp, pi0.exact_logp(PROMPT)).item()}
    spread = scores["logp"].std() / np.sqrt(len(scores))
    assert -scores["logp"].mean() == pytest.approx(entropy(logp).item(), abs=3 * spread)


def test_a_large_beta_gives_pi0_and_a_small_one_the_argmax(workbench):
    reference = workbench.policy(workbench.reference).exact_logp(PROMPT)
    assert kl(ExactPosterior(beta=1e4).train(workbench).exact_logp(PROMPT), reference).item() < 1e-6
    sharp = ExactPosterior(beta=1e-3).train(workbench).exact_logp(PROMPT)
    assert expected_reward(sharp, gold()).item() == pytest.approx(gold().max().item(), abs=1e-6)


def test_the_posterior_of_the_reward_model_uses_its_scores_and_counts_them(workbench):
    policy = ExactPosterior(beta=0.1, reward="reward_model").train(workbench)
    logp = policy.exact_logp(PROMPT)
    scores = workbench.reward_model.enumerated(PROMPT, TASK.max_completion_tokens)
    assert workbench.cost.reward_model_calls == 2 * len(logp)
    reference = workbench.policy(workbench.reference).exact_logp(PROMPT)
    slope = np.polyfit(scores.numpy(), (logp - reference).numpy(), 1)[0]
    assert slope == pytest.approx(1 / 0.1)


def test_policies_without_a_model_hand_over_what_exact_measures_need(workbench):
    pi0 = workbench.policy(workbench.reference)
    for method in (ExactPosterior(), BestOfN(n=4)):
        columns = exact_columns(TASK, method.train(workbench), pi0)
        totals = np.bincount(columns["exact_prompt"], np.exp(columns["exact_logp"]))
        assert totals == pytest.approx(np.ones(len(totals)))
    assert exact_columns(TASK, PosteriorSampling(n=4).train(workbench), pi0) == {}
    assert exact_columns(Reviews(), pi0, pi0) == {}


def test_best_of_n_by_hand():
    # three outcomes, two of them tied at the top: P(best) = 1 − (1/2)^3, shared as 1 : 3
    logp = best_of_n(log(0.5, 0.125, 0.375), torch.tensor([0.0, 1.0, 1.0]), 3)
    assert logp.exp().tolist() == pytest.approx([1 / 8, 7 / 8 * 0.25, 7 / 8 * 0.75])
    assert best_of_n(log(0.5, 0.2, 0.3), torch.tensor([2.0, 1.0, 0.0]), 1).exp().tolist() == pytest.approx(
        [0.5, 0.2, 0.3]
    )


def test_best_of_n_of_rare_outcomes_keeps_their_shares():
    rare = 1e-18  # below what F − P could tell from F
    logp = best_of_n(log(1 - rare, rare), torch.tensor([0.0, 1.0]), 4)
    assert logp[1].exp().item() == pytest.approx(4 * rare)


def test_best_of_ns_samples_follow_its_exact_distribution_and_stay_below_the_bound(workbench):
    policy = BestOfN(n=4).train(workbench)
    logp = policy.exact_logp(PROMPT)
    assert 0.5 < kl(logp, policy.policy.exact_logp(PROMPT)).item() <= policy.kl_bound + 1e-9
    scores = workbench.reward_model.enumerated(PROMPT, TASK.max_completion_tokens)
    samples = policy.sample([PROMPT] * 1000, seed=0)
    drawn = np.array(workbench.reward_model(samples.prompts, samples.completions))
    error = drawn.std() / np.sqrt(len(drawn))
    assert drawn.mean() == pytest.approx(expected_reward(logp, scores).item(), abs=3 * error)


def test_resampling_draws_by_its_weights():
    policy = ResamplingPolicy(ModelPolicy(model(), TOKENIZER, 4), lambda prompts, completions: [], n=3, beta=0.5)
    scores = np.array([0.0, 0.5, 1.0])
    chosen = Counter(policy.choose(np.tile(scores, (20_000, 1)), seed=0).tolist())
    weights = np.exp(scores / 0.5) / np.exp(scores / 0.5).sum()
    assert [chosen[i] / 20_000 for i in range(3)] == pytest.approx(weights, abs=0.011)  # three standard errors


def test_posterior_sampling_nears_the_posterior_as_n_grows_and_is_pi0_at_one(workbench):
    def reward(policy):
        samples = policy.sample([PROMPT] * 500, seed=4)
        return np.mean(workbench.reward_model(samples.prompts, samples.completions))

    beta = 0.1
    scores = workbench.reward_model.enumerated(PROMPT, TASK.max_completion_tokens)
    exact = ExactPosterior(beta=beta, reward="reward_model").train(workbench).exact_logp(PROMPT)
    aim, start = expected_reward(exact, scores).item(), reward(workbench.policy(workbench.reference))
    gaps = [aim - reward(PosteriorSampling(n=n, beta=beta).train(workbench)) for n in (1, 4, 32)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[0] == pytest.approx(aim - start, abs=0.2 * abs(aim - start))
    assert abs(gaps[2]) < 0.25 * gaps[0]


def test_the_exact_gradient_closes_the_gap_to_the_optimum_on_what_it_trains_on(workbench):
    prompt = workbench.prompts["prompt"][0]
    workbench._cache["prompts"] = workbench.prompts.select([0])
    beta = 0.2
    policy = ExactGradient(beta=beta, steps=100, batch_size=1, learning_rate=2e-2).train(workbench)
    reference = workbench.policy(workbench.reference).exact_logp(prompt)
    optimal = ExactPosterior(beta=beta).train(workbench).exact_logp(prompt)
    before, after = kl(reference, optimal).item(), kl(policy.exact_logp(prompt), optimal).item()
    assert before > 1
    assert after < 0.05 * before
    assert workbench.cost.gold_labels > 0


@pytest.mark.parametrize("method", [ExactPosterior(), ExactGradient(), GradientStudy()])
def test_tasks_that_cannot_be_enumerated_are_refused_with_the_reason(method):
    assert method.unfit_for(TASK) is None
    assert "reviews" in method.unfit_for(Reviews())


def test_the_gradient_study_reports_its_figures_and_leaves_pi0_as_it_was(workbench):
    def run():
        policy = GradientStudy(prompts=1, repetitions=3, batch_size=8, critic_rollouts=8).train(workbench)
        return policy.model.state_dict(), dict(workbench.figures)

    weights, figures = run()
    assert all(torch.equal(weights[name], tensor) for name, tensor in workbench.reference.state_dict().items())
    names = ("score_function_none", "score_function_batch", "score_function_leave_one_out", "straight_through")
    assert all(figures[f"grad_deviation_{name}"] > 0 for name in names)
    assert figures["grad_deviation_straight_through"] < figures["grad_deviation_score_function_leave_one_out"]
    assert figures["gae_bias_0"] > figures["gae_bias_100"] == pytest.approx(0, abs=1e-9)
    # the score function needs the reward's value alone; a relaxed gradient dies with the reward's slope
    assert figures["black_box_difference"] == pytest.approx(0, abs=1e-5)
    assert figures["step_length_soft"] == 0 < figures["step_length_score_function"]
    assert run()[1] == figures
