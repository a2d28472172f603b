"""Text of others is shown as it is, and commands nothing, wherever it is written."""

import io
import re

import pytest
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from rich.console import Console

from bench.contracts.escaping import command_in, in_html, in_latex, in_markdown, in_plot, in_rich, visible
from tests.bench.analysis.hostile_labels import COMMANDS, REFUSED, SHOWN


@pytest.mark.parametrize("text", SHOWN)
def test_a_text_without_commands_is_visible_as_it_is(text):
    assert visible(text, one_line=True) == text
    assert command_in(text) is None


@pytest.mark.parametrize(("text", "named"), REFUSED.items())
def test_commands_are_named_and_spelt_out(text, named):
    assert command_in(text) == named
    assert not set(visible(text)) & set(COMMANDS)
    assert command_in(visible(text, one_line=True)) is None
    visible(text).encode()


def test_line_breaks_stay_unless_one_line_is_asked_for():
    assert visible("a\n\tb\x1b") == "a\n\tb\\x1b"
    assert visible("a\n\tb\u202e", one_line=True) == r"a\n\tb\u202e"


@pytest.mark.parametrize("text", SHOWN)
def test_rich_prints_it_as_it_is(text):
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=True, color_system=None).print(in_rich(text))
    assert out.getvalue() == f"{text}\n"


@pytest.mark.parametrize("text", SHOWN)
@pytest.mark.parametrize("place", ["cell", "item"])
def test_markdown_reads_it_back_as_it_is(text, place):
    if place == "cell":
        source = f"| a | b |\n| --- | --- |\n| {in_markdown(text)} | second |\n"
    else:
        source = f"- {in_markdown(text)}\n"
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source)
    inline = [token for token in tokens if token.type == "inline"]
    read = inline[2 if place == "cell" else 0].children
    assert {token.type for token in read} <= {"text", "text_special", "code_inline"}
    assert "".join(f"`{t.content}`" if t.type == "code_inline" else t.content for t in read) == text
    if place == "cell":
        assert inline[3].content == "second"


def test_a_line_break_stays_within_its_cell_of_markdown():
    assert in_markdown("a\nb") == "a<br>b"


@pytest.mark.parametrize("text", [*SHOWN, *REFUSED])
def test_latex_has_no_command_but_ours(text):
    ours = r"\\textbackslash\{\}|\\textbar\{\}|\\[&%$#_{}]|\\[\^~]\{\}"
    rest = re.sub(ours, "", in_latex(text))
    assert not set(rest) & {*"\\&%$#_{}^~|", *COMMANDS}


@pytest.mark.parametrize("text", SHOWN)
def test_a_page_has_no_element_but_line_breaks(text):
    assert not set(in_html(f"{text}\nb").replace("<br>", "")) & set("<>\"'")


@pytest.mark.parametrize("text", [*SHOWN, *REFUSED])
def test_matplotlib_draws_it_letter_by_letter(text):
    figure = Figure()
    drawn = figure.text(0, 0, in_plot(text))
    letters, mathematics = drawn._preprocess_math(drawn.get_text())
    assert not mathematics
    assert letters == visible(text)
