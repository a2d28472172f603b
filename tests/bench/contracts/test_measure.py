"""A measure of a plug-in: what it must say, what it is given, and where its number goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.analysis.tables.equivalence import equivalences
from bench.analysis.tables.main_table import main_sections, main_table, summarise
from bench.contracts.errors import BenchError
from bench.contracts.measure import COLUMNS, Measure
from bench.matrix.reading import parse_matrix
from bench.measures.computing import compute_plugged
from bench.measures.page import page
from bench.measures.registry import MEASURES
from bench.records.loading import load_run
from bench.stages.graph import stages_of
from bench.tuning.tune import Objective

WORLD = Path(__file__).parents[1] / "toy_world.py"
TINY = {"layers": 1, "width": 16, "heads": 2, "context": 16, "steps": 20}
PLUGIN = '''
from bench import Measure

class GoodEnough(Measure):
    """Share of completions in which `good` comes at least once."""
    unit = "shares"
    better = "higher"

    def compute(self, texts: list[str]) -> float:
        return sum("good" in text for text in texts) / len(texts)
'''


def test_a_measure_is_named_by_its_class_and_its_inputs_by_its_compute() -> None:
    class TextsPerPrompt(Measure):
        """Completions for each prompt."""

        def compute(self, texts: list[str], *, prompt_ids: list[int]) -> float:
            return len(texts) / len(set(prompt_ids))

    info = TextsPerPrompt.info()
    assert (info.name, info.label, info.unit, info.better) == ("texts_per_prompt", "texts per prompt", "", None)
    assert info.description == "Completions for each prompt."
    assert info.columns == TextsPerPrompt.inputs == ("texts", "prompt_ids")
    assert compute_plugged([TextsPerPrompt], {"texts": ["a", "b"], "prompt_ids": [0, 0]}) == {"texts_per_prompt": 2.0}


def test_a_measure_whose_columns_are_not_known_is_left_out() -> None:
    class Golden(Measure):
        def compute(self, gold: Any) -> float:
            return float(gold.mean())

    assert compute_plugged([Golden], {"length": np.ones(3)}) == {}


def test_no_measure_can_spoil_the_columns_of_the_next() -> None:
    class First(Measure):
        def compute(self, length: Any) -> float:
            length *= 0
            return float(length.sum())

    class Second(Measure):
        def compute(self, length: Any) -> float:
            return float(length.sum())

    assert compute_plugged([First, Second], {"length": np.ones(3)}) == {"first": 0.0, "second": 3.0}


def test_an_error_of_a_measure_is_told_with_its_name() -> None:
    class Worst(Measure):
        def compute(self, length: Any) -> float:
            return float(length[99])

    with pytest.raises(BenchError, match=r"measure worst: IndexError: index 99"):
        compute_plugged([Worst], {"length": np.ones(3)})


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ("def compute(self, lenght): ...", "measure 'mine': no column 'lenght' — did you mean 'length'?"),
        ("def compute(self): ...", "measure 'mine': compute asks for no column, such as prompts, prompt_ids, texts"),
        ("def compute(self, *columns): ...", "compute must name its columns one by one, not *columns"),
        ("top: int = 3\n    def compute(self, gold): ...", "measure 'mine' has a setting, 'top': make it a constant"),
        ("better = 'hgiher'\n    def compute(self, gold): ...", "better = 'hgiher' — did you mean 'higher'?"),
        ("name = 'seed'\n    def compute(self, gold): ...", "measure 'seed': records use that name"),
        ("name = 'gold_mine'\n    def compute(self, gold): ...", "measure 'gold_mine': records use that name"),
    ],
)
def test_a_measure_that_cannot_work_is_refused_where_it_is_defined(members: str, told: str) -> None:
    with pytest.raises(BenchError) as caught:
        exec(f"class Mine(Measure):\n    {members}", {"Measure": Measure, "__name__": "mine"})
    assert told in str(caught.value)


def test_the_page_shows_a_measure_with_its_columns_and_documents_every_column() -> None:
    class Silent(Measure):
        """Share of empty completions.

        Of all that π wrote.
        """

        better = "lower"

        def compute(self, texts: list[str]) -> float:
            return texts.count("") / len(texts)

    text = page([Silent])
    assert "- **`silent`** (no unit; lower is better): Share of empty completions.\n" in text
    assert "  Of all that π wrote. From `texts`.\n" in text
    assert all(f"| `{name}` | " in text for name in COLUMNS)


# -- in a run -----------------------------------------------------------------------------------------------


def matrix(*plugins: Path, methods: Any = ("sft", "tell"), **more: Any) -> dict[str, Any]:
    return {
        "name": "toy",
        "tasks": ["toy"],
        "models": {"tiny": TINY},
        "methods": list(methods),
        "seeds": 1,
        "stages": {"preferences": {"pairs": 64, "heldout": 32}},
        "evaluation": {"prompts": 2, "samples": 8, "curve_points": 2, "curve_prompts": 2},
        "plugins": [str(WORLD), *map(str, plugins)],
        **more,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run without a measure of a plug-in (`without`), one with it (`within`), and their `store`."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "good.py").write_text(PLUGIN)
    store = folder / "store"
    assert bench.run(matrix(), out=folder / "without", store=store).counts == {"ok": 2}
    within = bench.run(matrix(folder / "good.py"), out=folder / "within", store=store)
    assert within.counts == {"ok": 2}
    assert within.built == 2, "the evaluations alone"
    return folder


def test_a_measure_is_in_the_records_and_the_others_stay_what_they_were(folder: Path) -> None:
    without, within = (load_run(folder / name).records.set_index("cell") for name in ("without", "within"))
    completions = load_run(folder / "within").completions
    share = completions["completion"].str.contains("good").groupby(completions["cell"]).mean()
    assert within["good_enough"].to_dict() == share.to_dict()
    measures = [name for name in MEASURES if name in without]
    assert within[measures].equals(without[measures])


def test_a_changed_measure_is_computed_anew_and_nothing_is_trained(folder: Path, tmp_path: Path) -> None:
    settings, store = matrix(tmp_path / "good.py"), folder / "store"
    (tmp_path / "good.py").write_text(PLUGIN + "\n# a remark\n")
    assert bench.run(settings, out=tmp_path / "out", store=store).built == 0
    (tmp_path / "good.py").write_text(PLUGIN.replace("/ len(texts)", "/ len(texts) / 4"))
    assert bench.run(settings, out=tmp_path / "out", store=store).built == 2
    before, after = (load_run(run).records["good_enough"] for run in (folder / "within", tmp_path / "out"))
    assert (after == before / 4).all()


def test_only_the_evaluation_s_key_rests_on_a_measure(folder: Path) -> None:
    without, within = (parse_matrix(matrix(*files)) for files in ((), (folder / "good.py",)))
    before, after = (stages_of(read.cells()[0], read, "cpu") for read in (without, within))
    assert {role for role in before if before[role].key != after[role].key} == {"evaluation"}
    assert "measures" not in before["evaluation"].spec


def test_tables_show_a_measure_with_its_label_and_direction_and_need_no_plug_in(folder: Path) -> None:
    run = load_run(folder / "within")
    assert list(run.measures) == [*MEASURES, "good_enough"]
    rows = summarise(run)
    assert set(rows[rows["measure"] == "good_enough"]["arm"]) == {"sft", "tell"}
    assert "good enough (shares) ↑" in main_table(run)
    assert "good enough (shares) ↑" in main_sections(run)[0].frame
    assert not any("good enough" in name for name in main_table(load_run(folder / "without")))
    assert set(equivalences(run, "sft", {"good_enough": 0.1})["measure"]) == {"good_enough"}


def test_a_measure_with_a_direction_can_be_tuned_for(folder: Path) -> None:
    objective = Objective.of(parse_matrix(matrix(folder / "good.py")), "good_enough", None)
    assert objective.maximise
    assert str(objective) == "good enough (higher is better)"
    with pytest.raises(BenchError, match="no measure 'good_enough'"):
        Objective.of(parse_matrix(matrix()), "good_enough", None)


def test_a_measure_that_has_the_name_of_a_method_s_figure_ends_the_cell(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "goods.py").write_text(PLUGIN.replace("GoodEnough", "Goods"))
    settings = matrix(tmp_path / "goods.py", methods=["tell"])
    assert bench.run(settings, out=tmp_path / "out", store=folder / "store").counts == {"failed": 1}
    record = json.loads(next((tmp_path / "out").glob("cells/*/record.json")).read_text())
    assert (
        record["reason"] == "evaluation: measure goods: the method 'tell' reports a figure of that name; rename either"
    )


SIZES = """
from bench import Measure
from bench import COLUMNS

for column in COLUMNS:
    exec(f"class SizeOf_{column}(Measure):\\n    def compute(self, {column}): return len({column})")
"""


def test_every_documented_column_is_given_by_some_world(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sizes.py").write_text(SIZES)
    tasks: dict[str, Any] = {"toy": {}, "strings": {}}
    settings = matrix(tmp_path / "sizes.py", methods=["sft"], tasks=tasks)
    records = bench.run(settings, out=tmp_path / "out", store=folder / "store").records
    assert set(records["status"]) == {"ok"}
    sizes = {name.removeprefix("size_of_"): records[name].dropna() for name in records if name.startswith("size_of_")}
    assert sizes.keys() == COLUMNS.keys()
    of_completions = [name for name, column in COLUMNS.items() if column.per.startswith("completion")]
    assert all((sizes[name] == 16).all() for name in of_completions), "two prompts, eight samples each"
