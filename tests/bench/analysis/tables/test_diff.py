"""Between two runs: what moved beyond noise, and what was changed."""

import io
import json
import shutil

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from bench.analysis.tables.diff import changes, differences, moved, same_values, write_diff
from bench.records.loading import load_run
from bench.records.packing import pack
from tests.bench.analysis.synthetic_run import ARMS, seal, write_run

FOUR = ARMS[1:5]  # sft, lima, dpo, ppo


@pytest.fixture
def folders(tmp_path):
    one = write_run(tmp_path / "one", seeds=4, probes=50, arms=FOUR)
    shutil.copytree(one, tmp_path / "two")
    return one, tmp_path / "two"


def edit(folder, change, arm="ppo", seeds=range(100)):
    for file in folder.glob("cells/*/record.json"):
        record = json.loads(file.read_text())
        if record["cell"]["arm"] == arm and record["cell"]["seed"] in seeds:
            change(record)
            file.write_text(json.dumps(record))
    seal(folder)


def raise_gold(record):
    record["measures"]["gold"] += 0.5 + 0.01 * record["cell"]["seed"]


def said(one, two):
    out = io.StringIO()
    write_diff(load_run(one), load_run(two), console=Console(file=out, width=200))
    return out.getvalue()


def test_identical_runs_are_one_line_also_where_one_is_packed(folders):
    one, two = folders
    assert said(one, two) == "Identical: all 16 cells have the same measures.\n"
    pack(two)
    assert said(one, two) == "Identical: all 16 cells have the same measures.\n"


def test_a_shift_in_one_arm_is_all_that_moved(folders):
    one, two = folders
    edit(two, raise_gold)
    found = differences(load_run(one), load_run(two))
    beyond = moved(found)
    assert beyond[["arm", "measure", "n", "paired"]].to_numpy().tolist() == [["ppo", "gold", 4, True]]
    row = found.iloc[0]  # the largest comes first
    assert row["difference"] == pytest.approx(0.515)
    gaps = [0.5, 0.51, 0.52, 0.53]
    assert row["errors"] == pytest.approx(stats.ttest_1samp(gaps, 0).statistic, rel=1e-6)
    assert same_values(load_run(one), load_run(two)) == (16, 12)
    text = said(one, two)
    assert "of 16 common cells 12 have exactly the same measures" in text
    assert "gold reward" in text
    assert "4 paired" in text


def test_other_seeds_are_compared_unpaired(folders):
    one, two = folders
    edit(two, raise_gold)
    for file in two.glob("cells/*/record.json"):
        record = json.loads(file.read_text())
        record["cell"]["seed"] += 100
        file.write_text(json.dumps(record))
    seal(two)
    found = differences(load_run(one), load_run(two)).set_index(["arm", "measure"])
    row = found.loc[("ppo", "gold")]
    gold = [load_run(folder).records.query("arm == 'ppo'")["gold"] for folder in (two, one)]
    test = stats.ttest_ind(*gold, equal_var=False)
    assert not row["paired"]
    assert row[["errors", "p"]].tolist() == pytest.approx([test.statistic, test.pvalue])
    assert np.isfinite(row[["low", "high"]].astype(float)).all()
    assert found.loc[("sft", "gold"), "p"] == pytest.approx(1)


def test_noise_alone_moves_nothing_most_of_the_time(tmp_path):
    one = write_run(tmp_path / "one", seeds=3, probes=0, arms=FOUR)
    wrong = 0
    for trial in range(20):
        rng = np.random.default_rng(trial)

        def noise(record, rng=rng):
            record["measures"] = {k: v and v + 0.1 * rng.normal() for k, v in record["measures"].items()}

        two = tmp_path / f"two{trial}"
        shutil.copytree(one, two)
        for arm in FOUR:
            edit(two, noise, arm[0])
        wrong += len(moved(differences(load_run(one), load_run(two)))) > 0
    assert wrong <= 3  # 1 expected at 5 %


def test_one_seed_says_what_differs_but_tests_nothing(tmp_path):
    one = write_run(tmp_path / "one", seeds=1, probes=0, arms=FOUR)
    shutil.copytree(one, tmp_path / "two")
    edit(tmp_path / "two", raise_gold)
    text = said(one, tmp_path / "two")
    assert "0 of 0 tested differences are beyond noise; of 4 common cells 3 have exactly the same" in text


def test_what_was_changed_is_said_once_with_the_arms_that_it_concerns(folders):
    one, two = folders
    for arm in FOUR:
        edit(two, lambda record: record.update(commit="1" * 40, versions={"trl": "2"}), arm[0])
    edit(two, lambda record: record["cell"].update(hyperparameters={"beta": 0.3}))
    edit(two, lambda record: record["cell"].update(stages={"reward_model": {"members": 5}}), "dpo")
    edit(two, lambda record: record.update(status="diverged", measures={}), "lima", seeds=[2])
    lines = list(changes(load_run(one), load_run(two)))
    assert f"commit: {'0' * 40} → {'1' * 40} (all arms)" in lines
    assert "versions.trl: not there → 2 (all arms)" in lines
    assert "hyperparameters.beta: 0.1 → 0.3 (reviews · tiny · ppo)" in lines
    assert "stages.reward_model.members: not there → 5 (reviews · tiny · dpo)" in lines
    assert "reviews · tiny · lima, seed 2: ok → diverged" in lines


def test_arms_of_one_run_alone_are_named(folders):
    one, two = folders
    for folder in two.glob("cells/*-ppo-*"):
        shutil.rmtree(folder)
    assert list(changes(load_run(one), load_run(two))) == ["Only in the first run: reviews · tiny · ppo."]
    assert list(changes(load_run(two), load_run(one))) == ["Only in the second run: reviews · tiny · ppo."]


def test_the_table_is_written_with_everything_that_was_tested(folders, tmp_path):
    one, two = folders
    edit(two, raise_gold)
    files = write_diff(load_run(one), load_run(two), tmp_path / "out", Console(file=io.StringIO()))
    assert [file.name for file in files] == ["diff.md", "diff.tex", "diff.html", "diff.csv"]
    assert "| ppo | tiny | gold reward |" in files[0].read_text()
    assert len(files[3].read_text().splitlines()) == 1 + len(differences(load_run(one), load_run(two)))
