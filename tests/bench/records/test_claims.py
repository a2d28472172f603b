"""Claims are data: refused where they are wrong, and kept as they stood when a run began."""

import json

import pytest
from typer.testing import CliRunner

from bench.analysis.claims.quantities import Quantities
from bench.analysis.claims.table import as_frame, claims_table, frame_of_tests, judged, notes, write_claims
from bench.cli import app
from bench.contracts.errors import BenchError
from bench.matrix.reading import load_matrix
from bench.records.claims import FROZEN, check_claims, freeze, frozen, load_claims, write_anew
from bench.records.loading import load_run
from tests.bench.analysis.claims.made_run import made_run

ONE = """
- id: 7
  says: A is better than B.
  source: D0
  task: world
  tests:
    - {test: difference, measure: gold, arms: [a, b]}
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        return tmp_path / "mine.yaml"

    return write


def test_a_claim_takes_ten_lines(write):
    assert len(ONE.strip().splitlines()) <= 10
    (claim,) = load_claims(write(ONE))
    assert (claim.id, claim.world, claim.tests[0].expect, claim.tests[0].margin) == (7, "sampled", "above", 0)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("measure", "mesure", "'measure'"),
        ("difference", "diference", "'difference'"),
        ("[a, b]", "[a]", "takes 2 arms"),
        ("[a, b]", "[a, b], x: [1, 2]", "trend"),
        ("difference", "trend", "they need it"),
        ("difference", "equivalence", "margin above 0"),
        ("id: 7", "id: seven", "whole number"),
        ("source: D0", "source: D0\n  needs: a larger world", "says in `needs`"),
        ("[a, b]", "[a, b], also: true", "none decides"),
        ("[a, b]", "[a, b], meaningful: -1", "meaningful"),
        ("difference", "front", "a front takes a list of 2 measures"),
    ],
)
def test_a_wrong_claim_is_refused_with_its_line(write, old, new, told):
    with pytest.raises(BenchError) as error:
        load_claims(write(ONE.replace(old, new)))
    assert told in str(error.value)
    assert "line" in str(error.value)


def test_two_claims_of_one_number_are_refused(write):
    with pytest.raises(BenchError, match="two claims 7"):
        load_claims(write(ONE + ONE))


def test_arms_and_tasks_that_the_matrix_lacks_are_refused_with_the_nearest(write):
    claims = load_claims(write(ONE))
    check_claims(claims, {"world": {"a", "b"}}, "mine.yaml")
    with pytest.raises(BenchError, match=r"claim 7: no arm 'b'.*'bb'"):
        check_claims(claims, {"world": {"a", "bb"}}, "mine.yaml")
    with pytest.raises(BenchError, match=r"claim 7: no task 'world'.*'word'"):
        check_claims(claims, {"word": {"a", "b"}}, "mine.yaml")


def test_a_run_keeps_its_claims_as_they_stood_when_it_began(write, tmp_path):
    freeze(write(ONE), tmp_path)
    freeze(write(ONE.replace("gold", "kl") + ONE.replace("id: 7", "id: 3")), tmp_path)
    kept = frozen(tmp_path)
    assert [entry["claim"]["id"] for entry in kept] == [3, 7]
    assert kept[1]["claim"]["tests"][0]["measure"] == "gold"
    assert kept[0]["written"]
    (tmp_path / FROZEN).write_text(json.dumps([{"claim": {"id": 1}}]))
    with pytest.raises(BenchError, match="not a file of claims"):
        frozen(tmp_path)


def test_the_documents_claims_are_all_there_and_their_matrix_has_every_arm():
    matrix = load_matrix("documents")
    assert matrix.claims is not None
    claims = load_claims(matrix.claims)
    assert [claim.id for claim in claims] == list(range(1, 54))
    arms = {}
    for cell in matrix.cells():
        arms.setdefault(cell.task.label, set()).add(cell.arm.label)
    check_claims(claims, arms, "documents.yaml")
    assert len(matrix.seeds) >= 10
    assert {claim.id for claim in claims if any(t.test == "equivalence" for t in claim.tests)} >= {17, 26, 32, 34, 38}


def test_the_table_says_verdict_effect_seeds_and_where_the_claims_come_from(write, tmp_path):
    run = made_run({"a": {"gold": [0.9, 1.0, 1.1] * 4}, "b": {"gold": [0.0, 0.1, 0.3] * 4}})
    run.records["commit"] = "c" * 40
    run.directory = tmp_path
    freeze(write(ONE.replace("D0", "D0\n  published: 'elsewhere: 3 %'\n  planted: a hole")), tmp_path)
    found = judged(run)
    frame = as_frame(found)
    assert frame.loc[0, ["id", "verdict", "planted", "published", "seeds"]].tolist() == [
        7, "reproduced", "a hole", "elsewhere: 3 %", "12",
    ]  # fmt: skip
    assert frame.loc[0, "effect"].startswith("gold: a − b = 0.87 ± 0.0")
    assert claims_table(found).loc[0, "verdict"] == "reproduced, planted"
    rows = frame_of_tests(found)
    assert rows.loc[0, ["outcome", "n", "decides"]].tolist() == ["holds", 12, True]
    files = write_claims(found, run, tmp_path / "tables")
    assert {file.suffix for file in files} >= {".md", ".tex", ".csv"}
    text = (tmp_path / "tables" / "claims.md").read_text()
    assert "1 reproduced" in text
    assert "c" * 40 in text
    assert judged(run, write(ONE.replace("[a, b]", "[b, a]")))[0].verdict == "contradicted"


def test_a_run_without_claims_has_none(tmp_path):
    (tmp_path / "cells").mkdir()
    run = load_run(tmp_path)
    assert judged(run) == []
    assert as_frame([]).empty
    assert write_claims([], run, tmp_path / "tables") == []
    assert Quantities(made_run({"a": {"gold": 1.0}})).of("gold").tolist() == [1.0]


def test_claims_written_anew_take_the_place_of_the_first_which_stay_beside_them(write, tmp_path):
    run = made_run({"a": {"gold": [0.9, 1.0, 1.1] * 4}, "b": {"gold": [0.0, 0.1, 0.3] * 4}})
    run.directory = tmp_path
    freeze(write(ONE), tmp_path)
    before = "D0\n  before: {verdict: inconclusive, because: the margin was too wide.}\n  awaits: a larger world"
    write_anew(write(ONE.replace("D0", before)), tmp_path)
    (each,) = found = judged(run)
    assert (each.anew, each.claim.before.verdict, each.verdict) == (True, "inconclusive", "reproduced")
    row = claims_table(found).loc[0]
    assert row[["before", "verdict", "survives"]].tolist() == ["inconclusive", "reproduced*", "yes"]
    assert row["why"] == "the margin was too wide. * Awaits: a larger world."
    text = "\n".join(notes(found, run))
    assert "Before: 1 inconclusive." in text
    assert "written anew once the run had been read" in text
    assert "* 1 of 1 decided verdicts rest on an arm that does not do what the claim says" in text
    freeze(write(ONE), tmp_path)  # a run that carries on keeps both
    kept = json.loads((tmp_path / "claims.json").read_text())
    assert [entry.get("anew", False) for entry in kept["claims"]] == [True]
    assert [entry["claim"]["source"] for entry in kept["earlier"]] == ["D0"]


def test_the_command_keeps_a_file_of_claims_or_a_built_in_one_by_name(write, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    (folder / "cells").mkdir(parents=True)
    (tmp_path / "documents").mkdir()  # no file of claims
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke(app, ["claims", "run", "--claims", "mine.yaml", "--keep"])
    assert run.exit_code != 0
    file = write(ONE)
    assert CliRunner().invoke(app, ["claims", "run", "--claims", str(file), "--keep"]).exit_code == 0
    assert [entry["claim"]["id"] for entry in frozen(folder)] == [7]
    assert CliRunner().invoke(app, ["claims", "run", "--claims", "documents"]).exit_code == 0
    assert [entry["claim"]["id"] for entry in frozen(folder)] == [7]  # read, and not kept
    assert "needs --claims" in str(CliRunner().invoke(app, ["claims", "run", "--keep"]).exception)
