"""`ipo`, `cdpo`, `kto`, `simpo`, `orpo`: TRL's losses are those of the papers, and train what they should."""

import copy

import pytest
import torch
import torch.nn.functional as F
import trl
from datasets import Dataset
from trl.data_utils import unpair_preference_dataset

from bench.contracts.errors import BenchError
from methods.cdpo import CDPO
from methods.dpo import DPO
from methods.ipo import IPO
from methods.kto import KTO
from methods.orpo import ORPO
from methods.simpo import SimPO
from tests.methods.string_workbench import (
    TOKENIZER,
    logged,
    model,
    pad_is_eos,
    pairs,
    same,
    sequence_logps,
    string_workbench,
)

METHODS = [DPO, IPO, CDPO, KTO, SimPO, ORPO]
QUICK = {"epochs": 2, "learning_rate": 1e-2}


def margin(policy):
    rows = pairs()
    chosen, _ = sequence_logps(policy, rows["prompt"], rows["chosen"])
    rejected, _ = sequence_logps(policy, rows["prompt"], rows["rejected"])
    return float((chosen - rejected).mean())


def first_loss(method, directory, **fields):
    """The loss of the first step, which takes all 64 pairs."""
    return logged(method, string_workbench(directory, **fields))[0]["loss"]


@pytest.fixture
def logps():
    """Log-probabilities of both sides under a policy and under another reference, and their lengths."""
    rows = pairs()
    sides = [(rows["prompt"], rows[side]) for side in ("chosen", "rejected")]
    policy = [sequence_logps(model(seed=0), *side) for side in sides]
    reference = [sequence_logps(model(seed=5), *side)[0] for side in sides]
    return [each for each, _ in policy], reference, [lengths for _, lengths in policy]


def moved_reference(directory):
    place = string_workbench(directory)
    place._cache["reference"] = model(seed=5).eval().requires_grad_(False)
    return place


@pytest.mark.parametrize("method", [DPO, IPO, CDPO])
def test_the_loss_against_another_reference_is_the_papers(method, tmp_path, logps):
    (chosen, rejected), (ref_chosen, ref_rejected), (long, short) = logps
    delta = 0.7 * ((chosen - ref_chosen) - (rejected - ref_rejected))
    per_token = (chosen - ref_chosen) / long - (rejected - ref_rejected) / short
    expected = {
        DPO: -F.logsigmoid(delta),
        IPO: (per_token - 1 / (2 * 0.7)) ** 2,
        CDPO: -0.8 * F.logsigmoid(delta) - 0.2 * F.logsigmoid(-delta),
    }[method].mean()
    smoothing = {"label_smoothing": 0.2} if method is CDPO else {}
    entries = logged(method(beta=0.7, epochs=1, batch_size=64, **smoothing), moved_reference(tmp_path))
    assert entries[0]["loss"] == pytest.approx(float(expected), abs=1e-4)


def test_simpos_first_loss_is_the_papers(tmp_path, logps):
    (chosen, rejected), _, (long, short) = logps
    expected = -F.logsigmoid(2.5 * (chosen / long - rejected / short) - 0.8).mean()
    loss = first_loss(SimPO(beta=2.5, gamma=0.8, epochs=1, batch_size=64), tmp_path)
    assert loss == pytest.approx(float(expected), abs=1e-4)


def test_orpos_first_loss_is_the_papers_with_the_nll_taken_over_the_prompt_as_well(tmp_path, logps):
    (chosen, rejected), _, (long, short) = logps
    log_odds = [p - torch.log1p(-p.exp()) for p in (chosen / long, rejected / short)]
    wholes = [prompt + chosen for prompt, chosen in zip(pairs()["prompt"], pairs()["chosen"], strict=True)]
    sums, counts = sequence_logps(model(), [text[0] for text in wholes], [text[1:] for text in wholes])
    expected = -sums.sum() / counts.sum() - 0.3 * F.logsigmoid(log_odds[0] - log_odds[1]).mean()
    loss = first_loss(ORPO(beta=0.3, epochs=1, batch_size=64), tmp_path)
    assert loss == pytest.approx(float(expected), abs=1e-4)


def test_ktos_first_loss_is_one_half_since_the_policy_starts_as_the_reference(tmp_path):
    assert first_loss(KTO(batch_size=128), tmp_path) == pytest.approx(0.5, abs=1e-6)


def test_kto_takes_answers_that_are_labelled_one_by_one_as_it_takes_the_sides_of_pairs(tmp_path):
    labelled = unpair_preference_dataset(pairs())
    places = [string_workbench(tmp_path, load_preferences=rows) for rows in (pairs, lambda: labelled)]
    by_pairs, by_labels = (KTO(**QUICK).train(place).model for place in places)
    assert KTO.unpaired and not DPO.unpaired
    assert same(by_pairs, by_labels)


@pytest.mark.parametrize(("size", "rows"), [(127, 127), (64, 128), (9, 128)])
def test_no_completion_is_left_over_to_stand_behind_its_own_prompt(size, rows, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(trl.KTOTrainer, "train", lambda trainer: seen.append(trainer.train_dataset))
    KTO(batch_size=size).train(string_workbench(tmp_path))
    assert len(seen[0]) == rows
    last = seen[0][len(seen[0]) - 1]
    assert last["KL_completion_ids"] != last["completion_ids"]


def test_a_long_prompt_and_anothers_long_completion_are_cut_to_what_the_model_reads(tmp_path):
    long = " ".join("abcdefghijklm")
    rows = [
        {"prompt": long, "completion": " a", "label": True},
        {"prompt": "a", "completion": f" {long}", "label": False},
    ]
    place = string_workbench(tmp_path, load_preferences=lambda: Dataset.from_list(rows))
    assert not same(KTO(epochs=1).train(place).model, model())
    with pytest.raises(BenchError, match="one completion alone"):
        KTO().train(string_workbench(tmp_path, load_preferences=lambda: Dataset.from_list(rows[:1])))


@pytest.mark.parametrize("method", METHODS)
def test_training_prefers_the_chosen_more_than_before_and_leaves_the_reference_alone(method, tmp_path):
    place = string_workbench(tmp_path)
    policy = method(**QUICK).train(place)
    assert margin(policy.model) > margin(model()) + 0.5
    assert same(place.reference, model())
    tokens = sum(
        2 * len(TOKENIZER(p)["input_ids"]) + len(TOKENIZER(c)["input_ids"]) + len(TOKENIZER(r)["input_ids"]) + 2
        for p, c, r in zip(*(pairs()[name] for name in ("prompt", "chosen", "rejected")), strict=True)
    )
    assert place.cost.tokens_trained == 2 * tokens


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_weights_and_padding_with_eos_changes_nothing(method, tmp_path):
    first, second = (method(**QUICK).train(string_workbench(tmp_path)).model for _ in range(2))
    assert same(first, second)
    padded = method(**QUICK).train(string_workbench(tmp_path, tokenizer=pad_is_eos())).model
    for name, tensor in first.state_dict().items():
        assert torch.allclose(tensor, padded.state_dict()[name], atol=1e-4), name


@pytest.mark.parametrize("method", [SimPO, ORPO])
def test_no_bos_is_put_before_prompts_that_are_sampled_without_one(method, tmp_path):
    knows_bos = copy.deepcopy(TOKENIZER)
    knows_bos.bos_token = knows_bos.eos_token
    plain = method(**QUICK).train(string_workbench(tmp_path)).model
    assert same(plain, method(**QUICK).train(string_workbench(tmp_path, tokenizer=knows_bos)).model)
    assert knows_bos.bos_token is not None
