"""The HTTP port of a daemon: who is let in, who waits for whom, and how it ends."""

import asyncio
import http.client
import json
import ssl
import sys
import urllib.error
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from amends.errors import StartError
from amends_coordinator.daemon import _serve_http
from amends_coordinator.http_api import server as server_module
from amends_coordinator.http_api.server import HttpServer
from amends_coordinator.settings import Settings
from tests.addresses import free_address
from tests.http_api.asking import ask, struct
from tests.http_api.conftest import HttpStage, definition
from tests.http_api.test_http_refusals import HEAD

CERTIFICATES = Path(__file__).parents[1] / "sdk" / "participant" / "certificates"
SERVICE: Any = object()


@pytest.fixture
async def own_stage(tmp_path: Path) -> AsyncIterator[HttpStage]:
    """A stage of one test, which starts and stops its daemon."""
    stage = HttpStage(tmp_path)
    try:
        yield stage
    finally:
        await stage.close()


def client_tls(*, certificate: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=CERTIFICATES / "server.pem")
    if certificate:
        context.load_cert_chain(CERTIFICATES / "client.pem", CERTIFICATES / "client.key")
    return context


async def test_slow_clients_hold_nobody_up(own_stage: HttpStage) -> None:
    """Neither other clients, nor the end of the daemon: not with half a request, and not with none."""
    await own_stage.start_serving()
    host, _, port = own_stage.http.rpartition(":")
    slow = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
    try:
        slow[0][1].write(HEAD % b"Content-Length: 100" + b"{")
        slow[1][1].write(HEAD[:20])
        for _, writer in slow:
            await writer.drain()
        assert (await ask(own_stage.http, "ListSagas", {})).status == 200
        daemon = own_stage.processes[-1]
        assert await daemon.stop() == 0
        assert "Traceback" not in (own_stage.folder / "amends.log").read_text()
    finally:
        for _, writer in slow:
            writer.close()


async def test_a_client_that_is_gone_is_not_waited_for(own_stage: HttpStage) -> None:
    """A start that waits ends with its caller; the saga goes on."""
    await own_stage.start_serving()
    switch = own_stage.switches / "first"
    switch.touch()
    start = json.dumps(
        {"sagaId": "left", "definition": definition(), "input": struct({}), "wait": "3600s"}
    ).encode()
    host, _, port = own_stage.http.rpartition(":")
    head = HEAD.replace(b"GetSaga", b"StartSaga") % f"Content-Length: {len(start)}".encode()
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(head + start)
    await writer.drain()
    async with own_stage.client() as client:
        while (await ask(own_stage.http, "GetSaga", {"sagaId": "left"})).status != 200:
            continue
        writer.close()
        switch.unlink()
        assert (await client.wait("left", timeout=30.0)).completed
    assert await own_stage.processes[-1].stop() == 0
    assert "Traceback" not in (own_stage.folder / "amends.log").read_text()


async def test_with_certificates_strangers_are_kept_out(own_stage: HttpStage) -> None:
    """The settings of the gRPC port hold here too."""
    await own_stage.start_serving(
        "--tls-cert", str(CERTIFICATES / "server.pem"),
        "--tls-key", str(CERTIFICATES / "server.key"),
        "--tls-client-ca", str(CERTIFICATES / "client.pem"),
    )  # fmt: skip
    assert (await ask(own_stage.http, "ListSagas", {}, tls=client_tls(certificate=True))).status == 200
    for tls in (client_tls(certificate=False), None):
        with pytest.raises((ConnectionError, urllib.error.URLError, ssl.SSLError, http.client.HTTPException)):
            await ask(own_stage.http, "ListSagas", {}, tls=tls)
    assert (
        f"JSON at https://{own_stage.http}/amends.v1.Coordinator/"
        in (own_stage.folder / "amends.log").read_text()
    )


async def test_a_port_in_use_is_told_in_one_line(own_stage: HttpStage) -> None:
    """With the option that helps, before anything is served."""
    address = free_address()
    taken = await asyncio.start_server(lambda *_: None, *address.split(":"))
    async with taken:
        status, output = await own_stage.command(
            "serve", "--listen", "127.0.0.1:0", "--metrics", "off", "--http", address,
            "--store", f"sqlite:///{own_stage.folder}/amends.db",
        )  # fmt: skip
    assert status == 1
    assert len(output.splitlines()) == 1
    assert address in output
    assert "--http" in output


async def test_without_its_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are an extra."""
    monkeypatch.delitem(sys.modules, server_module.__name__)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    async with AsyncExitStack() as stack:
        with pytest.raises(StartError, match=r"--http needs the package uvicorn.*'amends\[http\]'"):
            _serve_http(Settings(http="127.0.0.1:0"), SERVICE, stack)


async def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    """It can be read, and says nothing."""
    cert = tmp_path / "cert.pem"
    cert.write_text("nothing")
    with pytest.raises(StartError, match=r"TLS.*cert\.pem"):
        HttpServer(SERVICE, "127.0.0.1:0", cert=cert, key=cert, grace=1.0)


async def test_a_server_that_never_ran_can_be_stopped() -> None:
    """And gives its port back."""
    server = HttpServer(SERVICE, "127.0.0.1:0", grace=1.0)
    await server.stop()
    server.close()
    port = server.url.split("/")[2]
    again = HttpServer(SERVICE, port, grace=1.0)
    again.close()
