"""The policy-gradient family as methods: what each preset switches, and the account of what it spends."""

from __future__ import annotations

import pytest
from datasets import Dataset
from pydantic import ValidationError

from methods.a2c import A2C
from methods.natural_gradient import NaturalGradient
from methods.online_labels import OnlineLabels
from methods.policy_gradient.method import PolicyGradient
from methods.ppo import PPO
from methods.ppo_max import PPOMax
from methods.ppo_penalty import PPOPenalty
from methods.trpo import TRPO
from methods.vpg import VPG
from tests.methods.test_reward_optimising_methods import Films, reward_module, same, sft, workbench

PRESETS = [PPO, PPOMax, PPOPenalty, VPG, A2C, TRPO, NaturalGradient]
TEXTS = ["the film", "a bad plot", "not a good film", "good"]


class Judged(Films):
    """Films whose gold reward is the number of times that they are called good, and an annotator who goes by it."""

    def gold(self, prompts, completions):
        """Count."""
        return [float(str(completion).count("good")) for completion in completions]

    def prefers_first(self, prompts, first, second, seed):
        """The one that says it more often."""
        return [a >= b for a, b in zip(self.gold(prompts, first), self.gold(prompts, second), strict=True)]


def place(directory, **fields):
    return workbench(directory, load_corpus=lambda: TEXTS, **fields)


def quick(kind, **settings):
    return kind(**{"steps": 2, "rollouts": 8, **settings})


@pytest.mark.parametrize("kind", PRESETS)
def test_every_preset_trains_logs_and_leaves_what_is_shared_alone(tmp_path, kind):
    logged = []
    here = place(tmp_path, on_log=lambda step, figures: logged.append(figures))
    policy = quick(kind).train(here)
    assert not same(policy.model, sft())
    assert same(here.reference, sft())
    assert same(here.reward_model.module, reward_module())
    assert {"reward", "kl", "policy_loss", "approx_kl", "entropy"} <= set().union(*logged)
    batches = 2 + quick(kind).critic_warmup
    assert here.cost.reward_model_calls == 8 * batches
    assert here.cost.tokens_trained > here.cost.tokens_sampled / 5 > 0


def test_presets_are_ppo_with_other_settings():
    assert VPG(**PPO().model_dump()).model_dump() == PPO().model_dump()
    assert PPO(**TRPO().model_dump()).model_dump() == TRPO().model_dump()


@pytest.mark.parametrize("kind", PRESETS)
def test_a_preset_changes_defaults_and_neither_bounds_nor_descriptions(kind):
    for name, field in PolicyGradient.model_fields.items():
        own = kind.model_fields[name]
        assert (own.description, own.metadata, own.annotation) == (field.description, field.metadata, field.annotation)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        kind(epochs=0)


def test_ppo_max_has_the_tricks_of_the_paper():
    preset = PPOMax()
    assert preset.reward_normalisation
    assert preset.reward_clip == 0.8
    assert (preset.kl_weight, preset.kl_level, preset.kl_in) == (0.05, "token", "reward")
    assert (preset.gae_lambda, preset.clip_range) == (0.9, 0.2)
    assert (preset.critic, preset.critic_start) == ("separate", "reward_model")
    assert min(preset.critic_warmup, preset.ptx_weight, preset.value_clip_range, preset.max_grad_norm) > 0


def test_gold_in_the_loop_costs_a_label_per_completion(tmp_path):
    here = place(tmp_path, task=Judged())
    quick(PPO, reward="gold").train(here)
    assert here.cost.gold_labels == 16
    assert here.cost.reward_model_calls == 0
    assert "no gold reward" in PPO(reward="gold").unfit_for(Films())


def test_a_dense_reward_reads_the_reward_model_once_more(tmp_path):
    here = place(tmp_path)
    quick(PPO, dense_reward=True).train(here)
    assert here.cost.reward_model_calls == 32


def test_training_may_start_from_the_base_model(tmp_path):
    starts = []
    here = place(tmp_path, load_base=lambda: starts.append("base") or sft())
    quick(PPO, start="base").train(here)
    assert starts == ["base"]


def test_a_separate_critic_may_start_as_the_sft_model_with_a_new_head(tmp_path):
    here = place(tmp_path)
    critic = PPO(critic="separate", critic_start="sft")._critic(here)
    assert same(critic.base_model, sft().base_model)
    assert not critic.score.weight.any()


PAIRS = {"prompt": ["the film"] * 4, "chosen": [" good"] * 4, "rejected": [" bad"] * 4}


@pytest.mark.parametrize("refreshes", [1, 2])
def test_the_reward_model_is_refreshed_at_an_equal_number_of_labels(tmp_path, refreshes):
    here = place(tmp_path, task=Judged(), load_preferences=lambda: Dataset.from_dict(PAIRS))
    refreshed = []

    class Watched(OnlineLabels):
        def _fit(self, workbench, reward, pairs):
            super()._fit(workbench, reward, pairs)
            refreshed.append(reward.module)

    quick(Watched, labels=12, refreshes=refreshes).train(here)
    assert here.cost.gold_labels == 12
    assert len(refreshed) == refreshes
    assert not same(refreshed[-1], reward_module())
    assert same(here.reward_model.module, reward_module())  # the shared one stays as it is
    assert here.cost.reward_model_calls == 16


def test_where_nobody_can_be_asked_for_more_labels_the_cell_is_skipped():
    class Fixed(Judged):
        def pairs(self, split):
            return Dataset.from_dict(PAIRS)

    assert "no annotator" in OnlineLabels().unfit_for(Fixed())
    assert OnlineLabels().unfit_for(Judged()) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rollouts": 10, "minibatches": 4}, "multiple of minibatches"),
        ({"rollouts": 128, "samples_per_prompt": 3}, "multiple of samples_per_prompt"),
        ({"baseline": "leave_one_out"}, "samples_per_prompt of 2"),
        ({"optimiser": "trpo"}, "minibatches must be 1"),
        ({"reward_scaling": True, "reward_normalisation": True}, "scales as well"),
        ({"dense_reward": True, "reward": "gold"}, "cannot go with reward gold"),
        ({"baseline": "batch", "critic_warmup": 2}, "needs a critic"),
        ({"kl_weight": 0, "kl_target": 3}, "kl_weight must be above 0"),
        ({"step_kl_target": 0.1}, "step_kl_weight must be above 0"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        PPO(**settings)
