"""Who does not trace pays nothing for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "opentelemetry.instrumentation",
    "prometheus_client",
    "http.server",
)

DAEMON = """
import asyncio, os, signal, sys
from pathlib import Path
from amends_coordinator import daemon
from amends_coordinator.settings import Settings

async def main():
    settings = Settings(listen="127.0.0.1:0", metrics=None, store=sys.argv[1])
    serving = asyncio.create_task(daemon.serve(settings))
    async with asyncio.timeout(10):
        while "amends: listening" not in seen:
            await asyncio.sleep(0)
            if serving.done():
                await serving
    print(*sys.modules)
    os.kill(os.getpid(), signal.SIGTERM)
    await serving

seen = ""
def tell(*words, **more):
    global seen
    seen += " ".join(words)
daemon.print = tell
asyncio.run(main())
"""

PARTICIPANT = """
import sys
from amends import Participant
Participant("party", store="memory:")
print(*sys.modules)
"""


def loaded(program: str, *arguments: str) -> list[str]:
    """The modules that a program has loaded when it says so."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env=environment,
    )
    return done.stdout.split()


@pytest.mark.parametrize("name", HEAVY)
def test_a_daemon_without_telemetry_loads_none_of_it(name: str, modules: dict[str, list[str]]) -> None:
    assert not [each for each in modules["daemon"] if each.startswith(name)]


@pytest.mark.parametrize("name", HEAVY)
def test_a_participant_without_telemetry_loads_none_of_it(name: str, modules: dict[str, list[str]]) -> None:
    assert not [each for each in modules["participant"] if each.startswith(name)]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    path: Path = tmp_path_factory.mktemp("off")
    return {
        "daemon": loaded(DAEMON, f"sqlite:///{path}/amends.db"),
        "participant": loaded(PARTICIPANT),
    }
