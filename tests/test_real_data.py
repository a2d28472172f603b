"""`bench run` on people's own preference data, from the file to the table, with every method."""

import json
import os
from pathlib import Path

import pytest

import bench
from bench.analysis.tables.main_table import write_main_table
from bench.records.loading import load_run

DATA = Path(os.environ.get("BENCH_DATA") or Path(__file__).parents[1] / ".." / "shared" / "data")
TASKS = {
    "instruction-data-with-preference.json": {"max_completion_tokens": 24},
    "hh-rlhf-harmless-base-test.jsonl.gz": {
        "max_rows": 300,
        "max_prompt_characters": 400,
        "max_completion_characters": 200,
        "max_completion_tokens": 24,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_every_method_runs_to_the_end_and_the_held_out_reward_model_judges(tmp_path, name):
    file = DATA / "preferences" / name
    if not file.exists():
        pytest.skip(f"no file {name}: set BENCH_DATA to the folder of real data")
    run = bench.run(
        {
            "tasks": {"mine": {"task": "dataset", "path": str(file), **TASKS[name]}},
            "models": {"tiny": {"steps": 60}},
            "methods": {
                "base": {},
                "sft": {},
                "lima": {"size": 100, "epochs": 1},
                "dpo": {"epochs": 1},
                "ppo": {"steps": 3, "rollouts": 32},
                "reward_gradient": {"steps": 3, "batch_size": 16},
            },
            "seeds": 1,
            "stages": {"sft": {"epochs": 1}, "reward_model": {"epochs": 1}},
            "evaluation": {"prompts": 16, "samples": 2, "references": 32, "curve_points": 1, "curve_prompts": 8},
        },
        out=tmp_path / "run",
        store=tmp_path / "store",
    )
    assert dict(run.counts) == {"ok": 6}
    for record in map(json.loads, (path.read_text() for path in run.directory.glob("cells/*/record.json"))):
        assert record["judge"] == "held-out reward model"
        assert record["measures"].get("gold") is None
        assert record["data"]["set_aside"], "both files have rows to set aside"
        for model in ("reward_model", "judge"):
            assert 0 < record["reward_models"][model]["accuracy_heldout"] <= 1
    written = write_main_table(load_run(run.directory), tmp_path / "tables")
    notes = next(path for path in written if path.name == "table.md").read_text()
    assert "No gold reward" in notes
    assert "held-out pairs" in notes
