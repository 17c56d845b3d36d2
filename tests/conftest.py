"""What all tests share."""

from collections.abc import Generator
from typing import Final

import pytest

LONGEST: Final = ("simulation", "model", "chaos", "fuzz", "samples")
"""The folders whose tests take longest."""

UNMEASURED: Final = (
    *("benchmarks", "bus", "chaos", "choreography", "conformance", "http_api", "integration"),
    *("observability", "recorded", "samples", "stubs", "tracker"),
)
"""The folders whose tests start processes that need not be measured: what these run is reached elsewhere too,
and measuring takes as long again."""


@pytest.fixture(autouse=True)
def measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the processes that a test starts count for coverage, or not."""
    if request.path.parent.name in UNMEASURED:
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the longest tests: a core that comes to one last would keep the others waiting."""
    items.sort(key=lambda item: item.path.parent.name not in LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escapes what is no Unicode in a captured log: reports go to another process as UTF-8."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report
