"""A participant that asks for a token, and a real daemon whose token is replaced, lost, and there again."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from amends import Definition, EventKind, Step
from amends.v1 import participant_pb2 as pb
from tests.calls.fake_participant import FakeParticipant
from tests.calls.test_credentials import CERTIFICATES, LATER, SECRET, Door
from tests.integration.conftest import QUICK, Stage

CHARGE = Definition("charge", [Step("charge", "payments", "charge", effect_free=True, retry=QUICK)])


class Payments(FakeParticipant):
    """Says what it offers; by unary calls only, so that each of them shows its token."""

    async def _describe(self, _request: Any, _context: Any) -> bytes:
        return pb.DescribeResponse(actions=[pb.ActionDescription(name="charge")]).SerializeToString()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """The door of a server that runs, at ``door.address``."""
    door = Door()
    pair = (CERTIFICATES / "server.key").read_bytes(), (CERTIFICATES / "server.pem").read_bytes()
    server = Payments(exchange=False, credentials=grpc.ssl_server_credentials([pair]), door=door)
    await server.start()
    door.address = server.address
    yield door
    await server.stop()


def configuration(folder: Path, door: Door) -> tuple[str, str]:
    """The options of a daemon that is to show its token."""
    file = folder / "amends.toml"
    file.write_text(
        f'log-level = "debug"\n[participants.payments]\naddress = "{door.address}"\n'
        f'ca = "{CERTIFICATES / "server.pem"}"\ntoken = "{folder / "token"}"\n'
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


async def test_a_daemon_without_its_token_does_not_start(stage: Stage, door: Door) -> None:
    """It says in one line which file, and what is wrong with it."""
    config = configuration(stage.folder, door)
    status, said = await stage.command("serve", *config)
    place = f"amends: {config[1]}, line 5: token of participant payments: "
    assert (status, said) == (2, f"{place}cannot be read: No such file or directory\n")
