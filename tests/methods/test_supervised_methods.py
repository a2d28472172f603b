"""`sft`, `lima`, `dpo` and `best_of_n`: from a workbench to a policy."""

import copy
import math

import pytest
import torch
from datasets import Dataset
from transformers import GPT2ForSequenceClassification, TrainerCallback

from bench import BenchError
from bench.models import tiny_model, word_tokenizer
from bench.settings import TinyModel
from bench.workbench import Workbench
from methods.best_of_n import BestOfN
from methods.dpo import DPO
from methods.lima import LIMA
from methods.sft import SFT
from tasks.strings import Strings

TASK = Strings()
TOKENIZER = word_tokenizer(TASK.vocabulary())


def model():
    return tiny_model(TinyModel(layers=1, width=16, heads=2, context=16), TOKENIZER, seed=0)


def reward_module():
    config = copy.deepcopy(model().config)
    config.num_labels = 1
    torch.manual_seed(1)
    return GPT2ForSequenceClassification(config)


def pairs():
    """The 64 best demonstrations preferred to the 64 worst, each after the better one's prompt."""
    rows = TASK.demonstrations(0).sort("quality")
    worst, best = rows.select(range(64)), rows.select(range(len(rows) - 64, len(rows)))
    return Dataset.from_dict({"prompt": best["prompt"], "chosen": best["completion"], "rejected": worst["completion"]})


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
        load_demonstrations=lambda: TASK.demonstrations(0),
        load_preferences=pairs,
        load_reward_model=reward_module,
        curve_points=0,
    )


class Losses(TrainerCallback):
    """Keeps what the trainer logs."""

    def __init__(self):
        self.losses = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Keep the loss."""
        if "loss" in logs:
            self.losses.append(float(logs["loss"]))


def test_dpos_first_loss_is_ln_2_since_the_policy_starts_as_the_reference(workbench, monkeypatch):
    watch = Losses()
    arguments, callbacks = workbench.training_arguments(), workbench.callbacks()
    monkeypatch.setattr(workbench, "training_arguments", lambda: arguments | {"logging_steps": 1})
    monkeypatch.setattr(workbench, "callbacks", lambda: [*callbacks, watch])
    DPO(epochs=3, batch_size=16, learning_rate=2e-2).train(workbench)
    assert watch.losses[0] == pytest.approx(math.log(2), abs=1e-6)
    assert watch.losses[-1] < math.log(2) - 0.05


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
    kept = LIMA(size=10).curate(workbench)["quality"]
    assert sorted(kept, reverse=True) == sorted(grades, reverse=True)[:10]
    middle = sorted(grades)[len(grades) // 2]
    assert min(LIMA(size=len(grades), quality=middle).curate(workbench)["quality"]) >= middle


def test_lima_without_grades_takes_a_random_few_and_refuses_a_threshold(workbench):
    workbench.load_demonstrations = lambda: TASK.demonstrations(0).remove_columns("quality")
    few = LIMA(size=10).curate(workbench)
    assert len(few) == 10
    assert few["completion"] != workbench.demonstrations["completion"][:10]
    with pytest.raises(BenchError, match="quality"):
        LIMA(quality=0.5).curate(workbench)


def test_lima_refuses_a_threshold_that_nothing_reaches_and_names_the_best(workbench):
    best = max(TASK.demonstrations(0)["quality"])
    with pytest.raises(BenchError, match=f"{best:.3g}"):
        LIMA(quality=best + 1).curate(workbench)


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
