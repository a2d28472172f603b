import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.running.progress import PlainReporter
from bench.store.store import Store

WORLD = Path(__file__).parents[1] / "toy_world.py"


def matrix(*methods, seeds=1, **more):
    return {
        "name": "toy",
        "tasks": ["toy"],
        "models": {"tiny": {"layers": 1, "width": 16, "heads": 2, "context": 16, "steps": 20}},
        "methods": {name: {} for name in methods} | more.pop("arms", {}),
        "seeds": seeds,
        "stages": {"preferences": {"pairs": 64, "heldout": 32}},
        "evaluation": {"prompts": 2, "samples": 8, "curve_points": 2, "curve_prompts": 2},
        "plugins": [str(WORLD)],
        **more,
    }


def records(directory):
    return {f.parent.name: json.loads(f.read_text()) for f in Path(directory).glob("cells/*/record.json")}


def comparable(directory):
    """Records and frames without times, memory and the commit."""
    found = {}
    for name, record in records(directory).items():
        stages = sorted(record["cost"].pop("stages"))
        for key in ("seconds", "seconds_training", "processor_seconds_training", "peak_memory_mb"):
            del record["cost"][key]
        del record["written"], record["commit"], record["checksum"]
        frames = {
            frame.name: pd.read_parquet(frame).to_json(double_precision=15)
            for frame in sorted((Path(directory) / "cells" / name).glob("*.parquet"))
        }
        found[name] = (record, stages, frames)
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def first(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    return bench.run(matrix("base", "sft", "dpo", "best_of_n", seeds=2), out=out, store=store, jobs=2)


def test_every_cell_has_a_record_with_measures_cost_and_versions(first):
    found = records(first.directory)
    assert len(found) == 8
    for record in found.values():
        assert record["status"] == "ok"
        assert record["measures"]["gold"] is not None
        assert record["judge"] == "gold"
        assert set(record["cost"]["stages"]) >= {"base", "sft", "reward_model", "policy", "evaluation"}
        assert record["cost"]["peak_memory_mb"] < 1500
        assert record["versions"]["trl"]
        assert record["cell"]["hyperparameters"] is not None
    sft = next(r for name, r in found.items() if "sft" in name)
    assert sft["measures"]["kl"] == pytest.approx(0, abs=1e-5)
    assert len(first.records) == 8


def test_beside_a_record_lie_curve_completions_and_probes(first):
    cell = first.directory / "cells" / "toy-tiny-dpo-seed0"
    curve = pd.read_parquet(cell / "curve.parquet")
    assert list(curve["step"]) == [0, 3, 6]
    assert curve["kl"].iloc[0] == pytest.approx(0, abs=1e-5)
    training = pd.read_parquet(cell / "training.parquet")
    assert {"loss", "rewards/margins"} <= set(training["name"])
    assert training["step"].between(1, 6).all()
    completions = pd.read_parquet(cell / "completions.parquet")
    assert len(completions) == 16
    assert set(completions["outcome"]) <= {"win", "tie", "loss"}
    assert len(pd.read_parquet(cell / "probes.parquet")) == 100


def test_a_full_store_trains_nothing_and_gives_the_same(first, store, tmp_path):
    again = bench.run(matrix("base", "sft", "dpo", "best_of_n", seeds=2), out=tmp_path / "again", store=store)
    assert again.built == 0
    assert comparable(again.directory) == comparable(first.directory)


def test_a_run_goes_on_from_its_records_alone_where_the_store_is_lost(first, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(first.directory, out)
    shutil.rmtree(out / "cells" / "toy-tiny-dpo-seed1")
    (out / "cells" / "toy-tiny-sft-seed0" / "record.json").write_text("{")
    again = bench.run(matrix("base", "sft", "dpo", "best_of_n", seeds=2), out=out, store=tmp_path / "store")
    assert again.counts == {"ok": 8}
    assert comparable(out) == comparable(first.directory)
    made = {
        name for name, record in records(out).items() if record["written"] != records(first.directory)[name]["written"]
    }
    assert made <= {"toy-tiny-dpo-seed1", "toy-tiny-sft-seed0"}
    settings = matrix("base", "sft", "best_of_n", seeds=2, arms={"dpo": {"beta": 0.2}})
    assert bench.run(settings, out=out, store=tmp_path / "store").built > 0


@pytest.mark.parametrize("harm", ["figure", "cut", "removed"])
def test_a_damaged_cell_is_made_again_out_of_the_store(first, store, tmp_path, harm):
    out = shutil.copytree(first.directory, tmp_path / "out")
    cell = out / "cells" / "toy-tiny-dpo-seed0"
    if harm == "figure":
        record = json.loads((cell / "record.json").read_text())
        record["measures"]["gold"] += 9
        (cell / "record.json").write_text(json.dumps(record))
    elif harm == "cut":
        os.truncate(cell / "completions.parquet", 5000)
    else:
        (cell / "completions.parquet").unlink()
    said = io.StringIO()
    settings = matrix("base", "sft", "dpo", "best_of_n", seeds=2)
    again = bench.run(settings, out=out, store=store, reporter=PlainReporter(said))
    assert (again.built, again.counts) == (0, {"ok": 8})
    assert f"damaged record, making it again: {cell}" in said.getvalue()
    assert comparable(out) == comparable(first.directory)


def test_any_number_of_jobs_gives_the_same(first, tmp_path):
    alone = bench.run(
        matrix("base", "sft", "dpo", "best_of_n", seeds=2),
        out=tmp_path / "alone",
        store=tmp_path / "store",
        jobs=1,
        only=["seed=1"],
    )
    theirs = comparable(first.directory)
    assert comparable(alone.directory) == {name: theirs[name] for name in theirs if name.endswith("seed1")}


def test_changing_one_methods_setting_runs_that_methods_cells_alone(first, store, tmp_path):
    changed = matrix("base", "sft", "best_of_n", seeds=2, arms={"dpo": {"beta": 0.2}})
    assert bench.run(changed, out=tmp_path / "out", store=store).built == 4  # policy and evaluation, two seeds


PLUGIN = '''
from bench import Field, Method
class Shifted(Method):
    """Moves every weight of the SFT model."""
    times: int = Field(1, ge=0, le=9, description="how often")
    def train(self, workbench):
        if self.times > 8:
            raise ValueError("too often")
        model = workbench.sft_model()
        for weight in model.parameters():
            weight.data += 0.001 * self.times
        return workbench.policy(model)
'''


def test_another_wording_of_a_method_runs_nothing_again_and_another_constant_its_cells_alone(first, store, tmp_path):
    plugin = tmp_path / "shifted.py"

    def run_with(text):
        plugin.write_text(text)
        toy = matrix("sft", "dpo", "shifted", seeds=2, plugins=[str(WORLD), str(plugin)])
        run = bench.run(toy, out=tmp_path / "out", store=store)
        return run.built, records(run.directory)

    built, before = run_with(PLUGIN)
    assert built == 4  # its policy and evaluation, two seeds; the rest is there
    reworded = PLUGIN.replace("too often", "at most eight times").replace("Moves every", "Shifts each")
    reworded = reworded.replace("how often", "how many times over")
    assert run_with(reworded) == (0, before)

    built, after = run_with(reworded.replace("0.001", "0.002"))
    assert built == 4
    assert {before[name]["cell"]["arm"] for name in before if before[name] != after[name]} == {"shifted"}
    assert before["toy-tiny-shifted-seed0"]["key"] != after["toy-tiny-shifted-seed0"]["key"]


def test_what_a_method_spends_logs_and_reports_is_in_its_record(store, tmp_path):
    run = bench.run(matrix("tell", "sft"), out=tmp_path / "told", store=store)
    told, sft = (records(run.directory)[f"toy-tiny-{arm}-seed0"] for arm in ("tell", "sft"))
    assert told["measures"]["goods"] == 2
    assert told["measures"]["texts_read"] == 200
    assert told["cost"]["gold_labels"] == sft["cost"]["gold_labels"] + 4
    log = pd.read_parquet(run.directory / "cells" / "toy-tiny-tell-seed0" / "training.parquet")
    assert log.to_dict("records") == [{"step": 1, "name": "loss", "value": 0.5}]


def test_arms_with_stages_of_their_own_share_all_that_is_equal(first, store, tmp_path):
    few = {"method": "dpo", "stages": {"preferences": {"pairs": 32}}}
    run = bench.run(matrix("dpo", arms={"dpo few": few}), out=tmp_path / "few", store=store)
    # dpo itself, base and sft are there; new are pairs, reward model, reference, policy and evaluation
    assert run.built == 5
    dpo, fewer = (records(run.directory)[f"toy-tiny-{arm}-seed0"] for arm in ("dpo", "dpo_few"))
    assert (dpo["cell"]["stages"]["preferences"], dpo["cost"]["gold_labels"]) == ({"pairs": 64, "heldout": 32}, 64)
    assert (fewer["cell"]["stages"]["preferences"], fewer["cost"]["gold_labels"]) == ({"pairs": 32, "heldout": 32}, 32)
    assert fewer["reward_models"]["reward_model"]["pairs"] == 32
    assert [row["preferences"]["pairs"] for row in run.records["stages"]] == [64, 32]


def test_a_method_pays_for_the_labels_that_it_rests_on_and_for_no_others(first):
    labels = {name: record["cost"]["gold_labels"] for name, record in records(first.directory).items()}
    assert labels["toy-tiny-dpo-seed0"] == labels["toy-tiny-best_of_n-seed0"] == 64
    assert labels["toy-tiny-sft-seed0"] == labels["toy-tiny-base-seed0"] == 0


def test_a_method_that_needs_ratings_gets_them_or_is_skipped(store, tmp_path):
    rated = matrix("read_ratings", "sft", tasks=["strings", "toy"])
    rated["stages"]["ratings"] = {"ratings": 24, "heldout": 8}
    run = bench.run(rated, out=tmp_path / "rated", store=store)
    found = records(run.directory)
    ours = found["strings-tiny-read_ratings-seed0"]
    assert (ours["status"], ours["measures"]["rows_read"], ours["cost"]["gold_labels"]) == ("ok", 24, 24)
    assert "ratings" in ours["cost"]["stages"]
    assert "ratings" not in found["strings-tiny-sft-seed0"]["cost"]["stages"]
    skipped = found["toy-tiny-read_ratings-seed0"]
    assert skipped["status"] == "skipped"
    assert skipped["reason"] == "method 'read_ratings' needs ratings, and task 'toy' has no ratings"


@pytest.mark.slow
def test_reward_models_of_many_kinds_are_arms_of_one_matrix(store, tmp_path):
    kinds = {"ratings": {"fit": "ratings"}, "three": {"members": 3, "aggregate": "min"}, "graded": {"margin": 0.5}}
    arms = {kind: {"method": "best_of_n", "stages": {"reward_model": how}} for kind, how in kinds.items()}
    run = bench.run(matrix("best_of_n", arms=arms, tasks=["strings"]), out=tmp_path / "kinds", store=store)
    found = {record["cell"]["arm"]: record for record in records(run.directory).values()}
    assert {record["status"] for record in found.values()} == {"ok"}
    made = {arm: record["reward_models"]["reward_model"] for arm, record in found.items()}
    assert {arm: kind.get("pairs", kind.get("ratings")) for arm, kind in made.items()} == {
        "best_of_n": 64,
        "ratings": 2000,
        "three": 64,
        "graded": 64,
    }
    assert {arm: record["cost"]["gold_labels"] for arm, record in found.items()}["ratings"] == 2000
    assert found["three"]["cost"]["reward_model_calls"] == 3 * found["best_of_n"]["cost"]["reward_model_calls"]
    assert made["ratings"]["ratings_mse_heldout"] < 4
    for arm, kind in made.items():
        assert kind["curve"][0]["step"] == 0
        assert kind["curve"][-1].keys() == {"step", "accuracy", "ece", "nll"}
        assert -1 <= found[arm]["measures"]["reward_model_rank_correlation"] <= 1
    assert made["best_of_n"]["curve"][-1]["accuracy"] == made["best_of_n"]["accuracy_heldout"]


def test_cells_that_end_badly_are_records_with_a_reason_and_the_others_go_on(first, store, tmp_path):
    bad = matrix("explode", "crash", "die", "hungry", "sneak", "boast", "picky", "sft")
    run = bench.run(bad, out=tmp_path / "bad", store=store)
    found = {record["cell"]["arm"]: record for record in records(run.directory).values()}
    assert {arm: record["status"] for arm, record in found.items()} == {
        "explode": "diverged",
        "crash": "failed",
        "die": "failed",
        "hungry": "failed",
        "sneak": "failed",
        "boast": "failed",
        "picky": "skipped",
        "sft": "ok",
    }
    assert found["explode"]["step"] == 3
    assert "loss is not finite at step 3" in found["explode"]["reason"]
    assert len(pd.read_parquet(run.directory / "cells" / "toy-tiny-explode-seed0" / "curve.parquet")) == 1
    assert found["crash"]["reason"] == "ZeroDivisionError: seed 0"
    assert "signal 9" in found["die"]["reason"]
    assert found["hungry"]["reason"].startswith("out of memory")
    assert "'reward_model'" in found["sneak"]["reason"]
    assert "measure ece_exact: the method 'boast' reports a figure of that name" in found["boast"]["reason"]
    assert found["picky"]["reason"] == "it does not like this world"
    assert dict(run.counts) == {"diverged": 1, "failed": 5, "skipped": 1, "ok": 1}
    again = bench.run(bad, out=tmp_path / "bad2", store=store)
    assert dict(again.counts) == dict(run.counts)
    assert again.built == 0  # a divergence is a result and kept; a failure is tried again


def test_a_worker_process_that_dies_fails_what_it_ran_and_what_was_to_follow(first, store, tmp_path):
    plugin = tmp_path / "takedown.py"
    plugin.write_text(
        "import os, time\nfrom bench import Method\nclass Takedown(Method):\n    def train(self, workbench):\n"
        "        os.kill(os.getppid(), 9)\n        time.sleep(60)\n"
    )
    toy = matrix("takedown", "sft", "tell", plugins=[str(WORLD), str(plugin)], evaluation={"prompts": 2, "samples": 7})
    run = bench.run(toy, out=tmp_path / "out", store=store, jobs=1)
    reasons = {record["cell"]["arm"]: record["reason"] for record in records(run.directory).values()}
    assert dict(run.counts) == {"failed": 3}
    assert reasons["takedown"].startswith("the worker process died; see ")
    assert "not run: the worker process died" in reasons["sft"]


def test_a_damaged_artifact_is_reported_and_made_again(first, tmp_path, capfd):
    store = tmp_path / "store"
    one = matrix("sft")
    before = bench.run(one, out=tmp_path / "one", store=store)
    key = next((store / "evaluation").iterdir()).name
    file = store / "evaluation" / key / "completions.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    weights = next((store / "sft").iterdir()) / "model.safetensors"
    weights.write_bytes(b"gone")
    after = bench.run(one, out=tmp_path / "two", store=store, reporter=PlainReporter())
    assert "damaged artifact (completions.parquet does not match its checksum)" in capfd.readouterr().err
    assert after.built == 2
    assert Store(store).damage("evaluation", key) is None
    assert comparable(after.directory) == comparable(before.directory)


def command(tmp_path, *extra, content=None):
    file = tmp_path / "toy.yaml"
    file.write_text(json.dumps(content or matrix("base", "dpo", arms={"wait": {"seconds": 2}})))
    return [sys.executable, "-m", "bench.cli", "run", str(file), "--store", str(tmp_path / "store"), *extra]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_killed_in_mid_run_the_same_command_carries_on_to_the_same_records_and_leaves_nothing(tmp_path, monkeypatch):
    elsewhere = tmp_path / "home", tmp_path / "tmp"
    for folder, name in zip(elsewhere, ("HOME", "TMPDIR"), strict=True):
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    whole = tmp_path / "whole"
    whole.mkdir()
    subprocess.run(command(whole, "--out", str(whole / "out")), check=True, capture_output=True)

    store = tmp_path / "store"
    for kind in ("sft", "policy"):  # two kills, at different places
        process = subprocess.Popen(
            command(tmp_path, "--out", str(tmp_path / "out")), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for((store / kind).exists)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    building = store / ".building"
    wait_for(lambda: not [p for p in building.glob("*") if Path(f"/proc/{p.name.rsplit('-', 2)[-2]}").exists()])
    done = subprocess.run(command(tmp_path, "--out", str(tmp_path / "out")), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert comparable(tmp_path / "out") == comparable(whole / "out")
    assert not list(building.glob("*"))
    assert not list((store / ".locks").glob("*"))
    for folder in elsewhere:
        assert not list(folder.rglob("*"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"cells", "logs", "run.json", "tables"}


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path):
    process = subprocess.Popen(
        command(tmp_path, "--out", str(tmp_path / "out")), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for((tmp_path / "store" / "base").exists)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "the same command carries on" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_two_runs_on_one_store_do_not_harm_each_other(tmp_path):
    runs = [
        subprocess.Popen(
            command(tmp_path, "--out", str(tmp_path / name), "--jobs", "1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for process in runs:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert comparable(tmp_path / "one") == comparable(tmp_path / "two")


def test_source_that_changes_during_a_run_never_enters_the_store_under_the_old_key(tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "import time\nfrom bench import Method\nclass Slow(Method):\n    def train(self, workbench):\n"
        "        (workbench.checkpoints.parents[1] / 'started').touch()\n        time.sleep(3)\n"
        "        return workbench.policy(workbench.sft_model())\n"
    )
    process = subprocess.Popen(
        command(tmp_path, "--out", str(tmp_path / "out"), content=matrix("slow", plugins=[str(WORLD), str(plugin)])),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for((tmp_path / "store" / "started").exists)
    plugin.write_text(plugin.read_text().replace("sleep(3)", "sleep(0)"))
    assert process.wait(timeout=60) == 1
    (record,) = records(tmp_path / "out").values()
    assert "source was changed" in record["reason"]
    assert not (tmp_path / "store" / "policy").exists()


def test_nothing_in_the_working_folder_is_imported(first, store, tmp_path, monkeypatch):
    for name in ("random.py", "bench/__init__.py", "methods/__init__.py", "tasks/__init__.py"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("raise SystemExit('of the working folder')")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "beside_mine.py").write_text("from bench import Method\n")
    mine = tmp_path / "elsewhere" / "mine.py"
    mine.write_text(
        "from beside_mine import Method\nclass Mine(Method):\n    def train(self, workbench):\n"
        "        return workbench.policy(workbench.sft_model())\n"
    )
    settings = matrix("sft", "mine", arms={"dpo": {"beta": 0.3}}, plugins=[str(WORLD), str(mine)])
    again = bench.run(settings, out=tmp_path / "out", store=store)
    assert again.counts == {"ok": 3}  # and a plug-in's own neighbours are imported
    assert again.built > 0
