"""The fake coordinator on a real port, and the command line against it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result

from amends.v1 import coordinator_pb2_grpc
from amends_coordinator.cli import _screen
from amends_coordinator.cli._app import amends
from tests.cli.cli_fakes import FakeCoordinator, Run


@pytest.fixture
def coordinator() -> FakeCoordinator:
    return FakeCoordinator()


@pytest.fixture
def target(coordinator: FakeCoordinator) -> Iterator[str]:
    """The address of the fake coordinator."""
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        coordinator_pb2_grpc.add_CoordinatorServicer_to_server(coordinator, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `amends` with these arguments, in this process."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("AMENDS_TARGET", "127.0.0.1:1")

    def run(*arguments: str, **options: Any) -> Result:
        # The console keeps to one stream, and each run has its own.
        _screen.console.cache_clear()
        return CliRunner().invoke(amends, list(arguments), **options)

    yield run
    _screen.console.cache_clear()


@pytest.fixture
def run(command: Run, target: str) -> Run:
    """Runs `amends` against the fake coordinator."""

    def run_at_target(*arguments: str, **options: Any) -> Result:
        return command(*arguments, env={"AMENDS_TARGET": target}, **options)

    return run_at_target
