"""Methods from the literature, each a plug-in of 30 lines or less, on the toy world."""

from pathlib import Path

import pytest

import bench

HERE = Path(__file__).parent
WORLD = HERE.parent / "bench" / "toy_world.py"


@pytest.fixture(scope="session")
def on_toy(tmp_path_factory):
    """A function of (plug-in, arms): the records of these arms on the toy world, one seed, by arm."""
    store = tmp_path_factory.mktemp("store")

    def run(plugin, arms):
        matrix = {
            "tasks": "toy",
            "models": {"tiny": {"layers": 1, "width": 16, "heads": 2, "context": 16, "steps": 60}},
            "methods": {"sft": None, **arms},
            "seeds": 1,
            "stages": {"preferences": {"pairs": 256, "heldout": 32}, "reward_model": {"epochs": 8}},
            "evaluation": {"prompts": 2, "samples": 64, "curve_points": 2, "curve_prompts": 2},
            "plugins": [str(WORLD), str(HERE / plugin)],
        }
        out = tmp_path_factory.mktemp("run")
        records = bench.run(matrix, out=out, store=store, jobs=1).records
        assert list(records["status"]) == ["ok"] * len(records), list(records["reason"])
        return records.set_index("arm")

    return run


@pytest.fixture
def lines():
    """A function that counts a plug-in's lines, and refuses long ones."""

    def count(plugin):
        text = (HERE / plugin).read_text().splitlines()
        assert max(map(len, text)) <= 120
        return len(text)

    return count
