"""`ppo` and `reward_gradient` as methods: from a workbench to a policy, with the account of what they spent."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from datasets import Dataset
from transformers import GPT2ForSequenceClassification

from bench.contracts.errors import BenchError
from bench.contracts.stage_settings import TinyModel
from bench.contracts.task import Task
from bench.models.tiny import tiny_model
from bench.models.tokenizers import word_tokenizer
from bench.workbench.workbench import Workbench
from methods.ppo import PPO
from methods.reward_gradient import RewardGradient

WORDS = ["good", "bad", "film", "plot", "a", "the", "not"]
TOKENIZER = word_tokenizer(WORDS)
QUICK = {"ppo": {"steps": 2, "rollouts": 8}, "reward_gradient": {"steps": 3, "batch_size": 4}}


class Films(Task):
    """Four prompts, completions of up to five tokens."""

    @property
    def max_completion_tokens(self):
        """Five."""
        return 5

    def corpus(self, seed):
        """None is needed."""
        return []

    def demonstrations(self, seed):
        """None are needed."""
        return Dataset.from_dict({"prompt": [], "completion": []})

    def prompts(self, split):
        """Texts."""
        return Dataset.from_dict({"prompt": ["the film", "a plot", "the bad bad film", "good"]})

    def references(self):
        """None are needed."""
        return self.demonstrations(0)


def sft():
    return tiny_model(TinyModel(layers=1, width=16, heads=2, context=64), TOKENIZER, seed=0)


def reward_module():
    config = copy.deepcopy(sft().config)
    config.num_labels = 1
    torch.manual_seed(1)
    module = GPT2ForSequenceClassification(config)
    torch.nn.init.normal_(module.score.weight)
    return module


def workbench(directory, seed=0, **fields) -> Workbench:
    return Workbench(
        **{
            "task": Films(),
            "tokenizer": TOKENIZER,
            "seed": seed,
            "device": "cpu",
            "checkpoints": directory,
            "load_base": sft,
            "load_sft": sft,
            "load_demonstrations": lambda: pytest.fail("no method here uses demonstrations"),
            "load_preferences": lambda: pytest.fail("no method here uses preferences"),
            "load_reward_model": reward_module,
            "curve_points": 2,
            **fields,
        }
    )


def method(name, **settings):
    return {"ppo": PPO, "reward_gradient": RewardGradient}[name](**{**QUICK[name], **settings})


def same(first, second) -> bool:
    return all(torch.equal(first.state_dict()[name], tensor) for name, tensor in second.state_dict().items())


@pytest.mark.parametrize("name", ["ppo", "reward_gradient"])
def test_training_gives_a_policy_that_moved_and_measures_it_on_the_way(tmp_path, name):
    points = []
    place = workbench(tmp_path, on_measure=lambda policy, step: points.append(step), needs={"reward_model"})
    policy = method(name).train(place)
    assert not same(policy.model, sft())
    assert len(policy.sample(["the film"], seed=0).completions) == 1
    assert points[0] == 0
    assert len(points) == 3
    cost = place.cost
    assert min(cost.tokens_sampled, cost.tokens_trained, cost.reward_model_calls) > 0
    assert cost.gold_labels == 0
    assert same(place.reference, sft()), "the reference is left alone"


@pytest.mark.parametrize("name", ["ppo", "reward_gradient"])
def test_a_policy_depends_on_the_workbenchs_seed_and_on_no_other_random_state(tmp_path, name):
    settings = {"estimator": "gumbel_softmax"} if name == "reward_gradient" else {}

    def run(seed):
        torch.rand(seed + 1)
        return method(name, **settings).train(workbench(tmp_path, seed=seed)).model

    assert same(run(1), run(1))
    assert not same(run(1), run(2))


def test_ppo_scores_each_rollout_once(tmp_path):
    place = workbench(tmp_path)
    PPO(steps=3, rollouts=8).train(place)
    assert place.cost.reward_model_calls == 24
    assert 24 <= place.cost.tokens_sampled <= 24 * 5


def test_a_separate_critic_leaves_the_reward_model_alone(tmp_path):
    place = workbench(tmp_path)
    PPO(steps=2, rollouts=8, critic="separate").train(place)
    assert same(place.reward_model.module, reward_module())
    assert not any(p.requires_grad for p in place.reward_model.module.parameters())


FIGURES = {"relaxed_reward", "discrete_reward", "argmax_reward", "relaxation_gap"}
DEMONSTRATIONS = {"prompt": ["the film", "a plot"], "completion": [" good", " not bad"], "quality": [1.0, 0.5]}


@pytest.mark.parametrize("rollout", ["free", "teacher_forced"])
def test_reward_gradient_reports_the_relaxations_gap_and_pays_for_it(tmp_path, rollout):
    logged = []
    place = workbench(tmp_path, on_log=lambda step, logs: logged.append((step, logs)))
    method("reward_gradient", rollout=rollout, teacher="reference").train(place)
    assert place.figures.keys() == FIGURES
    assert place.figures["relaxation_gap"] == pytest.approx(
        place.figures["relaxed_reward"] - place.figures["discrete_reward"]
    )
    assert [step for step, logs in logged if logs.keys() >= FIGURES] == [0, 2, 3]
    # three steps and three measurements of four prompts; of these measurements also samples and argmax decoded
    assert place.cost.reward_model_calls == 4 * (3 + 3) + 4 * 3 * 2
    relaxed = 4 * (3 + 3) * 5 if rollout == "free" else 0
    samples = 4 * 3 + (4 if rollout == "teacher_forced" else 0)
    assert relaxed + samples <= place.cost.tokens_sampled <= relaxed + samples * 5


def test_a_teacher_forced_policy_reads_the_demonstrations_and_there_have_to_be_some(tmp_path):
    forcing = method("reward_gradient", rollout="teacher_forced", batch_size=2)

    def place(rows):
        return replace(workbench(tmp_path), load_demonstrations=lambda: Dataset.from_dict(rows))

    policies = [forcing.train(place(DEMONSTRATIONS)).model for _ in range(2)]
    assert same(*policies)
    assert not same(policies[0], sft())
    others = {**DEMONSTRATIONS, "completion": [" bad", " a bad plot"]}
    assert not same(policies[0], forcing.train(place(others)).model)
    with pytest.raises(BenchError, match="demonstrations is empty"):
        forcing.train(place({"prompt": [], "completion": []}))


@pytest.mark.parametrize("name", ["ppo", "reward_gradient"])
def test_the_reward_model_has_to_be_declared(tmp_path, name):
    assert type(method(name)).needs == {"reward_model"}
    with pytest.raises(BenchError, match="without declaring"):
        method(name).train(workbench(tmp_path, needs=set()))


def test_a_step_that_goes_through_the_model_in_parts_is_the_same_step(tmp_path, monkeypatch):
    from bench.models import memory

    whole = method("reward_gradient").train(workbench(tmp_path, curve_points=0))
    monkeypatch.setattr(memory, "BUDGET", 1)
    parts = method("reward_gradient").train(workbench(tmp_path, curve_points=0))
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], weight, atol=1e-4, rtol=1e-3)
