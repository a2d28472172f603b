"""`pytest --bench-check my_method.py`: a test for every promise, beside whatever else pytest collects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bench.authoring.checking.check import Check


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--bench-check`."""
    parser.getgroup("alignment-bench").addoption(
        "--bench-check",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="check a method, task or judge, or all that a Python file defines, as `bench check` does; repeatable",
    )


@pytest.hookimpl(tryfirst=True)  # before -k and -m select among the items
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add an item for every promise."""
    for target in config.getoption("bench_check"):
        from bench.authoring.checking.subjects import find_subjects
        from bench.contracts.errors import BenchError

        try:
            subjects = find_subjects(target)
        except BenchError as error:
            raise pytest.UsageError(f"--bench-check: {error}") from None
        for subject in subjects:
            for check in subject.checks():
                name = f"{subject.kind.name}::{subject.name}::{check.name}"
                items.append(PromiseItem.from_parent(session, name=name, nodeid=f"bench-check::{name}", check=check))


class PromiseItem(pytest.Item):
    """One promise as a test."""

    def __init__(self, *, check: Check[Any], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.check = check

    def runtest(self) -> None:
        """Check."""
        from bench.authoring.checking.check import Unsuited

        try:
            self.check()
        except Unsuited as reason:
            pytest.skip(str(reason))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """A broken promise in its own words, anything else as ever."""
        from bench.authoring.checking.check import Broken

        if isinstance(excinfo.value, Broken):
            return f"{self.check.promise}: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, None, str]:
        """What a report calls it."""
        return self.path, None, self.name
