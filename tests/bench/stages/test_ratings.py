"""Rated completions: as many as asked for, from π0, by the task's own annotator."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench.contracts.stage_settings import RatingsStage, TinyModel
from bench.stages import ratings
from bench.stages.base import pretrain
from tasks.strings import Strings
from tests.bench.stages.string_stages import job

TASK = Strings(noise=0, raters=3, rater_spread=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned to write strings, base and π0 in one."""
    folder = tmp_path_factory.mktemp("model")
    settings = TinyModel(layers=1, width=16, heads=2, context=16, steps=150, learning_rate=1e-2)
    pretrain(job(folder, None, TASK), settings)
    return folder


def rated(folder: Path, model: Path, settings: RatingsStage) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    info = ratings.run(job(folder, settings, TASK, base=model, sft=model))
    return pd.read_parquet(folder / "train.parquet"), pd.read_parquet(folder / "heldout.parquet"), info


def test_ratings_are_the_annotators_of_several_completions_per_prompt(model: Path, tmp_path: Path) -> None:
    train, heldout, info = rated(tmp_path / "a", model, RatingsStage(ratings=90, per_prompt=4, heldout=10))
    assert list(train.columns) == list(heldout.columns) == ["prompt", "completion", "rater", "score"]
    assert (len(train), len(heldout), info["gold_labels"]) == (90, 10, 90)
    assert set(train["score"]) <= {1, 2, 3, 4, 5}
    assert set(train["rater"]) == {0, 1, 2}
    # four in a row share a prompt, and π0 was sampled for each
    runs = train["prompt"].to_numpy()[:88].reshape(-1, 4)
    assert (runs == runs[:, :1]).all()
    assert train.groupby("prompt")["completion"].nunique().mean() > 2
    assert not set(train["prompt"]) & set(heldout["prompt"])
    # without noise a rater never gives the worse of two completions the higher score
    train["gold"] = TASK.gold(train["prompt"], train["completion"])
    for _, own in train.groupby("rater"):
        assert own.sort_values("gold")["score"].is_monotonic_increasing
    assert train["score"].nunique() > 2


def test_the_same_seed_gives_the_same_ratings(model: Path, tmp_path: Path) -> None:
    few = RatingsStage(ratings=12, heldout=4)
    first, again = (rated(tmp_path / name, model, few)[0] for name in ("one", "two"))
    assert first.equals(again)
