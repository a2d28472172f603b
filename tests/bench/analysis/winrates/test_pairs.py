"""From a run's folder to pairs of completions, and to the table of win rates."""

import json

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.plots import draw_all
from bench.analysis.winrates.pairs import REFERENCE, entrants_of, judged_pairs, pair_up
from bench.analysis.winrates.table import notes_on, render_win_rates, table_of, tournaments, write_win_rates
from bench.contracts.errors import BenchError
from bench.judging.asking import write_comparisons
from bench.records.loading import load_run
from tests.bench.analysis.synthetic_run import ARMS, seal, write_run

FOUR = ARMS[1:5]  # sft, lima, dpo, ppo


def with_reference(run):
    """π0's completions beside every arm's, as an evaluation stores them."""
    for file in run.glob("cells/*/completions.parquet"):
        frame = pd.read_parquet(file)
        frame["reference_completion"], frame["reference_length"] = " π0's words", 12
        frame.to_parquet(file)
    return seal(run)


def printed(run, width=240):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    render_win_rates(load_run(run), console)
    return console.export_text()


def test_every_two_arms_meet_on_every_prompt_and_sample_of_every_seed(tmp_path):
    run = load_run(write_run(tmp_path / "run", seeds=2, probes=0, arms=FOUR))
    rows = judged_pairs(run).rows
    assert len(rows) == 6 * 2 * 32 * 4
    assert not rows.duplicated(["seed", "prompt_id", "sample", "first", "second"]).any()
    scores = run.completions.set_index(["seed", "arm", "prompt_id", "sample"])["judge"]
    for row in rows.sample(50, random_state=0).to_dict("records"):
        mine, theirs = (scores[row["seed"], row[side], row["prompt_id"], row["sample"]] for side in ("first", "second"))
        assert row["verdict"] == (0.5 if mine == theirs else float(mine > theirs))


def test_without_an_sft_arm_the_reference_samples_enter_once_per_seed(tmp_path):
    run = load_run(with_reference(write_run(tmp_path / "run", seeds=2, probes=0, arms=FOUR[1:])))
    entrants = entrants_of(run)
    own = entrants[entrants["arm"] == REFERENCE]
    assert len(own) == 2 * 32 * 4
    assert own["judge"].notna().all()
    assert tournaments(run)[0].anchor == REFERENCE
    with_sft = load_run(with_reference(write_run(tmp_path / "other", seeds=1, probes=0, arms=FOUR)))
    assert REFERENCE not in set(entrants_of(with_sft)["arm"])
    assert tournaments(with_sft)[0].anchor == "sft"


def test_the_win_rate_against_sft_agrees_with_a_count_by_hand(tmp_path):
    run = load_run(write_run(tmp_path / "run", seeds=1, probes=0, arms=FOUR))
    judge = run.completions.set_index(["prompt_id", "sample"])
    mine, theirs = (judge[judge["arm"] == arm]["judge"] for arm in ("ppo", "sft"))
    by_hand = ((mine > theirs) + 0.5 * (mine == theirs)).mean()
    rates = tournaments(run)[0].rates.set_index(["first", "second"])
    assert rates.loc[("ppo", "sft"), "rate"] == pytest.approx(by_hand)


def test_scores_within_the_matrix_s_tie_band_tie(tmp_path):
    folder = write_run(tmp_path / "run", seeds=1, probes=0, arms=FOUR)
    settings = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(settings | {"evaluation": {"tie_band": 5.0}}))
    seal(folder)
    assert (judged_pairs(load_run(folder)).rows["verdict"] == 0.5).all()


def test_a_cell_that_did_not_end_well_meets_nobody(tmp_path):
    failed = {("ppo", 0): ("failed", "a reason", None)}
    run = load_run(write_run(tmp_path / "run", seeds=1, probes=0, arms=FOUR, not_ok=failed))
    rows = judged_pairs(run).rows
    assert "ppo" not in {*rows["first"], *rows["second"]}


def test_arms_that_answered_different_prompts_are_not_compared(tmp_path):
    folder = write_run(tmp_path / "run", seeds=1, probes=0, arms=FOUR)
    file = next(folder.glob("cells/*ppo*/completions.parquet"))
    frame = pd.read_parquet(file)
    frame["prompt"] = "something else"
    frame.to_parquet(file)
    seal(folder)
    with pytest.raises(BenchError, match="'ppo' answered different prompts"):
        pair_up(entrants_of(load_run(folder)))


def test_what_a_judge_said_is_read_and_told_from_what_has_changed_since(tmp_path):
    folder = write_run(tmp_path / "run", seeds=1, probes=0, arms=FOUR)
    run = load_run(folder)
    said = judged_pairs(run).rows.assign(verdict=1.0)
    said.loc[:9, "verdict"] = np.nan
    write_comparisons(run, said, "someone")
    read = judged_pairs(load_run(folder))
    assert (read.judge, read.stale) == ("someone", False)
    text = printed(folder)
    assert "Judge: someone." in text
    assert "Unparsable: 10 of 768 comparisons (1.3%)" in text
    assert "run `bench judge` again" not in text
    file = next(folder.glob("cells/*ppo*/completions.parquet"))
    pd.read_parquet(file).iloc[::-1].to_parquet(file)
    seal(folder)
    assert judged_pairs(load_run(folder)).stale
    assert "run `bench judge` again" in printed(folder)


def test_nobody_to_judge_means_no_table_and_no_plot(tmp_path, capsys):
    folder = write_run(tmp_path / "run", seeds=1, probes=0, arms=FOUR)
    for file in folder.glob("cells/*/completions.parquet"):
        pd.read_parquet(file).assign(judge=np.nan, gold=np.nan).to_parquet(file)
    run = load_run(seal(folder))
    assert judged_pairs(run) is None
    assert write_win_rates(run, tmp_path / "tables") == []
    assert all(path.name != "win_rates.png" for path in draw_all(run, tmp_path / "plots"))
    assert "skipped win_rates.png: nobody judged" in capsys.readouterr().err


def test_the_table_has_the_best_arm_first_and_every_opponent(tmp_path):
    run = load_run(write_run(tmp_path / "run", seeds=3, probes=0, arms=FOUR))
    frame = table_of(tournaments(run)[0])
    assert frame.iloc[0, 0] == "ppo"
    assert list(frame.columns[3:]) == frame.iloc[:, 0].tolist()
    rate, shares, matched = frame.loc[0, "sft"].split("\n")
    assert "±" in rate
    assert sum(map(int, shares.split(" / "))) == pytest.approx(100, abs=1)
    assert matched.startswith("≈ 0.")
    files = write_win_rates(run, tmp_path / "tables")
    assert [file.name for file in files] == [
        "winrates.md",
        "winrates.tex",
        "winrates.html",
        "winrates.csv",
        "ratings.csv",
    ]
    assert len(pd.read_csv(files[3])) == 12
    assert len(pd.read_csv(files[4])) == 4


def test_the_heat_map_is_drawn(tmp_path):
    run = load_run(write_run(tmp_path / "run", seeds=3, probes=0, arms=FOUR))
    assert (tmp_path / "plots" / "win_rates.png") in draw_all(run, tmp_path / "plots")


def test_of_many_arms_each_methods_first_meets_and_the_table_says_so(tmp_path):
    many = [(f"ppo {i}", "ppo", 3.0, 1.0, 0.9, 1.0) for i in range(12)]
    run = load_run(write_run(tmp_path / "run", seeds=1, probes=0, arms=[*FOUR, *many]))
    (tournament,) = tournaments(run)
    assert tournament.ratings["arm"].nunique() == 4
    assert "12 further arms are not here" in "\n".join(notes_on(tournament))
    (chosen,) = tournaments(run, ("ppo 3", "sft", "ppo 11"))
    assert set(chosen.ratings["arm"]) == {"ppo 3", "sft", "ppo 11"}
    with pytest.raises(BenchError, match="'ppo 11'"):
        tournaments(run, ("ppo_11",))


def test_an_arm_may_be_called_like_a_column(tmp_path):
    arms = [("sft", *ARMS[1][1:]), ("tokens", *ARMS[3][1:])]
    (tournament,) = tournaments(load_run(write_run(tmp_path / "run", seeds=1, probes=0, arms=arms)))
    table = table_of(tournament)
    assert list(table)[:3] == ["row against column", "rating (logits)", "tokens"]
    assert set(table) >= {"sft", "arm tokens"}
    assert all(float(length) > 0 for length in table["tokens"])
