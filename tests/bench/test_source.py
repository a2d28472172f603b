import ast

import pytest
from installed_package import install

from bench import source


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


def imports_of(file):
    return source._imports(file, ast.parse(file.read_text()))


def test_libraries_do_not_count_and_the_contracts_do(tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import torch\nimport json\nfrom bench import Method")
    files = {plugin}
    todo = [plugin]
    while todo:
        found = set(imports_of(todo.pop())) - files
        files |= found
        todo += found
    names = {file.name for file in files}
    assert {"contracts.py", "workbench.py", "policy.py"} <= names
    assert {file.parent.name for file in files} == {tmp_path.name, "bench"}
    assert not names & {"app.py", "matrix.py", "schedule.py"}


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
