"""A daemon that serves HTTP too, for the tests that do it no harm."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format

from tests.addresses import free_address
from tests.integration.conftest import Stage, three_steps


def definition() -> dict[str, Any]:
    """Three steps that succeed, as JSON."""
    return json_format.MessageToDict(three_steps().to_proto())


class HttpStage(Stage):
    """A stage whose daemon listens at another address, for HTTP."""

    http: str

    async def start_serving(self, *options: str) -> None:
        """Starts a ledger, and a daemon with HTTP."""
        self.http = free_address()
        await self.start_ledger()
        await self.start_daemon("--http", self.http, *options)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HttpStage]:
    """One daemon for the tests of a module; in the end it still works, and has met nothing unforeseen."""
    stage = HttpStage(tmp_path_factory.mktemp("http"))
    try:
        await stage.start_serving()
        yield stage
        async with stage.client() as client:
            assert (await client.run(three_steps(), {}, timeout=30.0)).completed
        log = (stage.folder / "amends.log").read_text()
        assert "Traceback" not in log
        assert "internal_error" not in log
    finally:
        await stage.close()
