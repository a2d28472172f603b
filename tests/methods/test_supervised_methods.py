"""`sft`, `lima`, `dpo` and `best_of_n`: from a workbench to a policy."""

import math

import pytest
import torch

from bench import BenchError
from methods.best_of_n import BestOfN
from methods.dpo import DPO
from methods.lima import LIMA
from methods.sft import SFT
from tests.methods.string_workbench import TASK, logged, model, string_workbench


@pytest.fixture
def workbench(tmp_path):
    return string_workbench(tmp_path)


def test_dpos_first_loss_is_ln_2_since_the_policy_starts_as_the_reference(workbench):
    losses = [each["loss"] for each in logged(DPO(epochs=3, batch_size=16, learning_rate=2e-2), workbench)]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
    assert losses[-1] < math.log(2) - 0.05


def test_dpo_trains_a_copy_and_leaves_the_reference_as_it_was(workbench):
    before = {name: p.clone() for name, p in workbench.reference.named_parameters()}
    policy = DPO(epochs=1, batch_size=16).train(workbench)
    assert all(torch.equal(p, before[name]) for name, p in workbench.reference.named_parameters())
    assert any(not torch.equal(p, before[name]) for name, p in policy.model.named_parameters())
    assert workbench.cost.tokens_trained > 0


def test_sft_is_the_reference_itself(workbench):
    policy = SFT().train(workbench)
    mine, reference = policy.model.state_dict(), workbench.reference.state_dict()
    assert all(torch.equal(mine[name], reference[name]) for name in reference)


def test_lima_keeps_the_best_demonstrations(workbench):
    grades = TASK.demonstrations(0)["quality"]
    kept = LIMA(size=10).curated(workbench)["quality"]
    assert sorted(kept, reverse=True) == sorted(grades, reverse=True)[:10]
    middle = sorted(grades)[len(grades) // 2]
    assert min(LIMA(size=len(grades), quality=middle).curated(workbench)["quality"]) >= middle


def test_lima_keeps_as_many_at_random_or_the_worst_as_controls(workbench):
    grades = sorted(TASK.demonstrations(0)["quality"])
    assert sorted(LIMA(size=10, curate="worst").curated(workbench)["quality"]) == grades[:10]
    few = LIMA(size=100, curate="random").curated(workbench)["quality"]
    assert len(few) == 100
    assert sum(few) / 100 == pytest.approx(sum(grades) / len(grades), abs=0.15)
    assert few == LIMA(size=100, curate="random").curated(workbench)["quality"]


def test_lima_without_grades_takes_a_random_few_and_refuses_a_threshold(workbench):
    workbench.load_demonstrations = lambda: TASK.demonstrations(0).remove_columns("quality")
    few = LIMA(size=10).curated(workbench)
    assert len(few) == 10
    assert few["completion"] != workbench.demonstrations["completion"][:10]
    for settings in ({"quality": 0.5}, {"curate": "worst"}):
        with pytest.raises(BenchError, match="quality"):
            LIMA(**settings).curated(workbench)


def test_lima_refuses_a_threshold_that_nothing_reaches_and_names_the_best(workbench):
    best = max(TASK.demonstrations(0)["quality"])
    with pytest.raises(BenchError, match=f"{best:.3g}"):
        LIMA(quality=best + 1).curated(workbench)


def test_lima_starts_from_the_base_model(workbench):
    policy = LIMA(size=32, epochs=1).train(workbench)
    assert any(not torch.equal(a, b) for a, b in zip(policy.model.parameters(), model().parameters(), strict=True))


def test_best_of_n_returns_the_best_of_its_own_draws_and_knows_its_bound(workbench):
    prompts = list(TASK.prompts("test")["prompt"][:5])
    policy = BestOfN(n=4).train(workbench)
    chosen = policy.sample(prompts, seed=3)
    drawn = workbench.policy(workbench.reference).sample([p for p in prompts for _ in range(4)], seed=3)
    scores = workbench.reward_model(drawn.prompts, drawn.completions)
    best = [max(scores[i * 4 : i * 4 + 4]) for i in range(5)]
    assert workbench.reward_model(chosen.prompts, chosen.completions) == pytest.approx(best, abs=1e-5)
    assert policy.kl_bound == pytest.approx(math.log(4) - 3 / 4)
    assert policy.model is None


def test_best_of_1_is_the_reference(workbench):
    prompts = list(TASK.prompts("test")["prompt"][:5])
    policy = BestOfN(n=1).train(workbench)
    assert policy.sample(prompts, 0) == workbench.policy(workbench.reference).sample(prompts, 0)
    assert policy.kl_bound == 0
