"""The method's settings and the trainer's are declared in two places: neither may change a name alone."""

from transformers import TrainingArguments

from methods.policy_gradient.config import PolicyGradientConfig
from methods.policy_gradient.method import OF_THE_METHOD, PolicyGradient

OF_THE_TRAINER = {"update", "num_ppo_epochs", "num_mini_batches", "max_completion_length"}
"""What `PolicyGradient._arguments` translates to."""


def test_every_setting_is_the_methods_own_or_the_trainers_by_the_same_name():
    config = set(PolicyGradientConfig.__dataclass_fields__)
    fields = set(PolicyGradient.model_fields)
    assert fields - config == OF_THE_METHOD
    assert config - set(TrainingArguments.__dataclass_fields__) - fields == OF_THE_TRAINER


def test_settings_of_the_trust_region_reach_the_trainer(tmp_path):
    from methods.trpo import TRPO
    from tests.methods.string_workbench import string_workbench

    method = TRPO(cg_iterations=3, cg_damping=0.5, fisher_share=0.25)
    arguments = method._arguments(string_workbench(tmp_path))
    assert (arguments.cg_iterations, arguments.cg_damping, arguments.fisher_share) == (3, 0.5, 0.25)
