"""The fixtures of the pytest plugin, in sessions of their own."""

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

PARTICIPANT = """
    import pytest
    from amends import Context, Definition, Participant, Step

    ENTER = Definition("enter", [Step("enter", "door", "enter")])

    def door():
        door = Participant("door", store="memory:")

        @door.action
        def enter(_input: None, ctx: Context) -> str:
            return "welcome"

        @enter.compensate
        def leave(_input: None, _result: str | None, ctx: Context) -> None:
            pass

        return door

    made = []

    def teardown_module():
        assert made and all("closed" in repr(participant) for participant in made)
"""

ASYNC_TEST = """
    @pytest.mark.asyncio
    async def test_enter(local_coordinator):
        made.append(door())
        coordinator = await local_coordinator(*made)
        assert (await coordinator.run(ENTER)).result("enter", str) == "welcome"
"""


def test_a_fixture_for_marked_async_tests(pytester: pytest.Pytester) -> None:
    """In pytest-asyncio's strict mode; tests/testing/test_kit_docs.py shows its auto mode."""
    pytester.makepyfile(PARTICIPANT + ASYNC_TEST)
    options = (
        "-W",
        "error",
        "-o",
        "asyncio_mode=strict",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
    )
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=1)


def test_a_fixture_for_plain_tests(pytester: pytest.Pytester) -> None:
    """It needs no plugin for async tests."""
    test = """
    def test_enter(blocking_local_coordinator):
        made.append(door())
        coordinator = blocking_local_coordinator(*made)
        assert coordinator.run(ENTER).result("enter", str) == "welcome"
    """
    pytester.makepyfile(PARTICIPANT + test)
    pytester.runpytest_subprocess("-W", "error", "-p", "no:asyncio").assert_outcomes(passed=1)


def test_the_plugin_loads_nothing_of_weight() -> None:
    """It loads in every session of everybody, also where what a coordinator needs is not installed."""
    program = """if True:
        import sys
        heavy = {"grpc", "google", "opentelemetry", "aiosqlite", "yaml", "click", "rich", "pytest_asyncio"}
        sys.modules.update(dict.fromkeys(heavy))  # importing any of them fails
        import amends_coordinator.testing.plugin
        assert "amends" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", program], check=True)
