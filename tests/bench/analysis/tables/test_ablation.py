"""Arms that change one setting of another: which those are, by how much they differ, how often they crash."""

import io
import json

import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.tables.ablation import ablation_table, ablations, one_change, write_ablations
from bench.contracts.errors import BenchError
from bench.records.loading import load_run
from tests.bench.analysis.synthetic_run import seal, write_run

# name, hyper-parameters; all of method ppo
SETTINGS = {
    "ppo_max": {"kl_weight": 0.1, "clip": 0.2, "critic": "own"},
    "no KL": {"kl_weight": 0.0, "clip": 0.2, "critic": "own"},
    "no clipping": {"kl_weight": 0.1, "clip": None, "critic": "own"},
    "two changes": {"kl_weight": 0.0, "clip": None, "critic": "own"},
    "other reward model": {"kl_weight": 0.1, "clip": 0.2, "critic": "shared"},
}
ARMS = [(name, "ppo", 3.0, 1.0, gold, 1.0) for name, gold in zip(SETTINGS, (0.9, -0.9, 0.5, 0.4, 0.8), strict=True)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    gone = {("no clipping", 1): ("diverged", "loss is not finite", 3)}
    folder = write_run(tmp_path_factory.mktemp("runs") / "run", seeds=4, probes=100, arms=ARMS, not_ok=gone)
    for file in folder.glob("cells/*/record.json"):
        record = json.loads(file.read_text())
        cell = record["cell"]
        cell["hyperparameters"] = SETTINGS[cell["arm"]]
        cell["stages"] = {"reward_model": {"members": 5 if cell["arm"] == "other reward model" else 1}}
        file.write_text(json.dumps(record))
    return load_run(seal(folder))


def test_only_arms_that_change_one_setting_and_no_stage_are_ablations(run):
    rows = ablations(run, "ppo_max").drop_duplicates("arm").set_index("arm")
    assert list(rows.index) == ["no KL", "no clipping"]
    assert rows.loc["no KL", ["setting", "default", "value"]].tolist() == ["kl_weight", "0.1", "0"]
    assert rows.loc["no clipping", ["setting", "default", "value"]].tolist() == ["clip", "0.2", "none"]
    assert set(ablations(run, "two changes")["arm"]) == {"no KL", "no clipping"}


def test_another_method_is_no_ablation():
    one = pd.Series({"method": "ppo", "stages": {}, "hyperparameters": {"a": 1}})
    assert one_change(one, one) is None
    assert one_change(one, pd.Series({**one, "hyperparameters": {"a": 2}})) == ("a", 1, 2)
    assert one_change(one, pd.Series({**one, "hyperparameters": {"a": 2}, "method": "vpg"})) is None


def test_differences_are_paired_and_crashes_are_counted(run):
    rows = ablations(run, "ppo_max").set_index(["arm", "measure"])
    gold = run.records.pivot_table(index="seed", columns="arm", values="gold")
    row = rows.loc[("no clipping", "gold")]
    assert row["difference"] == pytest.approx((gold["no clipping"] - gold["ppo_max"]).drop(1).mean())
    assert row[["n", "seeds", "diverged", "below"]].tolist() == [3, 4, 1, 0]
    assert rows.loc[("no KL", "gold"), ["diverged", "below"]].tolist() == [0, 4]  # π0's gold is −0.05
    assert rows.loc[("no KL", "gold"), "high"] < 0
    assert "judge" not in rows.index.get_level_values("measure")


def test_the_table_is_printed_and_written(run, tmp_path):
    out = io.StringIO()
    files = write_ablations(run, "ppo_max", tmp_path, Console(file=out, width=200))
    assert [file.name for file in files] == ["ablation.md", "ablation.tex", "ablation.html", "ablation.csv"]
    for text in ("kl_weight: 0.1 → 0", "clip: 0.2 → none", "4 below π0", "1 diverged"):
        assert text in out.getvalue()
        assert text in files[0].read_text()


def test_an_arm_that_never_ended_well_has_its_row(tmp_path):
    gone = {("no KL", seed): ("diverged", "loss is not finite", 3) for seed in range(2)}
    folder = write_run(tmp_path / "run", seeds=2, probes=0, arms=ARMS[:2], not_ok=gone)
    for file in folder.glob("cells/*/record.json"):
        record = json.loads(file.read_text())
        record["cell"]["hyperparameters"] = SETTINGS[record["cell"]["arm"]]
        file.write_text(json.dumps(record))
    table = ablation_table(ablations(load_run(seal(folder)), "ppo_max"))
    assert table[["arm", "crashed", "seeds"]].to_numpy().tolist() == [["no KL", "2 diverged", "2"]]


def test_an_unknown_arm_is_refused_with_the_nearest(run):
    with pytest.raises(BenchError, match="'ppo_max'"):
        ablations(run, "ppo_mas")
