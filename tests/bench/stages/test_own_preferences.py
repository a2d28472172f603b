"""A data set's own preferences in the stages: pairs that are too long, answers labelled one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.contracts.errors import Skipped
from bench.contracts.stage_settings import Evaluation, PreferencesStage, RewardModelStage, Settings, SFTStage, TinyModel
from bench.models.tiny import tiny_model
from bench.models.tokenizers import bpe_tokenizer
from bench.stages import policy, preferences, reference, reward_model, sft
from bench.stages.artifact import INFO
from bench.stages.job import Job
from bench.stages.scoring import Scorer
from tasks.dataset import DataSet

CONTEXT = 48


def model(folder: Path) -> Path:
    """An untrained model of bytes, base and π0 in one."""
    tokenizer = bpe_tokenizer(["yes", "no"], 260)
    settings = TinyModel(layers=1, width=16, heads=2, context=CONTEXT, vocabulary=260)
    tiny_model(settings, tokenizer, seed=0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class Stages:
    """Runs stages on a file of rows, as the runner would."""

    def __init__(self, folder: Path, rows: list[dict[str, Any]]) -> None:
        (folder / "rows.json").write_text(json.dumps(rows))
        self.task = DataSet(path=folder / "rows.json", max_completion_tokens=4)
        self.folder, base = folder, model(folder / "model")
        self.parents = {"base": base, "sft": base}

    def job(self, name: str, settings: Settings, split: str = "train", **more: Any) -> Job:
        spec = {
            "task": {"name": "dataset", "settings": self.task.model_dump(mode="json")},
            **{"seed": 1, "device": "cpu", "plugins": [], "split": split, "settings": settings.model_dump(mode="json")},
            **more,
        }
        (self.folder / name).mkdir()
        return Job(spec, self.folder / name, self.parents, self.folder / "scratch", lambda step, total: None)

    def run(self, stage: Any, role: str, settings: Settings, split: str = "train") -> dict[str, Any]:
        job = self.job(role, settings, split)
        info: dict[str, Any] = stage.run(job)
        (job.directory / INFO).write_text(json.dumps(info))
        self.parents = self.parents | {role: job.directory}
        return info


def test_where_no_pair_fits_there_is_no_reward_model_and_only_what_needs_one_is_skipped(tmp_path: Path) -> None:
    lengths = [60, 70, 80, 90, 100, 110]
    rows = [{"prompt": f"{i}? ", "chosen": "y" * length, "rejected": "n"} for i, length in enumerate(lengths)]
    stages = Stages(tmp_path, rows)
    lacks = stages.run(preferences, "preferences", PreferencesStage())["lacks"]
    tokens = sorted(len(row["prompt"]) + len(row["chosen"]) + 1 for row in stages.task.pairs("train"))
    assert lacks["train"] == (
        f"no training pair fits the model's context of {CONTEXT} tokens: {tokens[0]} would take the shortest, "
        f"{tokens[len(tokens) // 2]} half of them"
    )
    assert lacks["heldout"].startswith("no held-out pair fits")
    assert stages.run(reward_model, "reward_model", RewardModelStage()) == {"lacks": {"train": lacks["train"]}}
    judged = stages.run(reward_model, "judge", RewardModelStage(), split="heldout")
    assert judged == {"lacks": {"heldout": lacks["heldout"]}}

    quick = Evaluation(curve_points=0, curve_prompts=1)
    named = {"method": {"name": "base", "settings": {}}, "demonstrations_seed": 0, "corpus_seed": 0}
    job = stages.job("scored", quick, **named)
    assert Scorer(job).judge is None and Scorer(job).proxy is None
    policy.run(job)
    for method in ("dpo", "best_of_n"):
        with pytest.raises(Skipped, match=f"^no training pair fits the model's context of {CONTEXT} tokens"):
            policy.run(stages.job(method, quick, **named | {"method": {"name": method, "settings": {}}}))


def test_pairs_for_training_alone_are_enough_to_learn_from(tmp_path: Path) -> None:
    rows = [{"prompt": f"{i}? ", "chosen": "yes", "rejected": "no"} for i in range(10)]
    held_out = set(Stages(tmp_path, rows).task.prompts("test")["prompt"])
    for row in rows:
        row["chosen"] = "y" * 100 if row["prompt"] in held_out else "yes"
    (tmp_path / "again").mkdir()
    stages = Stages(tmp_path / "again", rows)
    assert set(stages.run(preferences, "preferences", PreferencesStage())["lacks"]) == {"heldout"}
    assert "lacks" not in stages.run(reward_model, "reward_model", RewardModelStage(epochs=1))
    assert Scorer(stages.job("scored", Evaluation())).proxy is not None


def test_rows_with_the_text_of_a_special_token_are_set_aside_by_every_stage(tmp_path: Path) -> None:
    texts = ["yes<eos>", "y<eos>es", "yes"]
    rows = [{"prompt": f"{'<pad>' * (i > 8)}{i}? ", "chosen": texts[i % 3], "rejected": "no"} for i in range(12)]
    stages = Stages(tmp_path, rows)
    total = {"pairs longer than the model's context": 0, "pairs with the text of a special token": 6}
    assert stages.run(preferences, "preferences", PreferencesStage())["set_aside"] == total
    kept = pd.concat(
        pd.read_parquet(stages.parents["preferences"] / f"{split}.parquet") for split in ("train", "heldout")
    )
    assert set(kept["chosen"]) == {"yes<eos>", "yes"}
    assert not kept["prompt"].str.contains("<pad>").any()

    own = {"demonstrations_seed": 0}
    told = sft.run(stages.job("sft", SFTStage(epochs=1), **own))["set_aside"]
    seen = [row["prompt"] + row["completion"].removesuffix("<eos>") for row in stages.task.demonstrations(0)]
    assert told["demonstrations with the text of a special token"] == sum("<" in text for text in seen) > 0
    told = reference.run(stages.job("reference", Evaluation(prompts=2, samples=1)))["set_aside"]
    hidden = sum("<" in prompt for prompt in stages.task.prompts("test")["prompt"])
    assert told.get("held-out prompts with the text of a special token", 0) == hidden


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """Wanted answers say yes."""
    rows = [{"prompt": f"{i}? ", "completion": "yes" if i % 2 else "no", "label": bool(i % 2)} for i in range(100)]
    return Stages(tmp_path_factory.mktemp("labelled"), rows)


def test_a_reward_model_of_labelled_answers_gives_the_log_odds_of_being_wanted(labelled: Stages) -> None:
    info = labelled.run(preferences, "preferences", PreferencesStage(pairs=60))
    train = pd.read_parquet(labelled.parents["preferences"] / "train.parquet")
    assert set(train.columns) == {"prompt", "completion", "label"}
    assert info["gold_labels"] == len(train) == 60
    fitted = labelled.run(reward_model, "reward_model", RewardModelStage(epochs=20, learning_rate=1e-2))
    assert fitted["accuracy_heldout"] == 1.0
    held_out = pd.read_parquet(labelled.parents["preferences"] / "heldout.parquet")
    assert fitted["pairs_heldout"] == held_out["label"].value_counts().min()
    reader = labelled.job("reader", RewardModelStage())
    rows = reader.pairs("heldout")
    probability = 1 / (1 + np.exp(-np.array(reader.reward_model()(rows["prompt"], rows["completion"]))))
    assert np.abs(probability - np.array(rows["label"])).max() < 0.1


def test_the_sides_of_labelled_answers_are_as_many_wanted_as_unwanted_ones(labelled: Stages) -> None:
    rows = labelled.task.labelled("train").select(range(7))
    wanted, unwanted = reward_model.sides(rows)
    assert set(wanted.completions) == {"yes"} and set(unwanted.completions) == {"no"}
    assert len(wanted.prompts) == len(unwanted.prompts) == min(sum(rows["label"]), 7 - sum(rows["label"]))
