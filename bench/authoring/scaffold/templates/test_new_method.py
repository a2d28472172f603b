"""`new_method` keeps what the bench asks of every method, and does what it is for."""

import pytest
from new_method import NewMethod

from bench import MethodTrial, method_checks


@pytest.mark.parametrize("check", method_checks(NewMethod(epochs=1, samples=64)))
def test_the_contract_is_kept(check):
    check()


def test_the_learned_reward_rises():
    trained = MethodTrial(NewMethod()).train()
    workbench, policy = trained.workbench, trained.done()
    prompts = list(workbench.prompts["prompt"]) * 32

    def mean_reward(policy):
        drawn = policy.sample(prompts, seed=1)
        scores = workbench.reward_model(drawn.prompts, drawn.completions)
        return sum(scores) / len(scores)

    assert mean_reward(policy) > mean_reward(workbench.policy(workbench.reference))
