"""Every command and every block of code in the README does what it says."""

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.analysis.statistics import mean_interval
from bench.matrix.reading import load_matrix
from bench.records.claims import load_claims
from bench.records.loading import load_run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def bench(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "bench.cli", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_the_two_commands_are_targets_that_install_and_run_what_the_readme_says():
    (commands,) = blocks("sh")
    assert re.findall(r"^make (\w+)", commands, flags=re.MULTILINE) == ["run", "test"]
    plan = subprocess.run(
        ["make", "-n", "-B", "run", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for step in ("-m venv", "bench run quickstart", "bench plot results/quickstart", "ruff check", "mypy", "pytest"):
        assert step in plan


def test_every_command_named_exists_and_explains_itself(tmp_path):
    named = set(re.findall(r"`bench (\w+)", README))
    assert {"run", "list", "table", "plot"} <= named
    for command in sorted(named):
        helped = bench(command, "--help", cwd=tmp_path)
        assert helped.returncode == 0, command
        for option in re.findall(r"--[a-z]+", "--only --jobs --out --store --plugin" if command == "run" else ""):
            assert option in helped.stdout


def test_every_matrix_shown_is_valid(tmp_path):
    row = {"prompt": "a", "chosen": "b", "rejected": "c"}
    import gzip

    with gzip.open(tmp_path / "preferences.jsonl.gz", "wt") as file:
        file.write(json.dumps(row))
    shown = blocks("yaml")
    assert len(shown) >= 3
    for i, text in enumerate(shown):
        file = tmp_path / f"m{i}.yaml"
        file.write_text(text)
        assert load_claims(file) if "claims" in text.partition("\n")[0] else load_matrix(file).cells()


def test_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def rows(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_the_table_shown_is_the_reference_results():
    shown = rows(README[: README.index("## Two commands")])
    reference = rows((ROOT / "results" / "reference" / "quickstart" / "tables" / "table.md").read_text())
    columns = [reference[0].index(name) for name in shown[0]]
    assert shown[: len(reference)] == [[row[i] for i in columns] for row in reference]


def test_the_claims_shown_are_those_of_the_reference_results():
    with (ROOT / "results" / "reference" / "documents" / "tables" / "claims.csv").open(encoding="utf-8") as file:
        known = {row["id"]: row for row in csv.DictReader(file)}
    shown = [row for row in rows(README[README.index("## Claims") :]) if row[0].isdigit()]
    assert len(shown) == 10
    for number, says, verdict, effect, seeds in shown:
        claim = known[number]
        assert (says, verdict.strip("*\\"), seeds) == (claim["says"], claim["verdict"], claim["seeds"])
        assert verdict.endswith("\\*") == bool(claim["awaits"])  # under reserve
        assert claim["effect"].startswith(effect)
    count = Counter(row["verdict"] for row in known.values())
    assert all(f"{number} {verdict}" in README for verdict, number in count.items())


def test_the_completions_shown_are_in_the_reference_results():
    seed, prompt = re.search(r"seed (\d+), prompt \*(.+)\*", README).groups()
    known = load_run(ROOT / "results" / "reference" / "quickstart").completions
    own = known[(known["seed"] == int(seed)) & (known["prompt"] == prompt)]
    shown = rows(README[README.index("What it looks like") : README.index("## Two commands")])[2:]
    assert len(shown) == 4
    for arm, text, proxy, gold in shown:
        of_arm = own[own["arm"] == arm]
        [row] = of_arm[[each.strip().startswith(text.removesuffix(" …")) for each in of_arm["completion"]]].itertuples()
        assert (f"{row.proxy:.2f}", f"{row.gold:.2f}") == (proxy.replace("−", "-"), gold.replace("−", "-"))


def test_what_the_student_is_told_is_what_the_reference_results_say():
    records = load_run(ROOT / "results" / "reference" / "documents").records
    gold = {arm: own["gold"] for arm, own in records[records["task"] == "reviews"].groupby("arm")}
    fallen = {arm: f"{(values < -0.9).sum()} of {len(values)}" for arm, values in gold.items()}
    told = " ".join(README[README.index("- **A student") : README.index("| arm |")].split())
    assert f"in {fallen['reward_gradient β 0']} seeds for the naive" in told
    assert f"in {fallen['ppo β 0']} for PPO" in told
    ends = {arm: mean_interval(values).text(len(values)) for arm, values in gold.items()}
    assert f"(gold {ends['ppo']})" in told and f"({ends['reward_gradient β 0.1']})" in told
    assert gold["ppo"].min() > 0.5
    quickstart = load_run(ROOT / "results" / "reference" / "quickstart").records
    free = quickstart.loc[quickstart["arm"] == "ppo without KL", "gold"]
    assert f"PPO without KL fell in {(free < -0.9).sum()} of these {len(free)} seeds" in README


@pytest.mark.slow
def test_the_python_shown_runs(tmp_path):
    code = next(text for text in blocks("python") if "bench.run" in text)
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "sft" in result.stdout


@pytest.mark.slow
def test_the_method_shown_runs_as_a_plugin(tmp_path):
    (tmp_path / "half_way.py").write_text(next(text for text in blocks("python") if "class HalfWay" in text))
    (tmp_path / "m.yaml").write_text("tasks: strings\nmethods: [sft, half_way]\nseeds: 1\n")
    result = bench("run", "m.yaml", "--plugin", "half_way.py", cwd=tmp_path, BENCH_STORE=str(tmp_path / "store"))
    assert result.returncode == 0, result.stderr
    assert "half_way" in result.stdout


@pytest.mark.slow
def test_the_quickstart_shows_what_the_readme_says_it_shows(tmp_path):
    """One seed of what `make run` runs: without KL the proxy rises above PPO's while gold falls far below it."""
    import pandas as pd

    run = bench("run", "quickstart", "--only", "seed=0", cwd=tmp_path, BENCH_STORE=str(tmp_path / "store"))
    assert run.returncode == 0, run.stderr
    drawn = bench("plot", "results/quickstart", cwd=tmp_path)
    assert drawn.stdout.count(".png") >= 4
    table = pd.read_csv(next((tmp_path / "results" / "quickstart" / "tables").glob("*.csv")))
    mean = table.pivot_table(index="arm", columns="measure", values="mean")
    assert mean.loc["ppo", "gold"] > mean.loc["sft", "gold"] + 0.3
    assert mean.loc["reward_gradient without KL", "proxy"] > mean.loc["sft", "proxy"] + 0.5
    assert mean.loc["reward_gradient without KL", "gold"] < -0.9
    assert mean.loc["ppo", "kl"] < 10 < mean.loc["reward_gradient without KL", "kl"]
