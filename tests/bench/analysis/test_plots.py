"""Plots are drawn where there is data, and skipped with a reason where there is none."""

import json

import matplotlib.image
import pytest
from synthetic_run import ARMS, write_run

from bench.analysis.loading import load_run
from bench.analysis.plots import draw_all

ALL = ["reward_kl.png", "overoptimisation.png", "reliability.png", "win_tie_loss.png", "win_rates.png"]


def drawn(run_directory, out):
    paths = draw_all(load_run(run_directory), out)
    for path in paths:
        image = matplotlib.image.imread(path)
        assert min(image.shape[:2]) > 200
        assert image[..., :3].std() > 0.02  # not an empty page
    return [path.name for path in paths]


def test_every_plot_of_a_run_with_many_arms_and_failures(tmp_path):
    not_ok = {("ppo without KL", 1): ("diverged", "loss is not finite", 40)}
    assert drawn(write_run(tmp_path / "run", probes=300, not_ok=not_ok, pending=1), tmp_path / "plots") == ALL


def test_one_seed_without_gold_nor_probes(tmp_path, capsys):
    names = drawn(write_run(tmp_path / "run", seeds=1, gold=False, probes=0), tmp_path / "plots")
    assert names == ["reward_kl.png", "overoptimisation.png", "win_tie_loss.png", "win_rates.png"]
    assert "skipped reliability.png: no cell was asked" in capsys.readouterr().err


def test_two_tasks_have_files_of_their_own(tmp_path):
    for task in ("reviews", "strings"):
        write_run(tmp_path / "run", seeds=1, probes=100, task=task, arms=ARMS[:4])
    names = drawn(tmp_path / "run", tmp_path / "plots")
    assert len(names) == 10
    assert "reward_kl-strings-tiny.png" in names


def test_records_alone_draw_what_they_can(tmp_path, capsys):
    directory = write_run(tmp_path / "run", seeds=2, probes=50)
    for file in directory.glob("cells/*/*.parquet"):
        file.unlink()
    assert drawn(directory, tmp_path / "plots") == ["reward_kl.png", "win_tie_loss.png"]
    assert "skipped overoptimisation.png: no arm has a training curve" in capsys.readouterr().err


def test_without_a_judge_nothing_can_be_drawn_over_kl(tmp_path, capsys):
    directory = write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[:2])
    for file in directory.glob("cells/*/record.json"):
        record = json.loads(file.read_text())
        kept = {name: record["measures"][name] for name in ("kl", "entropy")}
        file.write_text(json.dumps(record | {"measures": kept, "judge": None}))
    assert drawn(directory, tmp_path / "plots") == []
    assert capsys.readouterr().err.count("skipped") == 5


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_run_in_which_nothing_ended_well_draws_nothing(tmp_path, capsys, status):
    not_ok = {(arm[0], 0): (status, "reason", None) for arm in ARMS[:2]}
    directory = write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[:2], not_ok=not_ok)
    assert drawn(directory, tmp_path / "plots") == []
    assert "no plots" in capsys.readouterr().err
