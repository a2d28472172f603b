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
    bench = string_workbench(tmp_path)
    arguments = method._arguments(bench, bench.sft_model())
    assert (arguments.cg_iterations, arguments.cg_damping, arguments.fisher_share) == (3, 0.5, 0.25)


def test_a_minibatch_goes_through_the_model_in_as_many_parts_as_memory_asks_for(tmp_path, monkeypatch):
    from bench.models import memory
    from methods.ppo import PPO
    from tests.methods.string_workbench import string_workbench

    bench = string_workbench(tmp_path)
    method, model = PPO(rollouts=24, minibatches=2), bench.sft_model()
    whole = method._arguments(bench, model)
    assert (whole.per_device_train_batch_size, whole.gradient_accumulation_steps) == (12, 1)
    longest = max(map(len, bench.tokenizer(list(bench.prompts["prompt"]))["input_ids"]))
    a_row = memory.pass_cost(model, longest + bench.max_completion_tokens, bench.max_completion_tokens)
    monkeypatch.setattr(memory, "BUDGET", 5 * a_row)
    parts = method._arguments(bench, model)
    assert (parts.per_device_train_batch_size, parts.gradient_accumulation_steps) == (4, 3)
