"""A participant that asks for a token, and a real daemon whose token is replaced, lost, and there again."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection

from amends import Definition, EventKind, MethodCall, Step
from amends.v1 import participant_pb2 as pb
from sample_services.carrier import ledger
from sample_services.carrier.carrier_pb2_grpc import add_CarrierServicer_to_server
from sample_services.carrier.service import CarrierService
from tests.calls.fake_participant import FakeParticipant
from tests.calls.test_credentials import CERTIFICATES, LATER, SECRET, Door
from tests.integration.conftest import QUICK, Stage

SHIP = Definition(
    "ship",
    [
        Step(
            "ship",
            "payments",
            effect_free=True,
            retry=QUICK,
            try_method=MethodCall(
                "acme.carrier.v1.Carrier/Book",
                "BookRequest{order_ref: saga.id, address: input.address, weight_grams: 500}",
            ),
        )
    ],
)
CHARGE = Definition("charge", [Step("charge", "payments", "charge", effect_free=True, retry=QUICK)])


class Payments(FakeParticipant):
    """Says what it offers; by unary calls only, so that each of them shows its token."""

    async def _describe(self, _request: Any, _context: Any) -> bytes:
        return pb.DescribeResponse(actions=[pb.ActionDescription(name="charge")]).SerializeToString()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """The door of a server that runs, at ``door.address``."""
    door = Door()
    server = Payments(exchange=False, credentials=server_credentials(), door=door)
    await server.start()
    door.address = server.address
    yield door
    await server.stop()


@asynccontextmanager
async def carrier_behind(door: Door, path: Path) -> AsyncIterator[None]:
    """A server of the carrier, with reflection, by TLS."""
    server = grpc.aio.server(interceptors=(door,), migration_thread_pool=ThreadPoolExecutor(2))
    add_CarrierServicer_to_server(CarrierService(path), server)
    reflection.enable_server_reflection(("acme.carrier.v1.Carrier", reflection.SERVICE_NAME), server)
    port = server.add_secure_port("127.0.0.1:0", server_credentials())
    door.address = f"127.0.0.1:{port}"
    await server.start()
    yield
    await server.stop(None)


def server_credentials() -> grpc.ServerCredentials:
    pair = (CERTIFICATES / "server.key").read_bytes(), (CERTIFICATES / "server.pem").read_bytes()
    return grpc.ssl_server_credentials([pair])


def configuration(folder: Path, door: Door, ca: str = str(CERTIFICATES / "server.pem")) -> tuple[str, str]:
    """The options of a daemon that is to show its token."""
    file = folder / "amends.toml"
    file.write_text(
        f'log-level = "debug"\n[participants.payments]\naddress = "{door.address}"\n'
        f'ca = "{ca}"\ntoken = "{folder / "token"}"\n'
    )
    return "--config", str(file)


async def test_sagas_follow_a_token_that_is_replaced_and_wait_for_one_that_is_gone(
    stage: Stage, door: Door
) -> None:
    """Calls without one are repeated and say why; what the participant is shown, nobody else is."""
    token = stage.folder / "token"
    token.write_text(SECRET)
    daemon = await stage.start_daemon(*configuration(stage.folder, door))
    async with stage.client() as client:
        assert (await client.run(CHARGE, {}, timeout=20.0)).completed
        door.token = LATER
        token.unlink()
        await client.start(CHARGE, {}, saga_id="waits")
        async for event in client.watch("waits"):
            if event.kind is EventKind.ATTEMPT_FAILED:
                break
        _, shown = await stage.command("get", "waits", "--json")
        assert f"the token of participant payments: {token} cannot be read: No such file" in shown
        token.write_text(LATER)
        assert (await client.wait("waits", timeout=20.0)).completed
    assert ("Try", f"Bearer {LATER}") in door.seen
    assert await daemon.stop() == 0
    log = (stage.folder / "amends.log").read_text()
    assert "SECRET" not in log + shown
    assert "Traceback" not in log


async def test_a_plain_service_with_a_public_certificate_sees_the_token_in_every_call(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In questions about its methods too. The system vouches for it, as it does for those that are public."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "server.pem"))
    (stage.folder / "token").write_text(SECRET)
    ledger.make(stage.folder / "carrier.db")
    async with carrier_behind(door := Door(), stage.folder / "carrier.db"):
        await stage.start_daemon(*configuration(stage.folder, door, ca="system"))
        async with stage.client() as client:
            saga = await client.run(SHIP, {"address": "Dam 1, Amsterdam, NL"}, timeout=20.0)
    assert saga.completed
    assert {method for method, _ in door.seen} == {"ServerReflectionInfo", "Book"}
    assert {shown for _, shown in door.seen} == {f"Bearer {SECRET}"}


async def test_a_daemon_without_its_token_does_not_start(stage: Stage, door: Door) -> None:
    """It says in one line which file, and what is wrong with it."""
    config = configuration(stage.folder, door)
    status, said = await stage.command("serve", *config)
    place = f"amends: {config[1]}, line 5: token of participant payments: "
    assert (status, said) == (2, f"{place}cannot be read: No such file or directory\n")
