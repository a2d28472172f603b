"""Equivalence to one arm within stated margins, from the records to the tables."""

import io

import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.tables.equivalence import equivalences, parse_margins, write_equivalences
from bench.contracts.errors import BenchError
from bench.records.loading import load_run
from tests.bench.analysis.synthetic_run import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return load_run(write_run(tmp_path_factory.mktemp("runs") / "run", seeds=4, probes=0))


def test_the_verdict_is_where_the_interval_lies(run):
    rows = equivalences(run, "sft", {"gold": 0.5, "proxy": 0.02}).set_index(["arm", "measure"])
    seen = set()
    for row in rows.to_dict("records"):
        inside = -row["margin"] < row["low"] and row["high"] < row["margin"]
        beyond = row["low"] > row["margin"] or row["high"] < -row["margin"]
        expected = "equivalent" if inside else "different" if beyond else "undecided"
        assert row["verdict"] == expected
        assert (row["p"] < 0.05) == inside  # the two are one test
        assert row["p_holm"] >= row["p"]
        seen.add(expected)
    assert seen == {"equivalent", "different", "undecided"}
    gold = run.records.set_index(["arm", "seed"])["gold"]
    assert rows.loc[("lima", "gold"), "difference"] == pytest.approx((gold["lima"] - gold["sft"]).mean())
    assert rows.loc[("ppo", "gold"), "verdict"] == "different"
    assert "sft" not in rows.index.get_level_values("arm")


def test_one_seed_decides_nothing(tmp_path):
    one = load_run(write_run(tmp_path / "run", seeds=1, probes=0))
    assert set(equivalences(one, "sft", {"gold": 0.5})["verdict"]) == {"undecided"}


def test_the_tables_are_printed_and_written(run, tmp_path):
    out = io.StringIO()
    files = write_equivalences(run, "sft", {"gold": 0.5, "kl": 1.0}, tmp_path / "tables", Console(file=out, width=200))
    assert [file.name for file in files] == ["equivalence.md", "equivalence.tex", "equivalence.html", "equivalence.csv"]
    for words in ("equivalence to sft", "gold reward", "±0.5", "undecided", "stated before"):
        assert words in out.getvalue()
        assert words in files[0].read_text()
    assert r"\toprule" in files[1].read_text()
    assert len(pd.read_csv(files[3])) == len(equivalences(run, "sft", {"gold": 0.5, "kl": 1.0}))


@pytest.mark.parametrize(
    ("text", "message"),
    [("gold", "MEASURE=NUMBER"), ("gold=x", "MEASURE=NUMBER"), ("gold=0", "positive"), ("gold=inf", "finite")],
)
def test_a_margin_that_is_none_is_refused(text, message):
    with pytest.raises(BenchError, match=message):
        parse_margins([text])


def test_unknown_measures_and_arms_are_refused_with_the_nearest_name(run):
    with pytest.raises(BenchError, match="'gold'"):
        equivalences(run, "sft", {"golt": 0.1})
    with pytest.raises(BenchError, match="no cell"):
        equivalences(run, "sft", {"exact_kl": 0.1})
    with pytest.raises(BenchError, match="'sft'"):
        equivalences(run, "stf", {"gold": 0.1})
    with pytest.raises(BenchError, match="already"):
        parse_margins(["gold=0.1", "gold=0.2"])
