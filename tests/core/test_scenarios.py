"""The saga machine, told as stories. `pytest tests/core --rewrite-scenarios` writes the traces anew."""

from pathlib import Path

import pytest

from tests.core.core_story import retell

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path, request: pytest.FixtureRequest) -> None:
    """What happens is what the story says."""
    text = path.read_text(encoding="utf-8")
    told = retell(text)
    # The option is unknown where pytest met this folder too late to register it.
    if request.config.getoption("rewrite_scenarios", False):
        path.write_text(told, encoding="utf-8")
    else:
        assert told == text


def test_there_are_scenarios() -> None:
    """The stories are where they are looked for."""
    assert SCENARIOS
