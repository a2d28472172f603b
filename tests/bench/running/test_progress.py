"""What a person sees while a matrix runs: every text as it is, in a terminal and in a pipe."""

import io
import re

import pytest
from rich.console import Console

from bench.contracts.escaping import visible
from bench.running.progress import PlainReporter, TerminalReporter
from tests.bench.analysis.hostile_labels import COMMANDS, REFUSED, SHOWN

REASONS = [*SHOWN, *REFUSED, "shape [/mean] wrong: [/usr/lib/x.so] \x1b]0;owned\x07"]


def tell(reporter, text):
    reporter.start(1)
    reporter.stage_started(text)
    reporter.stage_progress(text, 1, 2)
    reporter.say(text)
    reporter.cell_finished("cell", "failed", text)
    reporter.stage_finished(text, "failed")
    reporter.stop()


@pytest.mark.parametrize("text", REASONS)
def test_a_pipe_gets_every_reason_as_it_is_and_no_command(text):
    out = io.StringIO()
    tell(PlainReporter(out), text)
    assert out.getvalue().startswith(f"{visible(text)}\n[1/1] cell: failed ({visible(text)})\n")
    assert not set(out.getvalue()) & set(COMMANDS)


@pytest.mark.parametrize("text", REASONS)
def test_a_terminal_shows_every_reason_as_it_is_and_no_command(text):
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=True, color_system=None, force_interactive=False)
    tell(TerminalReporter(console), text)
    assert f"{visible(text)}\n" in out.getvalue()
    assert f"failed cell: {visible(text)}\n" in out.getvalue()
    assert not set(re.sub(r"\x1b\[\?25[lh]", "", out.getvalue())) & set(COMMANDS)  # but rich's, of the cursor


def test_a_bar_shows_its_stage_as_it_is():
    out = io.StringIO()
    reporter = TerminalReporter(Console(file=out, width=200, force_terminal=True, color_system=None))
    reporter.start(1)
    reporter.stage_started("policy of dpo [/x] y\x07")
    reporter._progress.refresh()
    reporter.stop()
    assert r"policy of dpo [/x] y\x07" in out.getvalue()
