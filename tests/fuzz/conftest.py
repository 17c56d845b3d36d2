import pytest

from tests.fuzz.effort import times

PATIENCE_S = 600
"""For one test of the slice: it takes seconds, but needs minutes to find its shortest story when it fails."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives a test as many times its patience as it has to try inputs."""
    for item in items:
        if "tests/fuzz/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(times(PATIENCE_S)))
