"""Tables in each format: nothing is lost, everything is escaped, what is marked stands out."""

import io
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.layout import Section, html_page, latex, markdown, print_sections, write_sections
from bench.contracts.escaping import visible
from tests.bench.analysis.hostile_labels import COMMANDS, RECORDED

FRAME = pd.DataFrame({"arm": ["a|b & <c>", "π0"], "gold ↑": ["0.5 ± 0.1\np < 0.001", "[0.2]"]})
SECTION = Section("r & d · tiny", FRAME, ["5 % of <all>"], {("a|b & <c>", "gold ↑")})


class Reader(HTMLParser):
    """The texts of a page, by the element that they stand in."""

    def __init__(self, page):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag not in ("br", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1], data))


def test_html_is_well_formed_and_says_every_text_as_it_is():
    reader = Reader(html_page("winrates", [SECTION, SECTION], ["Unfinished: 1 < 2"]))
    assert reader.open == []
    texts = reader.texts
    assert texts.count(("th", "a|b & <c>")) == 2
    assert texts.count(("caption", "r & d · tiny")) == 2
    assert [text for tag, text in texts if tag == "strong"] == ["0.5 ± 0.1", "p < 0.001"] * 2
    assert ("td", "[0.2]") in texts
    assert ("li", "5 % of <all>") in texts
    assert ("p", "Unfinished: 1 < 2") in texts


def test_markdown_keeps_its_columns_and_marks_in_bold():
    head, _, first, second = markdown(FRAME, SECTION.marks).splitlines()
    assert head == "| arm | gold ↑ |"
    assert first == r"| a\|b & &lt;c> | **0.5 ± 0.1<br>p < 0.001** |"
    assert second == "| π0 | [0.2] |"


def test_latex_escapes_and_marks_in_bold():
    text = latex(SECTION)
    assert r"a\textbar{}b \& <c> & \textbf{\shortstack[r]{0.5 $\pm$ 0.1 \\{} p < 0.001}} \\" in text
    assert r"\caption{r \& d $\cdot$ tiny}" in text
    assert r"5 \% of <all>" in text


@pytest.mark.parametrize("width", [200, 24])
def test_the_terminal_stars_what_is_marked_and_cuts_nothing_off(width):
    out = io.StringIO()
    print_sections([SECTION], Console(file=out, width=width))
    for text in ("a|b & <c>", "0.5 ± 0.1", "p < 0.001*", "[0.2]", "5 % of <all>"):
        assert text in out.getvalue()


@pytest.fixture
def hostile():
    """A table whose rows, columns, title and notes are labels that command something."""
    frame = pd.DataFrame({"arm": RECORDED, **dict.fromkeys(RECORDED, "1.0")})
    return Section(f"{RECORDED[0]} · {RECORDED[-1]}", frame, RECORDED, {(label, label) for label in RECORDED})


@pytest.mark.parametrize("terminal", [True, False])
def test_the_terminal_shows_every_label_as_it_is_and_no_command(hostile, terminal):
    out = io.StringIO()
    print_sections(
        [hostile], Console(file=out, width=200, force_terminal=terminal, color_system=None), RECORDED, "yellow"
    )
    text = out.getvalue()
    assert not set(text) & set(COMMANDS)
    assert len(re.findall(r"1\.0\*", text)) == len(RECORDED)  # a label's marks are found by its own text
    for label in RECORDED:
        lines = visible(label).split("\n")  # in a cell they stand beneath each other
        assert all(text.count(line) >= 4 for line in lines), label


def test_no_file_holds_a_command(hostile, tmp_path):
    files = write_sections(tmp_path, "hostile", [hostile], {"hostile": hostile.frame}, [visible(REMARK)])
    for file in files:
        assert not set(file.read_text(encoding="utf-8").replace("\n", "")) & set(COMMANDS)
    md, tex, html, csv = (file.read_text(encoding="utf-8") for file in files)
    assert all(line.count(" | ") == len(RECORDED) for line in md.splitlines() if line.startswith("| "))
    assert "<script>" not in md + html
    assert all(line.startswith("%") for line in tex.split("\\end{table}\n")[1].splitlines())
    assert not re.search(r"\\\\\s*[\[*]|\\midrule\s*[\[*]", tex)  # after a row these would be its height or star
    assert pd.read_csv(io.StringIO(csv))["arm"].tolist() == [visible(label) for label in RECORDED]


REMARK = "cells/x: a reason\nof two lines"
