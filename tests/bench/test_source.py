import importlib

import pytest

from bench import source


@pytest.fixture
def digest(tmp_path):
    def of(**files: str) -> str:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('_in_', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.reload(source)  # forget the files read so far, as a new process does
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


def test_libraries_do_not_count_and_the_contracts_do(tmp_path):
    importlib.reload(source)
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import torch\nimport json\nfrom bench import Method")
    files = {plugin}
    todo = [plugin]
    while todo:
        found = set(source._imports(todo.pop())) - files
        files |= found
        todo += found
    names = {file.name for file in files}
    assert {"contracts.py", "workbench.py", "policy.py"} <= names
    assert {file.parent.name for file in files} == {tmp_path.name, "bench"}
    assert not names & {"cli.py", "matrix.py", "schedule.py"}
