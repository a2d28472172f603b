"""Methods and tasks are found; what is unknown, ambiguous or broken is named with its file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import methods as methods_package
from bench import CONTRACT
from bench.catalogue import plugin_files, plugins
from bench.catalogue.plugged_measures import plugged_measures
from bench.contracts.errors import BenchError
from bench.workbench.method import Method
from tests.bench.installed_package import install

METHOD = '''
from bench import Method

class {cls}(Method):
    """A method for tests."""
    def train(self, workbench):
        return workbench.policy(workbench.sft_model())
'''


MEASURE = '''
from bench import Measure

class {cls}(Measure):
    """A measure for tests."""
    def compute(self, length):
        return length.mean()
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
        plugin_files.load(file)
    assert str(file) in str(caught.value)
    assert told in str(caught.value)
    assert plugins.broken([file]) == {str(file): told}


def test_missing_file_and_wrong_suffix_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "mine.py", "MyBest")
    with pytest.raises(BenchError, match=r"no plug-in file .*mnie\.py' — did you mean 'mine\.py'"):
        plugin_files.load(tmp_path / "mnie.py")
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(BenchError, match=r"mine\.txt is not a Python file"):
        plugin_files.load(tmp_path / "mine.txt")
    with pytest.raises(BenchError, match="cannot be read: Is a directory"):
        plugin_files.load(tmp_path)


def test_a_file_is_imported_again_only_when_it_changed(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py", "Before")
    first = plugin_files.load(file)
    assert plugin_files.load(file) is first
    assert sys.modules[first.__name__] is first
    write(file, "After1")  # as long as before, within the clock's resolution
    assert hasattr(plugin_files.load(file), "After1")
    assert plugin_files.load(file).__name__ == first.__name__


def test_listing_everything_loads_no_heavy_library() -> None:
    code = """
import sys
from bench.catalogue import plugins
from bench.catalogue.plugged_measures import plugged_measures
from bench.matrix.reading import builtin_matrices, load_matrix
plugins.methods(), plugins.tasks(), plugged_measures(), plugins.broken(), builtin_matrices()
load_matrix("quickstart")
heavy = {"torch", "transformers", "trl", "datasets", "pandas", "matplotlib", "scipy"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) or None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- folders and packages -----------------------------------------------------------------------------------


def test_a_folder_is_all_its_files_and_packages_but_no_helper(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for name in ("parcel_of_plugins", "_private_parcel", "no_parcel"):
        (folder / name).mkdir(parents=True)
    write(folder / "one.py", "One")
    write(folder / "_helper.py", "Helper")
    (folder / "notes.txt").write_text("")
    write(folder / "no_parcel" / "inner.py", "Inner")
    write(folder / "_private_parcel" / "__init__.py", "Private")
    write(folder / "parcel_of_plugins" / "inner.py", "Two")
    (folder / "parcel_of_plugins" / "__init__.py").write_text("from .inner import Two")
    found = plugins.methods([folder])
    assert set(found) - set(plugins.methods()) == {"one", "two"}
    assert plugins.methods([folder, folder / "one.py", folder / "parcel_of_plugins"]) == found
    assert found["two"].__module__ == "parcel_of_plugins.inner"


def test_one_broken_file_of_a_folder_leaves_the_others(tmp_path: Path) -> None:
    write(tmp_path / "fine.py", "Fine")
    (tmp_path / "bad.py").write_text("x = 1\nx.y")
    assert "fine" in plugins.methods([tmp_path])
    assert plugins.broken([tmp_path]) == {
        str(tmp_path / "bad.py"): "AttributeError: 'int' object has no attribute 'y' (line 2)"
    }
    with pytest.raises(BenchError, match=r"unknown method 'bad'.*bad\.py could not be searched: AttributeError"):
        plugins.find_method("bad", [tmp_path])


def test_an_empty_folder_and_a_package_whose_name_is_taken_are_told(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no plug-in in the folder"):
        plugin_files.files_of(tmp_path)
    assert "no plug-in in the folder" in plugins.broken([tmp_path])[str(tmp_path)]
    (tmp_path / "json").mkdir()
    write(tmp_path / "json" / "__init__.py", "Hidden")
    with pytest.raises(BenchError, match=r"json cannot be imported: .*json/__init__\.py has its name"):
        plugin_files.load(tmp_path / "json")


# -- installed packages -------------------------------------------------------------------------------------


def test_an_entry_point_names_a_class_or_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "listed_pack/__init__.py": "",
        "listed_pack/two.py": METHOD.format(cls="InModule") + METHOD.format(cls="Chosen"),
        "listed_pack/number.py": MEASURE.format(cls="InstalledNumber"),
        "listed_one.py": METHOD.format(cls="Listed") + METHOD.format(cls="Unlisted"),
    }
    points = {
        "methods one": "listed_one:Listed",
        "methods two": "listed_pack.two",
        "measures number": "listed_pack.number",
    }
    monkeypatch.syspath_prepend(install(tmp_path, "listed-pack", files, points))
    methods = plugins.methods()
    assert {"listed", "in_module", "chosen", "ppo"} <= set(methods)
    assert "unlisted" not in methods
    assert set(plugins.measures()) == {"installed_number"}
    assert plugins.broken() == {}


def test_a_broken_entry_point_is_listed_with_its_package_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "damaged_one.py": "x = 1\nimport no_such_library",
        "damaged_two.py": "class Not: pass",
        "damaged_three.py": "import bench\nclass Later(bench.Method):\n    contract = 99",
    }
    points = {
        "methods gone": "no_such_module:Thing",
        "methods raises": "damaged_one",
        "methods later": "damaged_three",
        "tasks missing": "damaged_two:Missing",
        "judges wrong": "damaged_two:Not",
    }
    monkeypatch.syspath_prepend(install(tmp_path, "damaged-pack", files, points, "2.1"))
    assert "ppo" in plugins.methods()
    assert "reviews" in plugins.tasks()
    told = plugins.broken()
    first = "damaged-pack 2.1 (alignment_bench."
    assert told[first + "methods: gone = no_such_module:Thing)"] == (
        "ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert told[first + "methods: raises = damaged_one)"] == (
        f"ModuleNotFoundError: No module named 'no_such_library' ({tmp_path / 'damaged_one.py'}, line 2)"
    )
    later = told[first + "methods: later = damaged_three)"]
    assert later.startswith("BenchError: Later is written for contract 99 of the bench")
    assert later.endswith(f"({tmp_path / 'damaged_three.py'}, line 2)")
    assert "has no attribute 'Missing'" in told[first + "tasks: missing = damaged_two:Missing)"]
    assert told[first + "judges: wrong = damaged_two:Not)"] == (
        "neither a finished subclass of Judge nor a module that defines one"
    )
    with pytest.raises(BenchError, match=r"unknown method 'raises'.*damaged-pack 2\.1 .*could not be searched"):
        plugins.find_method("raises")


def test_a_collision_with_a_package_names_it_and_the_other_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install(tmp_path, "rival-pack", {"rival.py": METHOD.format(cls="Same")}, {"methods same": "rival"}, "3.2")
    monkeypatch.syspath_prepend(site)
    file = write(tmp_path / "mine.py", "Same")
    with pytest.raises(BenchError) as caught:
        plugins.methods([file])
    assert str(caught.value) == (
        f"two methods are called 'same': in rival-pack 3.2 (alignment_bench.methods: same = rival) and {file}"
    )
    assert "same" in plugins.methods([site / "rival.py"]), "the same file, named and installed, is no collision"
    install(site, "second-pack", {"second_rival.py": METHOD.format(cls="PPO")}, {"methods ppo": "second_rival"})
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    with pytest.raises(BenchError, match=r"two methods are called 'ppo': in .*methods/ppo\.py and second-pack 1\.0"):
        plugins.methods()


def test_a_measure_with_a_built_in_name_is_refused_with_both_origins(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MEASURE.format(cls="Kl"))
    with pytest.raises(BenchError) as caught:
        plugged_measures([file])
    assert str(caught.value) == f"two measures are called 'kl': in bench.measures.divergence.mean_kl and {file}"


# -- the contract's version ---------------------------------------------------------------------------------


def test_a_plug_in_for_a_newer_contract_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    file = write(
        tmp_path / "mine.py", "Same", extra=METHOD.format(cls="Later").replace("    def", "    contract = 2\n    def")
    )
    with pytest.raises(BenchError) as caught:
        plugin_files.load(file)
    assert re.search(
        r"mine\.py cannot be imported: BenchError: Later is written for contract 2 of the bench, and this release, "
        r"alignment-bench [\d.]+, has contract 1: install a newer alignment-bench, or a release of the plug-in that is "
        r"written for contract 1 \(line 11\)",
        str(caught.value),
    )


def test_a_plug_in_may_say_that_it_is_for_this_contract_or_none(tmp_path: Path) -> None:
    extra = METHOD.format(cls="Now").replace("    def", f"    contract = {CONTRACT}\n    def")
    found = plugins.methods([write(tmp_path / "mine.py", "Silent", extra=extra)])
    assert found["now"].contract == found["silent"].contract == CONTRACT
