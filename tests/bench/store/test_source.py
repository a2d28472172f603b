import sys
from pathlib import Path
from types import ModuleType

import pytest

from bench.contracts.stage_settings import STAGES
from bench.store import source
from tests.bench.installed_package import install

ROOT = Path(__file__).parents[3]


@pytest.fixture
def digest(tmp_path):
    def of(**files: str) -> str:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('_in_', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return source.source_digest([tmp_path / "method.py"])

    return of


def test_a_changed_line_changes_the_digest_and_a_comment_does_not(digest):
    first = digest(method="x = 1")
    assert digest(method="x = 1  # one") == first
    assert digest(method="x = 2") != first


def test_a_helper_beside_a_plugin_counts_also_when_imported_late_or_through_another(digest):
    first = digest(method="def f():\n    import helper", helper="import deeper", deeper="y = 1", stranger="z = 1")
    assert digest(deeper="y = 2") != first
    assert digest(deeper="y = 1") == first
    assert digest(stranger="z = 2") == first


def test_relative_imports_and_packages_are_followed(digest):
    first = digest(
        method="import pack.one",
        pack_in___init__="",
        pack_in_one="from .two import f",
        pack_in_two="def f(): return 1",
    )
    assert digest(pack_in_two="def f(): return 2") != first


def test_what_only_a_type_checker_imports_does_not_count(digest):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import helper"
    first = digest(method=text, helper="x = 1")
    assert digest(helper="x = 2") == first


WORDED = """
'''A module.'''
from pydantic import Field
class Method:
    '''A method.'''
    steps: int = Field(3, description="how often")
    '''Steps.'''
    def train(self, n):
        '''Train.'''
        assert n, f"no {n}"
        if n > 4:
            raise ValueError(f"{n} is too much" + " for it") from OSError("no room")
        return "kept"
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A module.", "One file."),
        ("A method.", "It trains."),
        ("        '''Train.'''\n", ""),
        ("'''Steps.'''", "'''How often.'''"),
        ("how often", "updates"),
        ("no {n}", "there is none of {n!r}"),
        ("{n} is too much", "at most 4, not {n}"),
        ("no room", "none"),
    ],
)
def test_another_wording_for_people_does_not_change_the_digest(digest, old, new):
    assert old in WORDED
    assert digest(method=WORDED.replace(old, new)) == digest(method=WORDED)


@pytest.mark.parametrize(
    ("old", "new"),
    [("Field(3", "Field(4"), ("n > 4", "n > 5"), ("raise ValueError", "raise TypeError"), ('"kept"', '"other"')],
)
def test_what_the_code_does_changes_the_digest(digest, old, new):
    assert old in WORDED
    assert digest(method=WORDED.replace(old, new)) != digest(method=WORDED)


def rests_on(file):
    """The names of all files in the digest of one, as far as they are this project's."""
    files, todo = set(), [file.resolve()]
    while todo:
        new = todo.pop()
        if new not in files:
            files.add(new)
            todo += source._read(new, source._stamp(new)).imports
    return {each.relative_to(ROOT).as_posix() for each in files if each.is_relative_to(ROOT)}


@pytest.mark.parametrize("text", ["from bench import Method, Policy", "import bench\nclass M(bench.Method): ..."])
def test_libraries_do_not_count_and_what_the_face_hands_out_does(tmp_path, text):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(f"import torch\nimport json\n{text}")
    found = rests_on(plugin)
    assert {"bench/__init__.py", "bench/workbench/method.py", "bench/contracts/plugin.py"} <= found
    assert ("bench/workbench/policy.py" in found) == ("Policy" in text)
    assert not {file for file in found if file.split("/")[1] in ("cli", "matrix", "running", "records", "analysis")}


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_rests_on_how_a_matrix_is_read_run_or_shown_or_on_all_other_stages(stage):
    rooms = {file.split("/")[1] for file in rests_on(ROOT / "bench" / "stages" / f"{stage}.py")}
    assert not rooms & {"analysis", "authoring", "cli", "judging", "matrix", "records", "running", "tuning"}
    assert "bench/stages/all_stages.py" not in rests_on(ROOT / "bench" / "stages" / f"{stage}.py")


@pytest.mark.parametrize("stage", STAGES)
def test_only_the_evaluation_rests_on_all_measures(stage):
    found = rests_on(ROOT / "bench" / "stages" / f"{stage}.py")
    assert ("bench/measures/registry.py" in found) == (stage == "evaluation")


def test_the_base_model_rests_on_neither_measures_nor_the_workbench():
    found = rests_on(ROOT / "bench" / "stages" / "base.py")
    assert not found & {"bench/workbench/workbench.py", "bench/workbench/policy.py"}
    assert not {file for file in found if file.startswith("bench/measures/")}


def affected(site, module, *changed):
    """By file: does a change of it change the digest of `module`?"""

    def digest():
        return source.source_digest([site / module])

    first, found = digest(), {}
    for name in changed:
        file = site / name
        before = file.read_text()
        file.write_text(before + "\nchanged = True")
        found[name] = digest() != first
        file.write_text(before)
    return found


def test_an_installed_package_is_followed_as_far_as_its_own_modules(tmp_path):
    files = {
        "other_package/__init__.py": "",
        "mine_package/__init__.py": "",
        "mine_package/method.py": "import other_package\nfrom mine_package.maths import deep\nfrom . import beside",
        "mine_package/maths/__init__.py": "",
        "mine_package/maths/deep.py": "from ..constants import X",
        "mine_package/constants.py": "X = 1",
        "mine_package/beside.py": "",
        "mine_package/stranger.py": "",
    }
    site = install(tmp_path / "lib" / "site-packages", "mine", files)
    expected = dict.fromkeys(files, True) | dict.fromkeys(files.keys() & {"other_package/__init__.py"}, False)
    # a package's own __init__ counts where it is imported by its name, as `from mine_package.maths` does
    expected["mine_package/stranger.py"] = False
    assert affected(site, "mine_package/method.py", *files) == expected


def test_a_package_inside_a_namespace_is_followed_too(tmp_path):
    files = {
        "company/aligning/__init__.py": "",
        "company/aligning/method.py": "from company.aligning.helper import f\nfrom company.shared import g",
        "company/aligning/helper.py": "",
        "company/shared.py": "",
        "company/bare/method.py": "from .near import f\nimport company.bare.far",
        "company/bare/near.py": "",
        "company/bare/far.py": "",
    }
    site = install(tmp_path / "site-packages", "company-aligning", files)
    helpers = ("company/aligning/helper.py", "company/shared.py")
    assert affected(site, "company/aligning/method.py", *helpers) == dict.fromkeys(helpers, True)
    bare = ("company/bare/near.py", "company/bare/far.py")
    assert affected(site, "company/bare/method.py", *bare, *helpers) == dict.fromkeys(bare, True) | dict.fromkeys(
        helpers, False
    )


def test_a_lone_installed_module_is_followed_to_what_was_installed_with_it(tmp_path):
    site = tmp_path / "site-packages"
    install(site, "mine", {"method.py": "import helper\nimport library", "helper.py": ""})
    install(site, "library", {"library.py": ""})
    assert affected(site, "method.py", "helper.py", "library.py") == {"helper.py": True, "library.py": False}


def test_a_package_that_is_installed_from_its_checkout_is_followed_there(tmp_path):
    files = {"pack/__init__.py": "", "pack/method.py": "from pack.helper import f", "pack/helper.py": ""}
    install(tmp_path / "checkout" / "src", "pack", files)
    assert affected(tmp_path / "checkout" / "src", "pack/method.py", "pack/helper.py") == {"pack/helper.py": True}


def test_a_module_of_the_project_that_comes_from_another_folder_is_found(tmp_path, monkeypatch):
    assert source.imported_from_elsewhere(ROOT) is None
    stray = ModuleType("methods.stray")
    stray.__file__ = str(tmp_path / "stray.py")
    monkeypatch.setitem(sys.modules, "methods.stray", stray)
    assert source.imported_from_elsewhere(ROOT) == tmp_path / "stray.py"
