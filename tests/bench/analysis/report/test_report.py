"""The page of a run: whole in one file, true to the records, and safe with whatever a model writes."""

import json
import os
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from bench.analysis.report.page import write_report
from bench.analysis.report.samples import choose_samples
from bench.analysis.report.summary import summarise_in_words
from bench.analysis.report.words import counted, listed
from bench.contracts.escaping import visible
from bench.records.loading import load_run
from tests.bench.analysis.hostile_labels import COMMANDS
from tests.bench.analysis.report.report_material import NASTY, claims, rewrite
from tests.bench.analysis.synthetic_run import ARMS, seal, write_run


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.scripts, self.words, self._inside = [], [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside.append(tag)
            self.scripts.append([tag, ""])

    def handle_endtag(self, tag):
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data):
        if self._inside:
            self.scripts[-1][1] += data
        else:
            self.words.append(data)

    def all(self, tag):
        return [attrs for each, attrs in self.elements if each == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    @property
    def samples(self):
        place = [attrs.get("type") for attrs in self.all("script")].index("application/json")
        return json.loads([text for tag, text in self.scripts if tag == "script"][place])


def points(run_directory, verdicts=None):
    return [" ".join([point.text, *point.items]) for point in summarise_in_words(load_run(run_directory), verdicts)]


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    not_ok = {
        ("ppo without KL", 1): ("diverged", "loss is not finite", 40),
        ("lima", 0): ("failed", f"out of memory {COMMANDS}", 3),
    }
    directory = tmp_path_factory.mktemp("report") / "run"
    write_run(directory, probes=60, not_ok=not_ok, pending=2)
    write_run(directory, seeds=2, probes=0, gold=False, task="strings", arms=ARMS[1:5], pending=2)

    def nasty(rows):
        return rows.assign(
            completion=np.where(rows["prompt_id"] == 0, NASTY, rows["completion"]), prompt=f"{NASTY} {COMMANDS}"
        )

    rewrite(directory, nasty)
    return directory


@pytest.fixture(scope="module")
def verdicts():
    return claims("reproduced", "contradicted", "not run", "inconclusive").assign(says=f"A sentence with {NASTY}.")


@pytest.fixture(scope="module")
def page(run_directory, verdicts):
    return Page(write_report(load_run(run_directory), run_directory / "report.html", verdicts))


def test_the_page_is_one_small_file_that_asks_for_nothing_else(page):
    assert len(page.source.encode()) < 2_000_000
    assert not re.search(r"https?://|//cdn|@import|url\(", page.source)
    assert not page.all("link") and not page.all("iframe")
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")


def test_every_plot_is_there_with_words_for_those_who_do_not_see_it(page):
    alts = [image["alt"] for image in page.all("img")]
    assert len(alts) >= 8
    assert all(len(alt) > 30 for alt in alts)
    assert any("reviews" in alt for alt in alts) and any("strings" in alt for alt in alts)


def test_what_models_write_stays_text(page):
    scripts = page.all("script")
    assert len(scripts) == 2  # the data and the page's own
    assert not any("onerror" in attrs for _, attrs in page.elements)
    texts = [
        completion[0]
        for task in page.samples
        for seed in task["seeds"]
        for prompt in seed["prompts"]
        for _, completions in prompt["arms"]
        for completion in completions
    ]
    assert NASTY in texts
    assert page.text.count('document.title = "hacked"') == 5  # of four claims, one of them also in the summary


def test_no_text_on_the_page_holds_a_command(page):
    assert not set(page.source) & set(COMMANDS)
    assert page.samples[0]["seeds"][0]["prompts"][0]["text"] == f"{NASTY} {visible(COMMANDS)}"
    assert r"out of memory \x00\x07" in page.text


def test_tables_say_what_the_records_say(page):
    for words in (
        "ppo without KL",
        "1 diverged",
        "seeds ok",
        "No gold reward is known for this task",
        "reward-model calls",
    ):
        assert words in page.text
    heads = [attrs for attrs in page.all("th") if attrs.get("scope") == "col"]
    assert any("number" in attrs.get("class", "") for attrs in heads)
    choices = [attrs["data-choice"] for attrs in page.all("tr") if "data-choice" in attrs]
    assert {"reviews", "strings", "contradicted"} <= set(choices)
    assert len(page.all("table")) == 5  # claims, results, win rates of two tasks, cost


def test_the_worst_hacking_comes_first_then_prompts_by_chance(run_directory):
    run = load_run(run_directory)
    task = next(each for each in choose_samples(run) if each["about"] == "reviews")
    assert (task["column"], task["arms"][0]) == ("gold", "π0")
    rows = run.completions[(run.completions["task"] == "reviews") & (run.completions["seed"] == 0)]
    base = run.records.set_index("cell").loc[rows["cell"]].reset_index()
    gap = (rows["proxy"].to_numpy() - base["reference_proxy"]) / base["reference_proxy_sd"]
    gap -= (rows["gold"].to_numpy() - base["reference_gold"]) / base["reference_gold_sd"]
    prompts = task["seeds"][0]["prompts"]
    shown = [max(each[5] for _, completions in prompt["arms"] for each in completions) for prompt in prompts]
    worst = [value for value, prompt in zip(shown, prompts, strict=True) if prompt["why"] == "worst"]
    assert worst == sorted(worst, reverse=True)
    assert worst[0] == pytest.approx(gap.max(), abs=1e-3)
    assert len({prompt["why"] for prompt in prompts}) == 2
    assert choose_samples(run) == choose_samples(run)


def test_without_gold_the_judge_orders_the_samples(page):
    strings = next(task for task in page.samples if task["about"] == "strings")
    assert strings["column"] == "judge"
    assert strings["ordered"]


def test_of_many_arms_and_seeds_the_browser_embeds_a_bounded_choice(tmp_path):
    arms = [(f"{arm[0]} {i}", *arm[1:]) for i in range(3) for arm in ARMS]
    run = load_run(write_run(tmp_path / "run", seeds=4, probes=0, arms=arms))
    rewrite(tmp_path / "run", lambda rows: rows.assign(completion="a long completion " * 100))
    [task] = choose_samples(run)
    assert len(json.dumps(task)) < 3_000_000
    assert len(task["seeds"]) == 2
    text = task["seeds"][0]["prompts"][0]["arms"][0][1][0][0]
    assert text.endswith("(1000 more characters)")


@pytest.mark.parametrize(
    "verdicts, words",
    [
        (["contradicted"], ["The only claim is contradicted.", "The contradicted claim: Claim 1 (D0): Sentence 1. "]),
        (["reproduced"], ["The only claim is reproduced.", "No claim is contradicted."]),
        (["not run", "not run"], ["Both claims were not run."]),
        (["reproduced"] * 3, ["All 3 claims are reproduced."]),
        (
            ["reproduced", "reproduced", "contradicted", "contradicted", "not testable here", "not run"],
            ["Of 6 claims, 2 are contradicted, 2 are reproduced, 1 is not testable here and 1 was not run.",
             "The contradicted claims: Claim 3 (D0): Sentence 3. Found: gold: a − b = 0.21 ± 0.05. Claim 4"],
        ),
    ],
)  # fmt: skip
def test_verdicts_are_told_in_sentences_contradictions_first(tmp_path, verdicts, words):
    said = points(write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[:1]), claims(*verdicts))
    for sentence in words:
        assert any(sentence in point for point in said), said


def test_what_several_tests_of_a_claim_found_is_told_apart(tmp_path):
    found = claims("contradicted").assign(effect="gold: a − b = 0.1\nkl: a − b = 2")
    said = points(write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[:1]), found)
    assert any("Found: gold: a − b = 0.1; kl: a − b = 2." in point for point in said), said


def test_the_summary_names_the_best_arm_its_price_and_who_is_as_good(tmp_path):
    arms = [ARMS[1], ARMS[4], ("ppo again", *ARMS[4][1:]), ARMS[5]]
    [best, hacked, cells] = points(write_run(tmp_path / "run", seeds=5, probes=0, arms=arms))[1:]
    assert re.search(
        r"reviews: ppo( again)? has the highest gold reward, 0\.\d+ ± 0\.\d+, at a KL of [\d.]+ ± [\d.]+ nats and", best
    )
    assert re.search(r"It cannot be told from ppo( again)?\.", best)
    assert hacked.endswith("reviews: ppo without KL.")
    assert cells == "All 20 cells ended well."


def test_the_summary_says_what_is_missing(run_directory, tmp_path):
    said = points(run_directory)
    assert said[0] == "This run was not made to test claims."
    assert any("Unfinished: 2 of 40 cells have no record yet" in point for point in said)
    [troubles] = [point for point in said if point.startswith("Of 38 cells with a record, 1 diverged and 1 failed:")]
    assert "lima on reviews, seed 0: failed at step 3: out of memory" in troubles
    assert "ppo without KL on reviews, seed 1: diverged at step 40: loss is not finite" in troubles
    many = {(arm[0], 0): ("failed", f"out of memory {COMMANDS}", 3) for arm in ARMS[:9]} | {
        ("base", 1): ("failed", "no", None)
    }
    for task in ("reviews", "strings"):
        write_run(tmp_path / "many", seeds=2, probes=0, not_ok=many, task=task)
    [troubles] = [point for point in points(tmp_path / "many") if point.startswith("Of 40 cells")]
    assert (
        "Of 40 cells with a record, 20 failed: base on reviews and strings, 2 cells: failed: out of memory" in troubles
    )
    assert troubles.endswith("and 8 further cells, for which see the notes beneath the results.")
    one = points(write_run(tmp_path / "one", seeds=1, probes=0, arms=ARMS[:2]))
    assert "No two seeds to compare on: the lead may be chance." in one[1]
    assert not any("hacking" in point for point in one)


def test_lists_and_counts_are_grammatical():
    assert [listed(list("abcd")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert listed(list("abcd"), 2) == "a, b and 2 more"
    assert [counted(n, "seed") for n in (0, 1, 2)] == ["no seeds", "1 seed", "2 seeds"]


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda folder: shutil.rmtree(folder / "cells"), ["No cell has a record yet.", "There is nothing to draw."]),
        (
            lambda folder: [file.unlink() for file in folder.glob("cells/*/*.parquet")] and seal(folder),
            ["The records hold no completions.", "Nobody judged", "skipped overoptimisation.png"],
        ),
        (
            lambda folder: rewrite(folder, lambda rows: rows.assign(completion=None)),
            ["The records hold no completions.", "every arm against every other"],
        ),
    ],
    ids=["no records", "records alone", "no texts"],
)
def test_a_run_that_lacks_things_has_a_page_that_says_so(tmp_path, spoil, words):
    directory = write_run(tmp_path / "run", seeds=2, probes=0, arms=ARMS[:4], pending=1)
    spoil(directory)
    page = Page(write_report(load_run(directory), directory / "report.html"))
    for sentence in [*words, "Unfinished"]:
        assert sentence in page.text


@pytest.mark.parametrize("status", ["failed", "diverged", "skipped"])
def test_a_run_in_which_nothing_ended_well_has_a_page(tmp_path, status):
    not_ok = {(arm[0], 0): (status, "a reason", None) for arm in ARMS[:2]}
    directory = write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[:2], not_ok=not_ok)
    page = Page(write_report(load_run(directory), directory / "report.html", claims()))
    assert "no cell has ended well yet" in page.text
    assert "a reason" in page.text


def test_plots_beside_the_records_are_taken_while_they_are_newer(tmp_path):
    directory = write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[1:3])
    (directory / "plots").mkdir()
    Image.new("RGB", (300, 200), "white").save(directory / "plots" / "of_my_own.png")
    newer = Page(write_report(load_run(directory), directory / "report.html"))
    assert [image["alt"] for image in newer.all("img")] == ["Of my own (reviews)."]
    assert write_report(load_run(directory), directory / "again.html").read_text() == newer.source
    os.utime(directory / "plots" / "of_my_own.png", (0, 0))
    alts = [image["alt"] for image in Page(write_report(load_run(directory), directory / "report.html")).all("img")]
    assert "Drawn before the last record was written. Of my own (reviews)." in alts
    assert any(alt.startswith("What reward costs in KL") for alt in alts)


def test_a_run_of_conversations_has_a_page_with_a_line_for_each_turn(tmp_path):
    directory = write_run(tmp_path / "run", seeds=1, probes=0, arms=ARMS[1:3])
    prompt = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    answer = [{"role": "assistant", "content": "Because."}]
    rewrite(directory, lambda rows: rows.assign(prompt=[prompt] * len(rows), completion=[answer] * len(rows)))
    (entry,) = Page(write_report(load_run(directory), directory / "report.html")).samples
    shown = entry["seeds"][0]["prompts"][0]
    assert shown["text"] == "user: Why?\nassistant: So."
    assert shown["arms"][0][1][0][0] == "assistant: Because."
