"""Settings on the command line are read as those of a matrix."""

import pytest

from bench.contracts.errors import BenchError
from bench.contracts.plugin import Settings
from bench.contracts.validation import assigned


class Some(Settings):
    rate: float = 0.1
    word: str = "a"
    on: bool = False


def test_values_are_read_by_the_rules_of_a_matrix():
    read = assigned(Some, ["rate=1e-3", "word=no", "on=true"], "some")
    assert (read.rate, read.word, read.on) == (1e-3, "no", True)
    assert assigned(Some, ["word=a: b: c"], "some").word == "a: b: c"  # no YAML: a text


@pytest.mark.parametrize("value", ["[" * 3000, "{" * 3000, "9" * 5000, "!!python/object x", "&a [*a]"])
def test_what_is_no_value_is_refused_in_a_short_line(value):
    with pytest.raises(BenchError, match=r"--set: rate: .* must be a number") as caught:
        assigned(Some, [f"rate={value}"], "some")
    assert len(str(caught.value)) < 120
