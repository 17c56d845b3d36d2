"""What users get wrong, on a real daemon: each is told in words that say what to do, and nothing breaks."""

import asyncio
import socket
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from amends import Definition, Step
from amends.errors import AlreadyExists, InvalidArgument
from amends.v1 import coordinator_pb2, coordinator_pb2_grpc, saga_pb2
from tests.addresses import free_address
from tests.integration.conftest import QUICK, Stage, three_steps

pytestmark = pytest.mark.asyncio(loop_scope="module")

LATE = "late"
"""A participant that the daemon knows, and that is not there."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One daemon for all of these tests: none of them may harm it."""
    stage = Stage(tmp_path_factory.mktemp("bad-input"))
    stage.late_address = free_address()
    try:
        await stage.start_ledger()
        await stage.start_daemon("--participant", f"{LATE}={stage.late_address}")
        yield stage
        async with stage.client() as client:  # still there, and still at work
            assert (await client.run(three_steps(), {}, timeout=10.0)).completed
    finally:
        await stage.close()


def one_step(participant: str, action: str) -> Definition:
    return Definition("one-step", [Step("only", participant, action, retry=QUICK)])


def is_one_line(text: str) -> bool:
    """Whether an error is told as it should be."""
    return text.startswith("amends: ") and len(text.splitlines()) == 1 and "Traceback" not in text


# Definitions


async def test_a_participant_that_is_not_configured_is_named_with_those_that_are(stage: Stage) -> None:
    """The start is refused; nobody waits for a participant that nobody knows."""
    async with stage.client() as client:
        with pytest.raises(InvalidArgument, match=r"'nobody', which is not configured.*late, ledger"):
            await client.start(one_step("nobody", "do"), {})


async def test_an_action_that_its_participant_does_not_offer_is_named_with_those_it_does(
    stage: Stage,
) -> None:
    """The start is refused, since the participant is up and says so."""
    async with stage.client() as client:
        with pytest.raises(InvalidArgument, match=r"'dance'.*does not offer; it offers: bulky, do"):
            await client.start(one_step("ledger", "dance"), {})


async def test_a_saga_waits_for_a_participant_that_is_down_and_says_so(stage: Stage) -> None:
    """`amends get` shows why, with the address; when it comes up, the saga completes. One whose action it
    turns out not to offer cannot be undone there either, and is parked for an operator."""
    async with stage.client() as client:
        await client.start(one_step(LATE, "do"), {}, saga_id="waits")
        await client.start(one_step(LATE, "dance"), {}, saga_id="dances")
        async for event in client.watch("waits"):
            if event.kind.name == "ATTEMPT_FAILED":
                break
        status, output = await stage.command("get", "waits")
        assert status == 0
        assert stage.late_address in output
        await stage.start_late_ledger()
        assert (await client.wait("waits", timeout=10.0)).completed
        ended = await client.wait("dances", timeout=10.0)
        assert ended.state.name == "PARKED"
        assert ended.turn_back is not None
        assert "dance" in ended.turn_back.message


async def test_p10_an_id_used_with_other_content_is_refused(stage: Stage) -> None:
    """The message names what differs; the saga is as it was."""
    async with stage.client() as client:
        before = await client.run(three_steps(), {"number": 1}, saga_id="used")
        with pytest.raises(AlreadyExists, match="another input"):
            await client.start(three_steps(), {"number": 2}, saga_id="used")
        assert (await client.get("used")).sequence == before.sequence


async def test_a_definition_with_a_cycle_is_refused_and_the_cycle_is_told(stage: Stage) -> None:
    """Step by step, in the order of need."""
    definition = one_step("ledger", "do").to_proto()
    definition.steps.append(saga_pb2.Step(name="other", participant="ledger", action="do"))
    definition.steps[0].needs.steps.append("other")
    request = coordinator_pb2.RegisterDefinitionRequest(definition=definition)
    async with grpc.aio.insecure_channel(stage.listen) as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        with pytest.raises(grpc.aio.AioRpcError, match=r"cycle: (only|other) -> "):
            await stub.RegisterDefinition(request)  # type: ignore[misc]


# The command line


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("get", "missing"), 5, "missing"),
        (("cancel", "not an id"), 2, "not an id"),
        (("start", "unheard-of", "--input", "{}"), 5, "unheard-of"),
        (("start", "unheard-of", "--input", "{"), 2, "input"),
    ],
)
async def test_errors_of_commands_are_one_line(
    stage: Stage, arguments: tuple[str, ...], status: int, words: str
) -> None:
    """With the exit status that scripts rely on."""
    found, output = await stage.command(*arguments)
    assert found == status, output
    assert is_one_line(output)
    assert words in output


async def test_a_yaml_file_with_a_cycle_is_refused_in_one_line(stage: Stage) -> None:
    """With the file and its line."""
    file = stage.folder / "cycle.yaml"
    file.write_text(
        "name: cycle\nsteps:\n"
        "  - {name: a, participant: ledger, action: do, needs: [b]}\n"
        "  - {name: b, participant: ledger, action: do, needs: [a]}\n"
    )
    status, output = await stage.command("start", str(file))
    assert status == 2, output
    assert is_one_line(output)
    assert "cycle.yaml" in output


# Starting the daemon


async def test_a_port_in_use_is_told_in_one_line(stage: Stage) -> None:
    """Exit status 1, and the option that helps."""
    status, output = await stage.command(
        "serve",
        "--listen",
        stage.listen,
        "--metrics",
        "off",
        "--store",
        f"sqlite:///{stage.folder}/second.db",
    )
    assert status == 1
    assert is_one_line(output)
    assert stage.listen in output
    assert "--listen" in output


def _no_folder(folder: Path) -> Path:
    return folder / "missing" / "amends.db"


def _a_folder(folder: Path) -> Path:
    (folder / "a-folder").mkdir()
    return folder / "a-folder"


def _corrupt(folder: Path) -> Path:
    path = folder / "corrupt.db"
    path.write_bytes(b"SQLite format 3\0" + b"\x99" * 8_192)
    return path


def _newer(folder: Path) -> Path:
    path = folder / "newer.db"
    db = sqlite3.connect(path)
    db.executescript("PRAGMA application_id = 1097688179; PRAGMA user_version = 999; CREATE TABLE t (x);")
    db.close()
    return path


def _foreign(folder: Path) -> Path:
    path = folder / "foreign.db"
    db = sqlite3.connect(path)
    db.executescript("CREATE TABLE t (x);")
    db.close()
    return path


@pytest.mark.parametrize("make", [_no_folder, _a_folder, _corrupt, _newer, _foreign])
async def test_a_store_that_cannot_be_used_is_refused_in_one_line(stage: Stage, make) -> None:  # type: ignore[no-untyped-def]
    """It names the file and what to do, and the file is left as it was."""
    path = make(stage.folder)
    before = path.read_bytes() if path.is_file() else b""
    status, output = await stage.command(
        "serve", "--listen", "127.0.0.1:0", "--metrics", "off", "--store", f"sqlite:///{path}"
    )
    assert status == 1, output
    assert is_one_line(output)
    assert str(path) in output
    assert before == (path.read_bytes() if path.is_file() else b"")


# What is no request at all


async def test_bytes_that_are_no_http_are_no_harm(stage: Stage) -> None:
    """A port scanner, a browser, noise."""
    host, _, port = stage.listen.rpartition(":")
    for noise in (
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(range(256)) * 64,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 99,
    ):
        with socket.create_connection((host, int(port)), timeout=5.0) as connection:
            connection.sendall(noise)
    async with stage.client() as client:
        assert (await client.run(three_steps(), {}, timeout=10.0)).completed


async def test_health_and_reflection_answer(stage: Stage) -> None:
    """The standard ones, so that standard tools work."""
    async with grpc.aio.insecure_channel(stage.listen) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "amends.v1.Coordinator"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        stream = reflection.ServerReflectionInfo(_once(request))
        listed = await stream.read()
        names = {each.name for each in listed.list_services_response.service}
        assert {"amends.v1.Coordinator", "grpc.health.v1.Health"} <= names
        stream.cancel()


async def _once(
    request: reflection_pb2.ServerReflectionRequest,
) -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
    yield request
    await asyncio.Event().wait()
