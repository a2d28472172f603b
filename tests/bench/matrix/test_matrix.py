"""A matrix file becomes cells, or is refused in one line: the place, the value and the nearest valid one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.contracts.errors import BenchError
from bench.contracts.escaping import command_in
from bench.contracts.stage_settings import TinyModel
from bench.matrix.cells import Matrix
from bench.matrix.reading import builtin_matrices, load_matrix, parse_matrix
from tests.bench.analysis.hostile_labels import REFUSED, SHOWN

PLUGIN = '''
from pathlib import Path
from typing import Literal

from bench import Field, Method, Task


class Climb(Method):
    """A method for tests."""

    kl_weight: float = Field(0.1, ge=0, le=10)
    steps: int = Field(20, ge=1)
    estimator: Literal["soft", "straight_through"] = "soft"
    clip: bool = True
    layers: list[int] = []
    schedule: list[float] | float = 0.5
    betas: tuple[float, float] = (0.9, 0.999)
    init: Path | None = None

    def train(self, workbench):
        return workbench.policy(workbench.sft_model())


class Rest(Method):
    """Another one."""

    def train(self, workbench):
        return workbench.policy(workbench.sft_model())


class Forgetful(Method):
    """Needs what does not exist."""

    needs = {"reward_modle"}

    def train(self, workbench):
        return workbench.policy(workbench.sft_model())


class Garden(Task):
    """A task for tests."""

    noise: float = Field(0.0, ge=0)
    path: Path | None = None
    columns: dict[str, list[str]] = {}
    size: int = Field(8, ge=1)

    max_completion_tokens: int = 4

    def corpus(self, seed): return []
    def demonstrations(self, seed): raise RuntimeError
    def prompts(self, split): raise RuntimeError
    def references(self): raise RuntimeError


class Strict(Task):
    """One setting is required."""

    path: Path
    max_completion_tokens: int = 4

    def corpus(self, seed): return []
    def demonstrations(self, seed): raise RuntimeError
    def prompts(self, split): raise RuntimeError
    def references(self): raise RuntimeError
'''

MINIMAL = "tasks: garden\nmethods: [climb]\nplugins: garden.py\n"

Read = Callable[[str], Matrix]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Loads a matrix of the given text; the plug-in `garden.py` is added to it."""
    (tmp_path / "garden.py").write_text(PLUGIN)

    def load(text: str) -> Matrix:
        file = tmp_path / "demo.yaml"
        file.write_text(text if "plugins:" in text else text + "\nplugins: [garden.py]\n")
        return load_matrix(file)

    return load


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(BenchError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert len(re.sub(r"/\S*/", "", message)) < 300
    return message


KEYS = ("name", "tasks", "models", "methods", "seeds", "stages", "evaluation", "plugins", "claims")


# -- what is read ------------------------------------------------------------------------------------------


def test_the_least_matrix_has_defaults_for_the_rest(read: Read) -> None:
    matrix = read(MINIMAL)
    assert matrix.name == "demo"
    assert [(m.label, m.source) for m in matrix.models] == [("tiny", TinyModel())]
    assert matrix.seeds == (0, 1, 2)
    assert [cell.id for cell in matrix.cells()] == [f"garden-tiny-climb-seed{i}" for i in range(3)]
    assert [cell.index for cell in matrix.cells()] == [0, 1, 2]


def test_a_full_matrix_spans_tasks_models_methods_and_seeds(read: Read) -> None:
    matrix = read(
        """
name: everything
tasks: {garden: {noise: 0.3}, wild: {task: garden, noise: [0.5, 1]}}
models: {tiny: , small: {model: tiny, layers: 1}}
methods:
  rest:
  climb without KL: {method: climb, kl_weight: 0}
  climb: {kl_weight: [0.1, 1e-3], clip: [true, false]}
seeds: [7, 11]
stages: {sft: {epochs: 1}, preferences: {pairs: 10}}
evaluation: {prompts: 5}
"""
    )
    assert matrix.name == "everything"
    assert [t.label for t in matrix.tasks] == ["garden", "wild noise=0.5", "wild noise=1"]
    assert [t.task.noise for t in matrix.tasks] == [0.3, 0.5, 1.0]  # type: ignore[attr-defined]
    assert [m.source.layers for m in matrix.models] == [2, 1]  # type: ignore[union-attr]
    assert [a.label for a in matrix.arms] == [
        "rest",
        "climb without KL",
        "climb kl_weight=0.1 clip=true",
        "climb kl_weight=0.1 clip=false",
        "climb kl_weight=0.001 clip=true",
        "climb kl_weight=0.001 clip=false",
    ]
    assert matrix.arms[1].method.kl_weight == 0  # type: ignore[attr-defined]
    assert matrix.arms[4].method.kl_weight == 1e-3  # type: ignore[attr-defined]
    assert (matrix.stages.sft.epochs, matrix.stages.preferences.pairs) == (1, 10)
    assert matrix.evaluation.prompts == 5
    cells = matrix.cells()
    assert len(cells) == 3 * 2 * 6 * 2
    assert cells[3].id == "garden-tiny-climb_without_KL-seed11"
    assert cells[-1].id == "wild_noise_1-small-climb_kl_weight_0.001_clip_false-seed11"


def test_lists_are_no_grid_where_the_setting_is_a_list_itself(read: Read) -> None:
    matrix = read(
        "tasks: {garden: {columns: {prompt: [a, b]}}}\n"
        "methods: {climb: {layers: [], schedule: [1, 2], betas: [0.5, 0.6]}}\n"
    )
    (arm,) = matrix.arms
    assert arm.method.model_dump(include={"layers", "schedule", "betas"}) == {
        "layers": [],
        "schedule": [1.0, 2.0],
        "betas": (0.5, 0.6),
    }
    assert matrix.tasks[0].task.columns == {"prompt": ["a", "b"]}  # type: ignore[attr-defined]


def test_an_arm_may_have_stages_of_its_own_over_the_matrixs(read: Read) -> None:
    matrix = read(
        """
tasks: garden
methods:
  climb:
  climb few: {method: climb, stages: {preferences: {pairs: 50}}}
  grid: {method: climb, steps: [1, 2], stages: {preferences: {pairs: [10, 20]}, sft: {batch_size: 8}}}
stages: {sft: {epochs: 1}, preferences: {pairs: 100, heldout: 30}}
"""
    )
    told = [(a.label, a.stages.preferences.pairs, a.stages.sft.batch_size) for a in matrix.arms]
    assert told == [
        ("climb", 100, 32),
        ("climb few", 50, 32),
        ("grid steps=1 preferences.pairs=10", 10, 8),
        ("grid steps=1 preferences.pairs=20", 20, 8),
        ("grid steps=2 preferences.pairs=10", 10, 8),
        ("grid steps=2 preferences.pairs=20", 20, 8),
    ]
    assert {(a.stages.sft.epochs, a.stages.preferences.heldout) for a in matrix.arms} == {(1, 30)}
    assert matrix.arms[0].stages == matrix.stages
    described = matrix.description()["methods"]
    assert "stages" not in described["climb"]
    assert described["climb few"]["stages"]["preferences"] == {"pairs": 50, "heldout": 30}
    again = parse_matrix({key: value for key, value in matrix.description().items() if key != "name"}, "demo")
    assert again.arms == matrix.arms


def test_an_arm_may_run_on_some_tasks_alone(read: Read) -> None:
    text = """
tasks: {one: {task: garden}, two: {task: garden, size: 7}}
methods:
  rest:
  climb: {tasks: two}
  faster: {method: climb, kl_weight: [1, 2], tasks: [one, two]}
seeds: 1
plugins: garden.py
"""
    matrix = read(text)
    where = {arm.label: {cell.task.label for cell in matrix.cells() if cell.arm == arm} for arm in matrix.arms}
    both = {"one", "two"}
    assert where == {"rest": both, "climb": {"two"}, "faster kl_weight=1": both, "faster kl_weight=2": both}
    assert matrix.description()["methods"]["climb"]["tasks"] == ["two"]
    assert parse_matrix(matrix.description()).cells() == matrix.cells()
    message = refusal(lambda: read(text.replace("tasks: two", "tasks: tow")))
    assert "climb.tasks" in message
    assert "'two'" in message


def test_claims_are_a_file_or_a_built_in_one(read: Read, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("[]")
    assert read(MINIMAL + "claims: mine.yaml\n").claims == tmp_path / "mine.yaml"
    built_in = read(MINIMAL + "claims: documents\n")
    assert built_in.claims.name == "documents.yaml"  # type: ignore[union-attr]
    assert built_in.description()["claims"] == "documents"
    assert parse_matrix(built_in.description()).claims == built_in.claims
    assert "'documents'" in refusal(lambda: read(MINIMAL + "claims: documets\n"))


def test_relative_paths_start_at_the_matrix_file(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    for name in ("data/a.json", "b.json"):
        (tmp_path / name).write_text("[]")
    monkeypatch.chdir(tmp_path / "data")
    matrix = read(
        f"tasks: {{wild: {{task: garden, path: [data/a.json, {tmp_path}/b.json]}}}}\n"
        "methods: {climb: {init: data/../b.json}}\n"
    )
    assert [t.label for t in matrix.tasks] == ["wild path=data/a.json", f"wild path={tmp_path}/b.json"]
    paths = [t.task.path for t in matrix.tasks]  # type: ignore[attr-defined]
    assert paths == [tmp_path / "data/a.json", tmp_path / "b.json"]
    assert matrix.arms[0].method.init == tmp_path / "data/../b.json"  # type: ignore[attr-defined]
    assert matrix.plugins == (tmp_path / "garden.py",)
    assert read("tasks: garden\nmethods: rest\nplugins: [garden.py, data/../garden.py]\n").plugins == matrix.plugins


def test_a_folder_of_plug_ins_stays_a_folder_and_only_what_is_used_has_to_work(read: Read, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "shed.py").write_text((tmp_path / "garden.py").read_text())
    (folder / "damaged.py").write_text("1 / 0")
    (tmp_path / "garden.py").unlink()
    matrix = read("tasks: garden\nmethods: rest\nplugins: more\n")
    assert matrix.plugins == (folder,)
    with pytest.raises(BenchError, match=r"unknown method 'damage'.*damaged\.py could not be searched: ZeroDivision"):
        read("tasks: garden\nmethods: damage\nplugins: more\n")


def test_models_are_tiny_or_a_folder_or_on_the_hub(read: Read, tmp_path: Path) -> None:
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "config.json").write_text("{}")
    (tmp_path / "my" / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")  # no weights, and no layers
    matrix = read("tasks: garden\nmethods: rest\nmodels: [tiny, my, openai-community/gpt2]\n")
    assert [m.source for m in matrix.models] == [TinyModel(), tmp_path / "my", "openai-community/gpt2"]
    labelled = read(f"tasks: garden\nmethods: rest\nmodels: {{mine: {{model: {tmp_path / 'my'}}}}}\n")
    assert [(m.label, m.source) for m in labelled.models] == [("mine", tmp_path / "my")]


def test_numbers_and_words_are_those_of_yaml_1_2(read: Read) -> None:
    matrix = read("tasks: garden\nmethods: {climb: {kl_weight: [1e-3, 2E+0, .5, 010], steps: 1_000}}\n")
    assert [a.method.kl_weight for a in matrix.arms] == [0.001, 2.0, 0.5, 10]  # type: ignore[attr-defined]
    assert matrix.arms[0].method.steps == 1000  # type: ignore[attr-defined]
    assert read("tasks: garden\nmethods: {no: {method: rest}, 1: {method: climb}}\n").arms[0].label == "no"


def test_anchors_aliases_and_merge_keys_work(read: Read) -> None:
    matrix = read(
        """
tasks: garden
methods:
  climb: &mine {kl_weight: 2, steps: 5}
  climb more: {steps: 6, <<: *mine, method: climb}
"""
    )
    assert matrix.arms[1].method.model_dump(include={"kl_weight", "steps"}) == {"kl_weight": 2.0, "steps": 6}


def test_python_mappings_read_the_same(read: Read, tmp_path: Path) -> None:
    read(MINIMAL)  # writes the plug-in
    mapping = {
        "tasks": {"garden": {"path": tmp_path / "garden.py"}},
        "methods": {"climb": {"kl_weight": (0.1, 1)}},
        "seeds": (4,),
    }
    matrix = parse_matrix(mapping, "here", [tmp_path / "garden.py"])
    assert matrix.name == "here"
    assert [cell.id for cell in matrix.cells()] == [
        "garden-tiny-climb_kl_weight_0.1-seed4",
        "garden-tiny-climb_kl_weight_1-seed4",
    ]
    message = refusal(
        lambda: parse_matrix(mapping | {"methods": {"climb": {"kl_wait": 1}}}, "here", [tmp_path / "garden.py"])
    )
    assert message == "here: methods.climb.kl_wait: unknown setting of method 'climb' — did you mean 'kl_weight'?"
    assert "is nothing that a matrix can hold" in refusal(lambda: parse_matrix({"tasks": object()}, "here"))


def test_description_is_json_with_every_default(read: Read) -> None:
    description = read(MINIMAL).description()
    assert json.loads(json.dumps(description)) == description
    assert description["methods"]["climb"]["kl_weight"] == 0.1
    assert description["models"]["tiny"] == {"model": "tiny", **TinyModel().model_dump()}
    assert description["stages"]["sft"]["batch_size"] == 32


# -- cells -------------------------------------------------------------------------------------------------


def test_ids_are_safe_and_unique_even_where_labels_look_alike(read: Read) -> None:
    labels = ["a b", "a/b", "A_b", "方法", "法", "../../x", "long " * 60]
    methods = [f"  '{label}': {{method: climb, steps: {i}}}" for i, label in enumerate(labels, 1)]
    cells = read("tasks: garden\nmethods:\n" + "\n".join(methods) + "\nseeds: 2\n").cells()
    assert len({cell.id.lower() for cell in cells}) == 2 * len(labels)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", cell.id) for cell in cells)
    assert all(len(cell.id) < 200 for cell in cells)


def test_only_selects_by_any_key_and_joins_conditions(read: Read) -> None:
    matrix = read(
        """
tasks: {garden: , wild: {task: garden, noise: 1}}
methods: {rest: , climb: {kl_weight: [0.1, 1]}}
seeds: 2
"""
    )

    def count(*only: str) -> int:
        return len(matrix.select(only))

    assert count() == 12
    assert count("task=wild") == 6
    assert count("task=garden") == 12  # both tasks are gardens
    assert count("method=climb") == 8
    assert count("arm=climb kl_weight=0.1", "seed=1") == 2
    assert count("method=rest", "method=climb", "seed=0") == 6
    assert count("model=tiny") == 12
    assert [cell.index for cell in matrix.select(["seed=1", "task=wild"])] == [7, 9, 11]
    assert "did you mean 'method'" in refusal(lambda: matrix.select(["methods=rest"]))
    assert "no method 'climbs' in demo — did you mean 'climb'" in refusal(lambda: matrix.select(["method=climbs"]))
    assert "'rest' is not a key of KEY=VALUE" in refusal(lambda: matrix.select(["rest"]))
    assert "no cell of demo satisfies" in refusal(lambda: matrix.select(["method=rest", "arm=climb kl_weight=1"]))


# -- what is refused ---------------------------------------------------------------------------------------

SETTINGS = [
    # (settings of climb in one line, what the refusal must say)
    (
        "{kl_wieght: 1}",
        "methods.climb.kl_wieght: unknown setting of method 'climb' — did you mean 'kl_weight'?",
    ),
    ("{kl_weight: -1}", "methods.climb.kl_weight: -1 must be greater than or equal to 0"),
    ("{kl_weight: 11}", "methods.climb.kl_weight: 11 must be less than or equal to 10"),
    ("{kl_weight: [0.1, 11]}", "methods.climb.kl_weight: 11 must be less than or equal to 10"),
    ("{kl_weight: .nan}", "methods.climb.kl_weight: NaN must be a finite number"),
    ("{kl_weight: much}", "methods.climb.kl_weight: 'much' must be a number"),
    ("{kl_weight: '3'}", "methods.climb.kl_weight: '3' must be a number"),
    ("{kl_weight: true}", "methods.climb.kl_weight: true must be a number"),
    ("{kl_weight: }", "methods.climb.kl_weight: null must be a number"),
    ("{kl_weight: []}", "methods.climb.kl_weight: an empty grid"),
    ("{steps: true}", "methods.climb.steps: true must be a whole number"),
    ("{steps: yes}", "methods.climb.steps: 'yes' must be a whole number"),
    ("{steps: 2.5}", "methods.climb.steps: 2.5 must be a whole number"),
    ("{clip: yes}", "methods.climb.clip: 'yes' must be true or false"),
    ("{estimator: sofft}", "methods.climb.estimator: 'sofft' is none of its choices — did you mean 'soft'?"),
    ("{schedule: x}", "methods.climb.schedule: 'x' must be a list or a number"),
    ("{layers: [1, x]}", "methods.climb.layers.1: 'x' must be a whole number"),
    ("{init: gardn.py}", "methods.climb.init: no file or folder 'gardn.py' — did you mean 'garden.py'?"),
    ("{kl_weight: -1, steps: 0, kl: 2}", "methods.climb.kl: unknown setting of method 'climb'"),
    ("{kl_weight: -1, steps: 0, clip: 2}", "greater than or equal to 0 (and 2 more)"),
    ("3", "methods.climb: 3 must be a mapping of settings"),
]


@pytest.mark.parametrize(("settings", "told"), SETTINGS)
def test_a_wrong_setting_is_refused_with_its_line(read: Read, settings: str, told: str) -> None:
    message = refusal(lambda: read(f"tasks: garden\nmethods:\n  rest:\n  climb: {settings}\n"))
    assert told in message
    assert "demo.yaml, line 4: " in message


STAGED = """
from bench import Method


class Staged(Method):
    stages: int = 3

    def train(self, workbench): raise RuntimeError
"""
G = "tasks: garden\nmethods: [rest]\n"
LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "\n".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)
MATRICES = [
    # (matrix, line or None, what the refusal must say)
    ("task: garden\nmethods: [climb]", 1, "task: unknown key — did you mean 'tasks'?"),
    ("methods: [climb]", None, "the key 'tasks' is missing"),
    ("tasks: garden", None, "the key 'methods' is missing"),
    ("tasks: garden\nmethods:\n- rest\n- clmib", 4, "unknown method 'clmib' — did you mean 'climb'?"),
    ("tasks: gardn\nmethods: [climb]", 1, "tasks: unknown task 'gardn' — did you mean 'garden'?"),
    ("tasks: garden\nmethods:\n  a b:\n    steps: 3", 3, "(beside a label of your own, say `method: NAME`)"),
    ("tasks: garden\nmethods: {a: {method: 3}}", 2, "methods.a.method: 3 is not the name of a method"),
    ("tasks: garden\nmethods: {rest: {kl: 1}}", 2, "unknown setting of method 'rest' — it has none"),
    ("tasks: garden\nmethods: []", 2, "methods: empty"),
    ("tasks: {}\nmethods: [rest]", 1, "tasks: empty"),
    ("tasks:\nmethods: [rest]", 1, "tasks: empty"),
    (G + "seeds: []", 3, "seeds: empty"),
    (G + "models: []", 3, "models: empty"),
    ("tasks: garden\nmethods: [rest, {climb: 1}]", 2, 'methods.1: {"climb": 1} is not the name of a method'),
    ("tasks: 7\nmethods: [rest]", 1, "tasks: 7 must be a mapping"),
    ("tasks: garden\nmethods: [rest, rest]", 2, "duplicate: there are two methods labelled 'rest'"),
    ("tasks: garden\nmethods:\n  rest:\n  rest:", 4, "methods.rest is there twice; the first is in line 3"),
    (
        "tasks: garden\nmethods:\n  climb: {steps: [1, 2]}\n  climb steps=1: {method: climb, kl_weight: 3}",
        4,
        "there are two methods labelled 'climb steps=1'",
    ),
    (
        "tasks: garden\nmethods:\n  climb:\n  as before: {method: climb, steps: 20}",
        4,
        "'as before' is the same method as 'climb'",
    ),
    ("tasks: garden\nmethods: {climb: {steps: [1, 1]}}", 2, "two methods labelled 'climb steps=1'"),
    ("tasks: [garden, garden]\nmethods: [rest]", 1, "two tasks labelled 'garden'"),
    ("tasks: garden\nmethods: [forgetful]", 2, "unknown stage 'reward_modle' — did you mean 'reward_model'?"),
    (G + "seeds: 0", 3, "seeds: 0 is not between 1 and 1000"),
    (G + "seeds: true", 3, "seeds: true must be a whole number"),
    (G + "seeds: [1, x]", 3, "seeds.1: 'x' must be a whole number"),
    (G + "seeds: [1, -1]", 3, "seeds.1: -1 must be a whole number from 0"),
    (G + "seeds: [1, true]", 3, "seeds.1: true must be"),
    (G + "seeds:\n- 1\n- 1", 5, "seeds.1: duplicate: the seed 1"),
    (G + "name: ../x", 3, "name: '../x' must be made of letters"),
    ("tasks: {strict: }\nmethods: [rest]", 1, "tasks.strict: task 'strict' needs the setting 'path'"),
    ("tasks: {strict: {pth: x}}\nmethods: [rest]", 1, "tasks.strict.pth: unknown setting of task 'strict'"),
    (G + "stages: {sfft: {}}", 3, "stages.sfft: unknown setting of stages — did you mean 'sft'"),
    (
        G + "stages:\n  sft:\n    epoch: 3",
        5,
        "stages.sft.epoch: unknown setting of stages — did you mean 'epochs'",
    ),
    (G + "stages: {sft: 3}", 3, "stages.sft: 3 must be a mapping of settings"),
    (
        "tasks: garden\nmethods:\n  climb:\n    stages:\n      preferences: {pars: 3}",
        5,
        "methods.climb.stages.preferences.pars: unknown setting of stages — did you mean 'pairs'",
    ),
    (
        "tasks: garden\nmethods: {climb: {stages: {preferences: {pairs: [5, 0]}}}}",
        2,
        "methods.climb.stages.preferences.pairs: 0 must be greater than",
    ),
    ("tasks: garden\nmethods: {climb: {stages: {sft: {epochs: []}}}}", 2, "stages.sft.epochs: an empty grid"),
    ("tasks: garden\nmethods: {climb: {stages: {sft: 3}}}", 2, "climb.stages.sft: 3 must be a mapping of settings"),
    ("tasks: garden\nmethods: {climb: {stages: 3}}", 2, "climb.stages: 3 must be a mapping of settings"),
    (
        "tasks: garden\nmethods:\n  rest:\n  same: {method: rest, stages: {preferences: {pairs: 2000}}}",
        4,
        "'same' is the same method as 'rest'",
    ),
    (
        "tasks: garden\nmethods: [rest]\nplugins: staged.py",
        None,
        "method 'staged' has a hyper-parameter `stages`, which is a matrix's key",
    ),
    (G + "evaluation: {prompts: 0}", 3, "evaluation.prompts: 0 must be greater than"),
    (G + "evaluation: 3", 3, "evaluation: 3 must be a mapping"),
    (G + "models: {tiny: {layer: 1}}", 3, "unknown setting of model 'tiny' — did you mean 'layers'?"),
    (G + "models: tinny", 3, "no model 'tinny' — did you mean 'tiny'?"),
    (G + "models: ./models/gtp2", 3, "no model './models/gtp2' — did you mean 'models/gpt2'?"),
    (G + "models: models/gtp2", 3, "no model 'models/gtp2' — did you mean 'models/gpt2'?"),
    (G + "models: models", 3, "the folder 'models' holds no model"),
    (G + "models: {a/b: {layers: 2}}", 3, "models.a/b.layers: only a tiny model has"),
    (G + "plugins: gardne.py", 3, "no file 'gardne.py' — did you mean 'garden.py'?"),
    (G + "plugins: [garden.py, models/gpt2]", 3, "no plug-in in the folder "),
    (G + "plugins: {a: b}", 3, 'plugins: {"a": "b"} must be a list'),
    (
        "tasks: garden\nmethods: [climb]\nplugins: broken.py",
        None,
        "broken.py cannot be imported: ZeroDivisionError",
    ),
    ("tasks: garden\nmethods: [rest", 3, "malformed YAML: "),
    ("tasks: garden\n\tmethods: [rest]", 2, "malformed YAML: "),
    (
        "tasks: garden\nmethods: {climb: {layers: !!python/tuple [1]}}",
        2,
        "the tag !!python/tuple is not allowed",
    ),
    ("tasks: garden\nmethods: {climb: {steps: !!int 3}}", 2, "the tag !!int is not allowed"),
    ("tasks: *nothing", 1, "found undefined alias"),
    ("tasks: &x [*x]", 1, "this anchor contains itself"),
    ("? [a]\n: 1", 1, "a key must be a word"),
    ("tasks: garden\n---\nmethods: [rest]", 2, "malformed YAML: "),
    ("tasks: garden\nname: \x07", 2, "malformed YAML: a control character"),
    ("tasks: " + "[" * 5000, None, "nested too deeply"),
    (LAUGHS, None, "more than 100000 values"),
]


@pytest.mark.parametrize(("text", "line", "told"), MATRICES)
def test_a_wrong_matrix_is_refused_with_its_line(
    read: Read, tmp_path: Path, text: str, line: int | None, told: str
) -> None:
    (tmp_path / "models" / "gpt2").mkdir(parents=True)
    (tmp_path / "models" / "gpt2" / "config.json").write_text("{}")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "staged.py").write_text(STAGED)
    message = refusal(lambda: read(text))
    assert told in message
    if line is not None:
        assert f"demo.yaml, line {line}" in message


@pytest.mark.parametrize(("text", "value"), [("- tasks\n- methods", '["tasks", "methods"]'), ("", "null"), ("7", "7")])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / "demo.yaml").write_text(text)
    message = refusal(lambda: load_matrix(tmp_path / "demo.yaml"))
    assert "demo.yaml" in message
    assert message.endswith(f"a matrix is a mapping with the keys {', '.join(KEYS)}, not {value}")


def test_a_missing_file_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(MINIMAL)
    assert "dmo.yaml' — did you mean 'demo.yaml'?" in refusal(lambda: load_matrix(tmp_path / "dmo.yaml"))
    assert "'quikstart' — did you mean 'quickstart'?" in refusal(lambda: load_matrix("quikstart"))


def test_a_crowded_folder_does_not_make_the_message_long(tmp_path: Path) -> None:
    for i in range(100):
        (tmp_path / f"{i}.yaml").write_text(MINIMAL)
    assert refusal(lambda: load_matrix(tmp_path)).endswith("… (100 in all)")


def test_folders_and_other_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_bytes(b"tasks: a\nname: \xff\n")
    assert "is a folder, not a matrix file — valid: demo.yaml" in refusal(lambda: load_matrix(tmp_path))
    assert "demo.yaml, line 2: not UTF-8: byte 0xff" in refusal(lambda: load_matrix(tmp_path / "demo.yaml"))


# -- built-in ----------------------------------------------------------------------------------------------


def test_every_built_in_matrix_has_a_description_and_loads() -> None:
    described = builtin_matrices()
    assert "quickstart" in described
    for name, description in described.items():
        assert description
        assert load_matrix(name).cells()


def test_quickstart_compares_the_methods_with_and_without_kl() -> None:
    matrix = load_matrix("quickstart")
    assert [t.label for t in matrix.tasks] == ["reviews"]
    assert {arm.method.name for arm in matrix.arms} == {
        "base",
        "sft",
        "lima",
        "dpo",
        "best_of_n",
        "ppo",
        "reward_gradient",
    }
    weights = {a.label: a.method.kl_weight for a in matrix.arms if hasattr(a.method, "kl_weight")}
    assert weights == {
        "ppo": 0.1,
        "ppo without KL": 0,
        "reward_gradient": 0.1,
        "reward_gradient without KL": 0,
    }
    assert len(matrix.cells()) == 9 * 3


def test_too_many_cells_are_refused_at_once_with_what_multiplies(read: Read) -> None:
    many = list(range(1, 301))
    with pytest.raises(BenchError, match=r"methods\.climb: 90,000 points of a grid, steps \(300\) × kl_weight \(300\)"):
        read(f"tasks: garden\nmethods: {{climb: {{steps: {many}, kl_weight: {[n / 100 for n in many]}}}}}\n")
    with pytest.raises(BenchError, match=r"300,000 cells, 1 tasks × 1 models × 300 arms × 1000 seeds; the most is"):
        read(f"tasks: garden\nmethods: {{climb: {{steps: {many}}}}}\nseeds: 1000\n")


@pytest.mark.parametrize("name", ["x" * 5000, "~nosuchuser/x", "a\\0b"])
def test_what_can_be_the_name_of_no_file_is_refused_where_it_stands(read: Read, name: str) -> None:
    for text, place in (
        (f'models: {{t: {{model: "{name}"}}}}', "models.t"),
        (f'plugins: ["{name}"]', "plugins.0"),
        (f'claims: "{name}"', "claims"),
    ):
        with pytest.raises(BenchError, match=rf"line 3: {place}: .*(can be the name of no file|there is no user)"):
            read(f"tasks: garden\nmethods: rest\n{text}\n")


@pytest.mark.parametrize(("label", "named"), REFUSED.items())
@pytest.mark.parametrize("section", ["tasks", "models", "methods"])
def test_a_label_that_no_table_can_show_is_refused_by_the_character(section: str, label: str, named: str) -> None:
    name = {"tasks": {"task": "strings"}, "models": {"model": "tiny"}, "methods": {"method": "sft"}}[section]
    with pytest.raises(BenchError) as caught:
        parse_matrix({"tasks": "strings", "methods": "sft", section: {label: name}})
    assert str(caught.value).startswith(f"matrix: {section}: ")
    assert str(caught.value).endswith(f": no table can show {named} in a label")
    assert command_in(str(caught.value)) is None


def test_any_other_label_is_taken_as_it_is() -> None:
    arms = {label: {"method": "dpo", "beta": (i + 1) / 100} for i, label in enumerate(SHOWN)}
    assert [arm.label for arm in parse_matrix({"tasks": "strings", "methods": arms}).arms] == list(SHOWN)
