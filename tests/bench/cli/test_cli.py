import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORLD = Path(__file__).parents[1] / "toy_world.py"
MATRIX = {
    "tasks": ["toy"],
    "models": {"tiny": {"layers": 1, "width": 16, "heads": 2, "context": 16, "steps": 20}},
    "methods": ["sft", "crash"],
    "seeds": 1,
    "stages": {"preferences": {"pairs": 64, "heldout": 32}},
    "evaluation": {"prompts": 2, "samples": 8, "curve_points": 2, "curve_prompts": 2},
    "plugins": [str(WORLD)],
}


def bench(*arguments, cwd=None):
    environment = {name: value for name, value in os.environ.items() if name != "BENCH_STORE"}
    return subprocess.run(
        [sys.executable, "-m", "bench.cli", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli")
    (path / "toy.yaml").write_text(json.dumps(MATRIX))
    return path


@pytest.fixture(scope="module")
def done(folder):
    return bench("run", "toy.yaml", cwd=folder)


def test_a_run_prints_its_table_and_says_where_things_are_and_a_failed_cell_makes_exit_status_1(done, folder):
    assert done.returncode == 1
    assert "2 cells (1 failed, 1 ok)" in done.stdout
    assert "sft" in done.stdout
    assert "ZeroDivisionError" in done.stdout
    assert str(Path("results") / "toy") in done.stdout
    assert (folder / "results" / ".store" / "base").is_dir()


def test_without_a_terminal_progress_is_plain_lines_and_libraries_speak_to_the_logs_alone(done, folder):
    assert "[1/2] " in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "it/s]" not in done.stderr
    logs = list((folder / "results" / "toy" / "logs").glob("*.log"))
    assert any("train_runtime" in log.read_text() for log in logs)
    assert any("Traceback" in log.read_text() for log in logs if "crash" in log.name)


def test_the_table_is_written_as_markdown_csv_and_latex(done, folder):
    again = bench("table", "results/toy", cwd=folder)
    assert again.returncode == 0
    for suffix in ("md", "csv", "tex"):
        file = folder / "results" / "toy" / "tables" / f"table.{suffix}"
        assert "sft" in file.read_text()
        assert file.name in again.stdout


def test_a_packed_run_is_told_from_another_and_makes_the_same_table(done, folder, tmp_path):
    shutil.copytree(folder / "results" / "toy", tmp_path / "toy")
    packed = bench("pack", "toy", cwd=tmp_path)
    assert packed.returncode == 0, packed.stderr
    assert "records.jsonl.gz" in packed.stdout
    assert not (tmp_path / "toy" / "cells").exists()
    assert bench("table", "toy", cwd=tmp_path).returncode == 0
    said = bench("diff", folder / "results" / "toy", "toy", "--out", "moved", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "Identical: all 2 cells" in said.stdout
    assert (tmp_path / "moved" / "diff.html").is_file()


def test_plots_are_drawn_where_there_is_data(done, folder):
    drawn = bench("plot", "results/toy", cwd=folder)
    assert drawn.returncode == 0, drawn.stderr
    assert "reward_kl.png" in drawn.stdout
    assert "reward_kl.svg" in drawn.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["run", "quickstrat"], ["quickstrat", "'quickstart'"]),
        (["run", "toy.yaml", "--only", "arm=stf"], ["stf", "'sft'"]),
        (["run", "toy.yaml", "--only", "arms=sft"], ["arms", "'arm'"]),
        (["run", "toy.yaml", "--jobs", "0"], ["jobs", "0"]),
        (["run", "toy.yaml", "--plugin", "absent.py"], ["absent.py"]),
        (["table", "results/tyo"], ["results/tyo", "toy"]),
        (["table", "results/toy", "--margin", "golt=0.1"], ["golt", "'gold'"]),
        (["table", "results/toy", "--ablation", "stf"], ["stf", "'sft'"]),
        (["table", "results/toy", "--against", "stf"], ["stf", "'sft'"]),
        (["table", "results/toy", "--between", "stf"], ["stf", "'sft'"]),
        (["plot", "nowhere"], ["nowhere"]),
        (["plot", "results/toy", "--arms", "stf"], ["--arms", "'stf'", "'sft'"]),
    ],
)
def test_a_mistake_is_one_short_message_and_exit_status_2(done, folder, arguments, words):
    refused = bench(*arguments, cwd=folder)
    assert refused.returncode == 2
    assert refused.stderr.startswith("bench: ") and not refused.stdout
    assert len(refused.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in refused.stderr


def test_a_report_is_one_page_beside_the_records(done, folder):
    written = bench("report", "results/toy", cwd=folder)
    assert written.returncode == 0, written.stderr
    assert str(Path("results") / "toy" / "report.html") in written.stdout
    page = (folder / "results" / "toy" / "report.html").read_text()
    assert "Of 2 cells with a record, 1 failed" in page
    assert "ZeroDivisionError" in page
    refused = bench("report", "results/tyo", cwd=folder)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "toy" in refused.stderr


def test_an_unknown_option_is_refused_with_exit_status_2(folder):
    assert bench("run", "toy.yaml", "--job", "2", cwd=folder).returncode == 2


def test_list_shows_methods_tasks_measures_and_matrices_with_a_line_each():
    listed = bench("list", "--plugin", WORLD).stdout
    for name, words in {
        "ppo": "policy gradient",
        "explode": "Diverges at step 3.",
        "reviews": "Film reviews",
        "kl": "KL",
        "quickstart": "reward's gradient",
    }.items():
        assert any(line.split()[:1] == [name] and words in line for line in listed.splitlines()), name


def test_a_broken_plugin_is_reported_and_does_not_stop_the_list(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_this_name")
    listed = bench("list", "--plugin", broken)
    assert listed.returncode == 0
    assert "ppo" in listed.stdout
    assert "broken.py" in listed.stderr
    assert "nothing_of_this_name" in listed.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_help_and_list_are_quick_because_they_load_no_heavy_library(arguments):
    code = (
        "import sys; sys.argv = ['bench', *sys.argv[1:]]\nfrom bench.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'trl', 'datasets', 'pandas', 'evaluate'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    started = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - started < 10  # 0.5 s on a quiet machine; here others may be running


def test_help_teaches():
    text = bench("run", "--help").stdout
    for words in ("--jobs", "--only", "--store", "carries", "Exit status"):
        assert words in text


def test_help_tells_the_defaults():
    text = " ".join(bench("run", "--help").stdout.replace("│", " ").split())
    assert "Default: results/<matrix>." in text
