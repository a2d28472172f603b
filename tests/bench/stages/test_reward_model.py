"""The stage: where a reward model starts, ensembles of them, what is reported of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts.errors import BenchError
from bench.contracts.stage_settings import PreferencesStage, RatingsStage, RewardModelStage
from bench.models.ensemble import Ensemble
from bench.models.learned_reward import RewardModel
from bench.models.loading import load_classifier, load_model
from bench.models.tokenizers import load_tokenizer
from bench.stages import preferences, ratings, reward_model
from bench.stages.job import Job, seed_everything
from tasks.strings import Strings
from tests.bench.stages.string_stages import job, untrained_model

TASK = Strings(noise=0.1)
PROMPTS, COMPLETIONS = ["a b", "a b", "c d"], [" c", " d e", " p o n"]


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Artifacts that reward models build on; base and π0 differ."""
    base, sft = (untrained_model(tmp_path_factory.mktemp(name)) for name in ("base", "sft"))
    model = load_model(sft)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(2)
    model.save_pretrained(sft)
    folders = {"base": base, "sft": sft}
    for stage, settings in (
        (preferences, PreferencesStage(pairs=64, heldout=32)),
        (ratings, RatingsStage(ratings=64, heldout=32)),
    ):
        name = stage.__name__.rpartition(".")[2]
        folders[name] = tmp_path_factory.mktemp(name)
        stage.run(job(folders[name], settings, TASK, base=base, sft=sft))
    return folders


def made(folder: Path, parents: dict[str, Path], **settings: Any) -> tuple[Job, dict[str, Any]]:
    stage = job(folder, RewardModelStage(epochs=1, **settings), TASK, **parents)
    return stage, reward_model.run(stage)


def scores(folder: Path, parents: dict[str, Path]) -> list[float]:
    reader = job(folder, None, TASK, base=parents["base"], reward_model=folder)
    return reader.reward_model()(PROMPTS, COMPLETIONS)


def test_a_reward_model_starts_from_sft_from_base_or_from_nothing(tmp_path: Path, parents: dict[str, Path]) -> None:
    def trunk(start: str, seed: int = 1) -> torch.Tensor:
        seed_everything(seed)
        settings = RewardModelStage(start=start)  # type: ignore[arg-type]
        module = reward_model.starting_point(job(tmp_path, settings, TASK, **parents), settings)
        assert (module.config.num_labels, module.config.pad_token_id) == (1, 0)
        assert not any(each.p for each in module.modules() if isinstance(each, torch.nn.Dropout))
        return module.get_input_embeddings().weight.detach()

    base, sft = (load_model(parents[name]).get_input_embeddings().weight for name in ("base", "sft"))
    assert torch.equal(trunk("base"), base)
    assert torch.equal(trunk("sft"), sft)
    assert not torch.equal(base, sft)
    scratch = trunk("scratch")
    assert scratch.shape == base.shape
    assert not torch.allclose(scratch, base, atol=1e-2) and not torch.allclose(scratch, sft, atol=1e-2)
    assert torch.equal(scratch, trunk("scratch")) and not torch.equal(scratch, trunk("scratch", seed=2))


def test_every_start_trains_with_and_without_a_language_loss(tmp_path: Path, parents: dict[str, Path]) -> None:
    told = set()
    for start in ("sft", "base", "scratch"):
        for weight in (0.0, 0.5):
            folder = tmp_path / f"{start}{weight}"
            made(folder, parents, start=start, lm_weight=weight)
            told.add(tuple(np.round(scores(folder, parents), 5)))
    assert len(told) == 6


@pytest.mark.parametrize("aggregate", ["mean", "min"])
def test_an_ensembles_score_is_the_mean_or_the_least_of_its_members(
    tmp_path: Path, parents: dict[str, Path], aggregate: str
) -> None:
    folder = tmp_path / "three"
    stage, info = made(folder, parents, members=3, aggregate=aggregate)
    assert sorted(path.name for path in folder.glob("*/config.json")) == ["config.json"] * 3
    tokenizer = load_tokenizer(parents["base"])
    each = [
        np.array(RewardModel(load_classifier(folder / f"member_{i}", tokenizer), tokenizer)(PROMPTS, COMPLETIONS))
        for i in range(3)
    ]
    assert len({tuple(member) for member in each}) == 3
    together = scores(folder, parents)
    reader = job(folder, None, TASK, base=parents["base"], reward_model=folder).reward_model()
    every = reader.enumerated("a b", 1)  # of one token each, by its number
    assert every[tokenizer(" c")["input_ids"][-1]].item() == pytest.approx(together[0], abs=1e-4)
    if aggregate == "mean":
        assert together == pytest.approx(np.mean(each, axis=0), abs=1e-5)
    else:  # each member's zero is where its training completions are on average
        pairs = stage.pairs("train")
        alone = [RewardModel(load_classifier(folder / f"member_{i}", tokenizer), tokenizer) for i in range(3)]
        zeros = [np.mean([a(pairs["prompt"], pairs[side]) for side in ("chosen", "rejected")]) for a in alone]
        assert together == pytest.approx(np.min(np.array(each) - np.array(zeros)[:, None], axis=0), abs=1e-4)
    # the first member is the reward model that would have been alone
    _, alone_info = made(tmp_path / "one", parents)
    assert info["curve"] == alone_info["curve"]
    assert info["tokens_trained"] == 3 * alone_info["tokens_trained"]


def test_another_seed_gives_another_reward_model_from_the_same_labels(tmp_path: Path, parents: dict[str, Path]) -> None:
    told = []
    for name, seed in (("a", 0), ("b", 1), ("again", 1)):
        made(tmp_path / name, parents, seed=seed)
        told.append(scores(tmp_path / name, parents))
    assert told[0] != pytest.approx(told[1], abs=1e-3)
    assert told[1] == told[2]


def test_an_ensemble_has_modules_but_no_module_and_costs_a_call_per_member(parents: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(parents["base"])
    members = [load_classifier(parents["sft"], tokenizer) for _ in range(2)]
    calls: list[int] = []
    reward = RewardModel(Ensemble(members), tokenizer, count=calls.append)
    assert reward.modules == members
    assert not any(p.requires_grad for p in members[1].parameters())
    reward(PROMPTS, COMPLETIONS)
    assert calls == [6]
    with pytest.raises(BenchError, match="an ensemble of 2"):
        _ = reward.module
    assert RewardModel(members[0], tokenizer).module is members[0]


def test_fitted_on_ratings_it_is_tested_on_held_out_pairs_and_ratings(tmp_path: Path, parents: dict[str, Path]) -> None:
    stage, info = made(tmp_path / "rated", parents, fit="ratings")
    assert info["ratings"] == 64
    assert "pairs" not in info and "accuracy_train" not in info
    assert info["pairs_heldout"] == len(stage.pairs("heldout"))
    assert info["tokens_trained"] > 64 * 4
    heldout = stage.ratings("heldout")
    reader = job(tmp_path / "rated", None, TASK, base=parents["base"], reward_model=stage.directory)
    predicted = np.array(reader.reward_model()(heldout["prompt"], heldout["completion"])) + 3
    assert info["ratings_mse_heldout"] == pytest.approx(np.mean((predicted - heldout["score"]) ** 2), rel=1e-4)


def test_the_learning_curve_ends_where_the_reward_model_does(tmp_path: Path, parents: dict[str, Path]) -> None:
    _, info = made(tmp_path / "curve", parents, batch_size=8)
    assert [point["step"] for point in info["curve"]] == [0, 1, 2, 4, 8]
    assert info["curve"][-1]["nll"] == pytest.approx(info["measures"]["reward_model_nll"], abs=1e-6)
    assert info["curve"][-1]["nll"] != pytest.approx(info["curve"][0]["nll"], abs=1e-3)


def test_settings_that_only_pairs_have_are_refused_for_ratings() -> None:
    for name in ("margin", "lm_weight"):
        with pytest.raises(ValueError, match=f"`{name}` goes with `fit: pairs`"):
            RewardModelStage(fit="ratings", **{name: 1.0})
