"""Annotated pairs carry how much better, and the trainers that do not ask for it take no notice."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from bench.contracts.stage_settings import PreferencesStage, RewardModelStage
from bench.models.loading import load_classifier, load_model
from bench.stages import preferences, reward_model
from bench.workbench.workbench import Workbench
from methods.dpo import DPO
from tasks.strings import Strings
from tests.bench.stages.string_stages import job, untrained_model

TASK = Strings(noise=0.1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of strings, base and π0 in one."""
    return untrained_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pairs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of the stage."""
    settings = PreferencesStage(pairs=48, heldout=16)
    stage = job(tmp_path_factory.mktemp("pairs") / "graded", settings, TASK, base=model, sft=model)
    preferences.run(stage)
    return stage.directory


@pytest.fixture(scope="module")
def ungraded(pairs: Path) -> Path:
    """The same pairs without their grades."""
    folder = pairs.with_name("ungraded")
    folder.mkdir()
    for split in ("train", "heldout"):
        pd.read_parquet(pairs / f"{split}.parquet").drop(columns="grade").to_parquet(folder / f"{split}.parquet")
    return folder


def test_annotated_pairs_are_graded_and_better_by_more_where_the_grade_is_higher(pairs: Path) -> None:
    for split in ("train", "heldout"):
        frame = pd.read_parquet(pairs / f"{split}.parquet")
        assert list(frame.columns) == ["prompt", "chosen", "rejected", "grade"]
        assert set(frame["grade"]) <= {1, 2, 3}
        assert (frame["chosen"] != frame["rejected"]).all()
    train = pd.read_parquet(pairs / "train.parquet")
    task = Strings()
    margin = pd.Series(task.gold(train["prompt"], train["chosen"])) - task.gold(train["prompt"], train["rejected"])
    by_grade = margin.groupby(train["grade"]).mean()
    assert by_grade[1] < by_grade[2] < by_grade[3]


def test_the_reward_model_is_the_same_with_and_without_grades(model: Path, pairs: Path, ungraded: Path) -> None:
    trained = []
    for name, artifact in (("with", pairs), ("without", ungraded)):
        settings = RewardModelStage(epochs=1)
        folder = pairs.with_name(f"reward_{name}")
        stage = job(folder, settings, TASK, base=model, sft=model, preferences=artifact)
        reward_model.run(stage)
        trained.append(load_classifier(stage.directory).state_dict())
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def test_dpo_is_the_same_with_and_without_grades(model: Path, pairs: Path, ungraded: Path) -> None:
    trained = []
    for name, artifact in (("with", pairs), ("without", ungraded)):
        stage = job(pairs.with_name(f"dpo_{name}"), None, TASK, base=model, sft=model, preferences=artifact)
        workbench = Workbench(
            task=stage.task,
            tokenizer=stage.tokenizer,
            seed=1,
            device="cpu",
            checkpoints=stage.scratch,
            load_base=stage.load_base,
            load_sft=stage.load_sft,
            load_demonstrations=lambda: Strings().demonstrations(0),
            load_preferences=lambda stage=stage: stage.pairs("train"),
            load_reward_model=lambda: load_classifier(model),
            curve_points=0,
        )
        trained.append(DPO(epochs=1).train(workbench).model.state_dict())
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])
    start = load_model(model).state_dict()
    assert any(not torch.equal(trained[0][name], start[name]) for name in start)
