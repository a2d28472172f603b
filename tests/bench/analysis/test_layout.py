"""Tables in each format: nothing is lost, everything is escaped, what is marked stands out."""

import io
from html.parser import HTMLParser

import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.layout import Section, html_page, latex, markdown, print_sections

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
    assert first == r"| a\|b & <c> | **0.5 ± 0.1<br>p < 0.001** |"
    assert second == "| π0 | [0.2] |"


def test_latex_escapes_and_marks_in_bold():
    text = latex(SECTION)
    assert r"a|b \& <c> & \textbf{\shortstack[r]{0.5 $\pm$ 0.1 \\{} p < 0.001}} \\" in text
    assert r"\caption{r \& d $\cdot$ tiny}" in text
    assert r"5 \% of <all>" in text


@pytest.mark.parametrize("width", [200, 24])
def test_the_terminal_stars_what_is_marked_and_cuts_nothing_off(width):
    out = io.StringIO()
    print_sections([SECTION], Console(file=out, width=width))
    for text in ("a|b & <c>", "0.5 ± 0.1", "p < 0.001*", "[0.2]", "5 % of <all>"):
        assert text in out.getvalue()
