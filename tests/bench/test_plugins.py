"""Methods and tasks are found; what is unknown, ambiguous or broken is named with its file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import methods as methods_package
from bench import plugins
from bench.errors import BenchError
from bench.method import Method

METHOD = '''
from bench import Method

class {cls}(Method):
    """A method for tests."""
    def train(self, workbench):
        return workbench.policy(workbench.sft_model())
'''


def write(file: Path, *classes: str, extra: str = "") -> Path:
    file.write_text("\n".join(METHOD.format(cls=cls) for cls in classes) + extra)
    return file


def test_a_file_adds_its_concrete_methods_only(tmp_path: Path) -> None:
    extra = """
class Unfinished(Method):
    \"\"\"No train: abstract.\"\"\"

class _Helper(MyBest):
    \"\"\"Not for others.\"\"\"

class BetterBest(MyBest):
    name = "better"

Alias = BetterBest
"""
    file = write(tmp_path / "mine.py", "MyBest", extra=extra)
    found = set(plugins.methods([file])) - set(plugins.methods())
    assert found == {"my_best", "better"}


def test_what_a_plug_in_merely_imports_is_not_its_own(tmp_path: Path) -> None:
    write(tmp_path / "first_of_two.py", "First")
    second = write(tmp_path / "second.py", "Second", extra="\nfrom first_of_two import First\n")
    assert set(plugins.methods([second])) - set(plugins.methods()) == {"second"}


def test_every_built_in_class_is_of_its_kind_and_named_as_its_key() -> None:
    assert all(issubclass(cls, Method) and cls.name == key for key, cls in plugins.methods().items())
    assert "reviews" in plugins.tasks()


def test_packages_and_modules_of_the_methods_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large").mkdir()
    write(tmp_path / "large" / "inner.py", "Large")
    (tmp_path / "large" / "__init__.py").write_text("from methods.large.inner import Large\n")
    write(tmp_path / "small.py", "Small")
    monkeypatch.setattr(methods_package, "__path__", [str(tmp_path)])
    try:
        assert set(plugins.methods()) == {"large", "small"}
    finally:
        for name in ("large", "large.inner", "small"):
            sys.modules.pop(f"methods.{name}", None)


def test_a_broken_built_in_is_listed_and_the_others_still_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "fine.py", "Fine")
    (tmp_path / "damaged.py").write_text("x = 1\nimport no_such_library\n")
    monkeypatch.setattr(methods_package, "__path__", [str(tmp_path)])
    try:
        assert set(plugins.methods()) == {"fine"}
        ((file, error),) = plugins.broken().items()
        assert file == str(tmp_path / "damaged.py")
        assert "no_such_library" in error
        assert "line 2" in error
        with pytest.raises(BenchError, match=r"unknown method 'damaged'.*damaged\.py could not be searched"):
            plugins.find_method("damaged")
    finally:
        sys.modules.pop("methods.fine", None)


def test_unknown_names_come_with_the_nearest(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py", "MyBest")
    assert plugins.find_method("my_best", [file]).name == "my_best"
    with pytest.raises(BenchError, match="unknown method 'my_bets' — did you mean 'my_best'"):
        plugins.find_method("my_bets", [file])
    with pytest.raises(BenchError, match="unknown task 'reveiws' — did you mean 'reviews'"):
        plugins.find_task("reveiws")


def test_two_methods_of_one_name_are_refused_with_both_files(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one.py", "Same"), write(tmp_path / "two.py", "Same")
    with pytest.raises(BenchError) as caught:
        plugins.methods([one, two])
    assert all(text in str(caught.value) for text in ("'same'", str(one), str(two)))


def test_naming_a_file_twice_is_no_collision(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py", "Same")
    assert "same" in plugins.methods([file, tmp_path / "gone" / ".." / "mine.py"])


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1\nraise RuntimeError('boom')\n", "RuntimeError: boom (line 2)"),
        ("def f(:\n", "SyntaxError: invalid syntax (line 1)"),
        ("import sys\nsys.exit('bye')\n", "SystemExit: bye (line 2)"),
    ],
)
def test_a_broken_file_is_told_with_its_own_error(tmp_path: Path, source: str, told: str) -> None:
    file = tmp_path / "bad.py"
    file.write_text(source)
    with pytest.raises(BenchError) as caught:
        plugins.load(file)
    assert str(file) in str(caught.value)
    assert told in str(caught.value)
    assert plugins.broken([file]) == {str(file): told}


def test_missing_file_and_wrong_suffix_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "mine.py", "MyBest")
    with pytest.raises(BenchError, match=r"no plug-in file .*mnie\.py' — did you mean 'mine\.py'"):
        plugins.load(tmp_path / "mnie.py")
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(BenchError, match=r"mine\.txt is not a Python file"):
        plugins.load(tmp_path / "mine.txt")
    with pytest.raises(BenchError, match="cannot be read: Is a directory"):
        plugins.load(tmp_path)


def test_a_file_is_imported_again_only_when_it_changed(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py", "Before")
    first = plugins.load(file)
    assert plugins.load(file) is first
    assert sys.modules[first.__name__] is first
    write(file, "After1")  # as long as before, within the clock's resolution
    assert hasattr(plugins.load(file), "After1")
    assert plugins.load(file).__name__ == first.__name__


def test_listing_everything_loads_no_heavy_library() -> None:
    code = """
import sys
from bench import matrix, plugins
plugins.methods(), plugins.tasks(), plugins.broken(), matrix.builtin_matrices()
matrix.load_matrix("quickstart")
heavy = {"torch", "transformers", "trl", "datasets", "pandas", "matplotlib", "scipy"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) or None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
