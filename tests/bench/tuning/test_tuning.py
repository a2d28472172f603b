"""`bench tune`: the same trials for every arm, seeds of its own, and a choice that interruptions do not change."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

import bench
from bench import Choice, Method, Range
from bench.contracts.errors import BenchError
from bench.contracts.plugin import Field
from bench.contracts.yaml import read_yaml
from bench.matrix.reading import load_matrix, parse_matrix
from bench.tuning import tune as tuning
from bench.tuning.search import Search, open_storage
from bench.tuning.tune import Objective, Trial, Tuned, tune, tuning_seeds
from bench.tuning.writing import matrix_text, trials_frame, write_search

WORLD = Path(__file__).parents[1] / "toy_world.py"
METHODS = '''
from typing import ClassVar

import torch

from bench import Choice, Diverged, Field, Method, Range, SearchSpace


class Push(Method):
    """Raises the logit of `good`, at no cost but KL."""

    search_space: ClassVar[SearchSpace] = {
        "strength": Range(0.1, 30, log=True),
        "rounds": Range(1, 4),
        "sign": Choice(-1, 1),
    }
    strength: float = Field(0.5, gt=0)
    rounds: int = Field(1, ge=1)
    sign: int = Field(1)
    scale: float = Field(1.0, gt=0)

    def train(self, workbench):
        model = workbench.sft_model()
        good = workbench.tokenizer.convert_tokens_to_ids("good")
        head = model.get_input_embeddings().weight
        hidden = model.transformer.ln_f
        with torch.no_grad():
            push = self.sign * self.scale * self.strength * self.rounds
            hidden.bias += push * head[good] / head[good].norm()
        return workbench.policy(model)


class Fragile(Push):
    """Diverges where it is pushed hard."""

    def train(self, workbench):
        if self.strength > 2:
            raise Diverged("loss", 7)
        return super().train(workbench)


class Homeless(Push):
    """Runs nowhere."""

    def unfit_for(self, task):
        return "not here"
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tuning")
    (path / "push.py").write_text(METHODS)
    return path


@pytest.fixture(scope="module")
def matrix(folder: Path) -> dict[str, Any]:
    return {
        "name": "toy",
        "tasks": ["toy"],
        "models": {"tiny": {"layers": 1, "width": 16, "heads": 2, "context": 16, "steps": 20}},
        "methods": {
            "sft": {},
            "push up": {"method": "push", "sign": 1, "scale": 2.0},
            "fragile": {},
            "homeless": {},
        },
        "seeds": [0, 1000],
        "stages": {"preferences": {"pairs": 64, "heldout": 32}},
        "evaluation": {"prompts": 2, "samples": 32, "curve_points": 0},
        "plugins": [str(WORLD), str(folder / "push.py")],
    }


@pytest.fixture(scope="module")
def tuned(matrix: dict[str, Any], folder: Path) -> Tuned:
    return tune(matrix, folder / "out", trials=3, seeds=2, jobs=2, store=folder / "store")


def rows(tuned: Tuned) -> str:
    return trials_frame(tuned).drop(columns="seconds").to_csv()


def test_every_arm_has_the_same_number_of_trials_and_the_first_is_its_defaults(tuned: Tuned) -> None:
    trials = {arm.arm.label: arm.trials for arm in tuned.arms}
    assert {label: len(each) for label, each in trials.items() if label != "homeless"} == {
        "sft": 0,
        "push up": 3,
        "fragile": 3,
    }
    assert [t.number for t in trials["fragile"]] == list(range(3))
    assert trials["fragile"][0].settings == {"strength": 0.5, "rounds": 1, "sign": 1}
    assert len({json.dumps(t.settings) for t in trials["fragile"]}) == 3


def test_tuning_seeds_are_none_of_the_matrix(tuned: Tuned, folder: Path) -> None:
    assert tuned.seeds == (1001, 1002)  # 1000 is the matrix's
    records = [json.loads(file.read_text()) for file in (folder / "out" / "trials").glob("*/cells/*/record.json")]
    assert {record["cell"]["seed"] for record in records} == {1001, 1002}
    crowded = dataclasses.replace(tuned.matrix, seeds=tuple(range(990, 1010)))
    assert tuning_seeds(crowded, 3) == (1010, 1011, 1012)


def test_what_the_matrix_sets_is_kept_and_the_rest_is_tuned(tuned: Tuned) -> None:
    up = next(arm for arm in tuned.arms if arm.arm.label == "push up")
    assert set(up.space) == {"strength", "rounds"}
    assert up.best is not None
    assert up.chosen.method.model_dump() == {"sign": 1, "scale": 2.0, **up.best.settings}


def test_the_best_trial_is_chosen_and_is_no_worse_than_the_defaults(tuned: Tuned) -> None:
    for arm in tuned.arms:
        if arm.best is not None:
            assert arm.best.value == max(trial.value for trial in arm.trials)
            assert arm.best.value == pytest.approx(sum(arm.best.values.values()) / 2)
    up = next(arm for arm in tuned.arms if arm.arm.label == "push up")
    assert up.best is not None
    assert up.best.value >= up.trials[0].value  # which are the defaults


def test_a_trial_that_diverges_is_counted_as_the_worst(tuned: Tuned) -> None:
    fragile = next(arm for arm in tuned.arms if arm.arm.label == "fragile")
    bad = [trial for trial in fragile.trials if trial.settings["strength"] > 2]
    assert 0 < len(bad) < 3
    assert all(trial.status == "diverged" and trial.value == -math.inf for trial in bad)
    assert "2 of 2 cells: loss is not finite at step 7" in str(bad[0].reason)
    assert fragile.best not in bad
    frame = trials_frame(tuned)
    assert (frame[frame["arm"] == "fragile"]["status"] == "diverged").sum() == len(bad)


@pytest.mark.slow
def test_the_matrix_that_is_written_runs_as_it_is(tuned: Tuned, folder: Path, matrix: dict[str, Any]) -> None:
    file, *_ = write_search(tuned, folder / "out")
    read = load_matrix(file)
    assert [(a.label, a.method) for a in read.arms] == [(a.arm.label, a.chosen.method) for a in tuned.arms]
    same = ("tasks", "models", "seeds", "stages", "evaluation", "plugins")
    assert all(getattr(read, name) == getattr(parse_matrix(matrix), name) for name in same)
    text = file.read_text()
    assert "  # nothing to tune\n  sft: {}\n" in text
    assert "  # not tuned, as it cannot run: not here\n  homeless: {}\n" in text
    run = bench.run(file, folder / "out", store=folder / "store", only=["seed=0"])
    assert dict(run.counts) == {"ok": 3, "skipped": 1}


def test_the_search_is_recorded(tuned: Tuned, folder: Path) -> None:
    write_search(tuned, folder / "out")
    frame = pd.read_csv(folder / "out" / "search.csv")
    assert len(frame) == 3 * 2 + 1
    assert frame.groupby("arm")["chosen"].sum().to_dict() == {"push up": 1, "fragile": 1, "homeless": 0}
    assert (frame[frame["status"] == "ok"][["seconds", "tokens_trained"]] > 0).all().all()
    about = json.loads((folder / "out" / "search.json").read_text())
    assert about["seeds"] == [1001, 1002]
    assert about["arms"]["fragile"]["space"]["strength"] == {
        "kind": "Range",
        "low": 0.1,
        "high": 30,
        "log": True,
        "step": None,
    }
    assert about["arms"]["push up"]["kept"] == {"sign": 1, "scale": 2.0}
    assert about["versions"]["optuna"]


def test_an_interrupted_search_carries_on_and_ends_as_if_it_had_not_been(
    tuned: Tuned, matrix: dict[str, Any], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def stops_in_round_2(asked: Any, *rest: Any, **more: Any) -> Any:
        ran.append(asked.name)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return bench.run(asked, *rest, **more)

    monkeypatch.setattr(tuning, "run", stops_in_round_2)
    again = {"out": tmp_path / "out", "trials": 3, "seeds": 2, "jobs": 1, "store": folder / "store"}
    with pytest.raises(KeyboardInterrupt):
        tune(matrix, **again)
    done = tune(matrix, **again)
    assert ran == [f"toy-trial-0{i}" for i in (0, 1, 1, 2)]  # the interrupted round alone was asked twice
    assert rows(done) == rows(tuned)  # though that one had two processes
    assert rows(tune(matrix, **again)) == rows(tuned)
    assert len(ran) == 4  # nothing was left to run


def search(matrix: dict[str, Any], file: Path, seed: int = 0, **objective: Any) -> Search:
    read = parse_matrix(matrix | {"methods": ["push"]})
    return Search(read.arms[0], read, Objective("gold", **objective), open_storage(file), seed, "cpu")


def proposals(one: Search, count: int) -> list[dict[str, Any]]:
    """What is proposed while the value is the strength."""
    asked = []
    for number in range(len(one.trials), len(one.trials) + count):
        asked.append(one.propose().settings)
        one.tell(Trial(number, asked[-1], "ok", None, asked[-1]["strength"], kl=0.5))
    return asked


def test_proposals_depend_on_the_seed_and_the_trials_so_far_and_on_no_interruption(
    matrix: dict[str, Any], tmp_path: Path
) -> None:
    whole = proposals(search(matrix, tmp_path / "whole.db"), 8)
    parts = proposals(search(matrix, tmp_path / "parts.db"), 3)
    asked = search(matrix, tmp_path / "parts.db").propose().settings  # and never told
    assert search(matrix, tmp_path / "parts.db").propose().settings == asked == whole[3]
    assert parts + proposals(search(matrix, tmp_path / "parts.db"), 5) == whole
    other = proposals(search(matrix, tmp_path / "other.db", seed=1), 8)
    assert other[0] == whole[0] == {"strength": 0.5, "rounds": 1, "sign": 1}
    assert all(a != b for a, b in zip(other[1:], whole[1:], strict=True))


def test_another_objective_or_setting_is_another_search(matrix: dict[str, Any], tmp_path: Path) -> None:
    proposals(search(matrix, tmp_path / "one.db"), 2)
    assert len(search(matrix, tmp_path / "one.db").trials) == 2
    assert not search(matrix, tmp_path / "one.db", max_kl=1.0).trials
    assert not search(matrix | {"evaluation": {"prompts": 1}}, tmp_path / "one.db").trials
    assert len(proposals(search(matrix, tmp_path / "one.db", max_kl=1.0), 6)) == 6


# -- the objective -----------------------------------------------------------------------------------------


def trial(number: int, value: float, kl: float | None = 1.0, status: str = "ok") -> Trial:
    return Trial(number, {}, status, None, value, kl=kl)


def test_the_choice_keeps_to_the_limit_on_kl_follows_the_direction_and_takes_the_earliest_of_equals() -> None:
    trials = [trial(0, 1), trial(1, 5, kl=9), trial(2, 3), trial(3, 3), trial(4, 7, kl=None), trial(5, 0)]
    assert Objective("gold").best(trials) is trials[4]
    assert Objective("gold", max_kl=2).best(trials) is trials[2]
    assert Objective("perplexity_reference", max_kl=2).best(trials) is trials[5]
    assert Objective("gold", max_kl=0.5).best(trials) is None


def test_where_one_setting_serves_several_tasks_their_rewards_are_put_on_one_scale() -> None:
    cells = pd.DataFrame(
        {
            "cell": ["a", "b"],
            "status": ["ok", "ok"],
            "reason": [None, None],
            "gold": [1.5, 300.0],
            "reference_gold": [1.0, 100.0],
            "reference_gold_sd": [0.5, 100.0],
        }
    )
    found = Objective("gold", standardised=True).trial(0, {}, cells)
    assert found.value == pytest.approx((1 + 2) / 2)
    assert found.values == {"a": 1.5, "b": 300.0}


def test_one_bad_seed_makes_a_bad_trial_and_a_world_where_the_method_cannot_run_does_not() -> None:
    cells = pd.DataFrame(
        {"cell": ["a", "b"], "status": ["ok", "failed"], "reason": [None, "no memory"], "gold": [9.0, math.nan]}
    )
    found = Objective("gold").trial(0, {}, cells)
    assert (found.status, found.value, found.reason) == ("failed", -math.inf, "1 of 2 cells: no memory")
    assert Objective("gold").trial(0, {}, cells.replace("failed", "skipped")).value == 9
    with pytest.raises(BenchError, match="'win_rate' is not known in this world"):
        Objective("win_rate").trial(0, {}, cells.replace("failed", "skipped"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"trials": 0}, "trials: 0 is not a number of trials"),
        ({"seeds": 0}, "seeds: 0 is not a number of seeds"),
        ({"measure": "golden"}, "no measure 'golden' — did you mean 'gold'"),
        ({"measure": "kl"}, "neither more nor less"),
        ({"max_kl": -1.0}, "max-kl: -1.0"),
    ],
)
def test_mistakes_are_refused_before_anything_runs(
    matrix: dict[str, Any], tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(BenchError, match=told):
        tune(matrix, tmp_path / "out", **options)
    with pytest.raises(BenchError, match="nothing to tune: no arm of toy"):
        tune(matrix | {"methods": ["sft"]}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_arms_that_end_as_the_same_method_are_written_once(matrix: dict[str, Any]) -> None:
    read = parse_matrix(matrix | {"methods": {"push": {}, "down": {"method": "push", "sign": -1}}})
    best = trial(1, 1.0)
    settings: dict[str, Any] = {"strength": 3.0, "rounds": 2, "sign": -1}
    first, second = (
        tuning.TunedArm(
            arm,
            arm.method.tunable(),
            (trial(0, 0.0), dataclasses.replace(best, settings=own)),
            dataclasses.replace(best, settings=own),
        )
        for arm, own in zip(read.arms, (settings, {k: v for k, v in settings.items() if k != "sign"}), strict=True)
    )
    text = matrix_text(Tuned(read, Objective("gold"), 2, (1001,), 0, (first, second)))
    assert "same method as 'push':\n  # down: {method: push, strength: 3.0, rounds: 2, sign: -1}" in text


def test_a_reason_of_two_lines_stays_a_comment_of_the_tuned_matrix(matrix: dict[str, Any]) -> None:
    read = parse_matrix(matrix | {"methods": "push"})
    (arm,) = read.arms
    skipped = dataclasses.replace(trial(0, 0.0), status="skipped", reason="no pairs\nseeds: 999\x1b[31m")
    tuned = tuning.TunedArm(arm, arm.method.tunable(), (skipped,))
    text = matrix_text(Tuned(read, Objective("gold"), 1, (1001,), 0, (tuned,)))
    assert read_yaml(text, "tuned")[0]["seeds"] == list(read.seeds)
    assert r"as it cannot run: no pairs\nseeds: 999\x1b[31m" in text


# -- search spaces -----------------------------------------------------------------------------------------


def space(**knobs: Range | Choice) -> Method:
    class Some(Method):
        search_space: ClassVar[dict[str, Range | Choice]] = knobs
        rate: float = Field(0.1, gt=0, le=1)
        steps: int = Field(10, ge=1)

        def train(self, workbench: Any) -> Any:
            raise NotImplementedError

    return Some()


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"rat": Range(0.01, 1)}, "some.search_space: rat is no hyper-parameter — did you mean 'rate'"),
        ({"rate": Range(0, 1)}, "rate = 0: Input should be greater than 0"),
        ({"rate": Range(0.2, 1)}, "rate: its default, 0.1, is not within 0.2 … 1"),
        ({"steps": Range(0.5, 20)}, "steps = 0.5: Input should be a valid integer"),
        ({"steps": Range(1, 21, step=5)}, "its default, 10, is not within 1 … 21 in steps of 5"),
        ({"steps": Choice(1, 2)}, "its default, 10, is not within 1 | 2"),
    ],
)
def test_a_search_space_that_a_method_would_refuse_is_refused(knobs: dict[str, Range | Choice], told: str) -> None:
    with pytest.raises(BenchError) as refused:
        space(**knobs).tunable()
    assert told in str(refused.value)


def test_ranges_are_ranges() -> None:
    for bad in ((1, 1), (2, 1)):
        with pytest.raises(BenchError, match="low must be below high"):
            Range(*bad)
    with pytest.raises(BenchError, match="starts above 0"):
        Range(0, 1, log=True)
    with pytest.raises(BenchError, match="last step"):
        Range(0, 1, step=0.3)
    assert 0.3 in Range(0, 1, step=0.1)
    assert 0.35 not in Range(0, 1, step=0.1)


def test_every_built_in_search_space_is_valid() -> None:
    from bench.catalogue.plugins import methods

    spaces = {name: cls().tunable() for name, cls in methods().items()}
    assert {"dpo", "lima", "reward_gradient"} <= {name for name, each in spaces.items() if each}
