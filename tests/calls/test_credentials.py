"""What goes with calls to a participant that asks who calls: by TLS, to a real server that looks at it."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.code_pb2 import Code

from amends.errors import StartError
from amends_coordinator.core.outcomes import Compensated, Succeeded, Unknown
from amends_coordinator.core.values import Direction
from amends_coordinator.credentials import channel_credentials, system_authorities
from amends_coordinator.settings import SYSTEM, ParticipantSettings
from tests.calls.fake_participant import FakeParticipant, Rig

CERTIFICATES = Path(__file__).parents[1] / "sdk" / "participant" / "certificates"
SECRET = "ey.SECRET-1"
LATER = "ey.SECRET-2"


class Door(grpc.aio.ServerInterceptor):
    """Lets nobody in without the token; ``seen`` lists the methods called and what came with them."""

    def __init__(self) -> None:
        self.token = SECRET
        self.seen: list[tuple[str, str | None]] = []
        self.address = ""  # of the server behind it

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        method = handler_call_details.method.rpartition("/")[2]
        shown = dict(handler_call_details.invocation_metadata).get("authorization")
        self.seen.append((method, shown))
        if shown == f"Bearer {self.token}":
            return await continuation(handler_call_details)
        if method in ("Exchange", "ServerReflectionInfo"):
            return grpc.stream_stream_rpc_method_handler(_refuse_stream)
        return grpc.unary_unary_rpc_method_handler(_refuse)


async def _refuse(_request: bytes, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "show your token")


async def _refuse_stream(_requests: Any, context: Any) -> AsyncIterator[bytes]:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "show your token")
    yield b""


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
async def server(way: str, door: Door) -> AsyncIterator[FakeParticipant]:
    """A participant behind the door, by TLS."""
    pair = (CERTIFICATES / "server.key").read_bytes(), (CERTIFICATES / "server.pem").read_bytes()
    credentials = grpc.ssl_server_credentials([pair])
    server = FakeParticipant(exchange=way == "exchange", credentials=credentials, door=door)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    return path


def settings(token: Path | None, **more: Any) -> ParticipantSettings:
    trust: dict[str, Any] = {"ca": CERTIFICATES / "server.pem", **more}
    return ParticipantSettings(name="payments", address="127.0.0.1:1", token=token, **trust)


def _replace(token: Path, content: str | None) -> None:
    if content is None:
        token.unlink()
    else:
        token.write_text(content)


@asynccontextmanager
async def calling(server: FakeParticipant, token: Path | None, **more: Any) -> AsyncIterator[Rig]:
    """The coordinator's side of a participant with these settings."""
    rig = Rig(server.address, credentials=channel_credentials(settings(token, **more)))
    try:
        yield rig
    finally:
        await rig.close()


@pytest.fixture(autouse=True)
def no_secrets(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happens to a token, no log shows it."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert "SECRET" not in caplog.text


async def test_every_call_carries_the_token(
    way: str, server: FakeParticipant, door: Door, token: Path
) -> None:
    async with calling(server, token) as rig:
        assert (await rig.participant.describe()).participant == "fake"
        assert await rig.call() == Succeeded(None)
        assert await rig.call(direction=Direction.BACKWARD) == Compensated()
    methods = ["Describe", "Exchange"] if way == "exchange" else ["Describe", "Exchange", "Try", "Compensate"]
    assert door.seen == [(method, f"Bearer {SECRET}") for method in methods]


async def test_without_a_token_nothing_is_shown(server: FakeParticipant, door: Door) -> None:
    """A server that asks for one opens no stream, which says nothing of the calls that were to go there."""
    async with calling(server, None) as rig:
        outcome = await rig.call()
    assert {shown for _, shown in door.seen} == {None}
    assert isinstance(outcome, Unknown)
    assert "show your token" in outcome.message


async def test_a_token_that_is_replaced_is_followed(
    server: FakeParticipant, door: Door, tmp_path: Path
) -> None:
    """As Kubernetes replaces them: a link to a folder comes to point at another; no file is written."""
    for name, secret in (("first", SECRET), ("second", LATER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(secret)
    data, fresh = tmp_path / "data", tmp_path / "fresh"
    data.symlink_to("first")
    async with calling(server, data / "token") as rig:
        await rig.participant.describe()
        fresh.symlink_to("second")
        fresh.rename(data)
        door.token = LATER
        await rig.participant.describe()
        assert await rig.call() == Succeeded(None)
    assert {shown for _, shown in door.seen[1:]} == {f"Bearer {LATER}"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "is empty"),
        (f"{SECRET}\n{SECRET}", "must hold one token and nothing else"),
    ],
    ids=["gone", "empty", "two lines"],
)
async def test_calls_without_a_usable_token_are_repeated_until_there_is_one(
    server: FakeParticipant, door: Door, token: Path, content: str | None, said: str
) -> None:
    """The message names the file, and nothing is sent meanwhile."""
    async with calling(server, token) as rig:
        _replace(token, content)
        for direction in Direction:
            outcome = await rig.call(direction=direction)
            assert isinstance(outcome, Unknown)
            assert outcome.code == Code.UNAVAILABLE
            assert f"the token of participant payments: {token} {said}" in outcome.message
            assert "SECRET" not in outcome.message
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await rig.participant.describe()
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
        assert door.seen == []
        _replace(token, SECRET)
        while isinstance(outcome := await rig.call(), Unknown):  # by a stream that was opened before
            assert said in outcome.message
        assert outcome == Succeeded(None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; it must hold a token"),
        (b" \n", "is empty; it must hold a token"),
        (b"SECRET\nSECRET", "must hold one token and nothing else"),
        (b"SECRET\r\nauthorization: x", "must hold one token and nothing else"),
        (b"Bearer SECRET", "must hold one token and nothing else"),
        (b"SECRET\x00", "must hold one token and nothing else"),
        ("SECRET\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), "must hold one token and nothing else"),
        (b"SECRET" * 1_366, "is larger than 8 KiB, which no token is"),
    ],
)
def test_a_file_that_holds_no_token_stops_the_start(token: Path, content: bytes, said: str) -> None:
    """The message names the participant and the file, and shows nothing of what is in it."""
    token.write_bytes(content)
    with pytest.raises(StartError) as failure:
        channel_credentials(settings(token))
    message = str(failure.value)
    assert message.startswith(f"the token of participant payments: {token} {said}")
    assert "SECRET" not in message.replace(str(token), "")


def test_a_folder_is_no_token(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read: Is a directory"):
        channel_credentials(settings(tmp_path))


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """A system that trusts nobody, until a test says whom."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    system_authorities.cache_clear()
    yield monkeypatch
    system_authorities.cache_clear()


@pytest.mark.parametrize("where", ["file", "folder"])
async def test_the_authorities_of_the_system_can_vouch(
    server: FakeParticipant, token: Path, trusted: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    """From one file, or from a folder by the names that OpenSSL gives; other files there are passed over."""
    certificate = CERTIFICATES / "server.pem"
    if where == "file":
        trusted.setenv("SSL_CERT_FILE", str(certificate))
    else:
        folder = tmp_path / "authorities"
        folder.mkdir()
        trusted.setenv("SSL_CERT_DIR", str(folder))
        (folder / "0a1b2c3d.0").write_bytes(certificate.read_bytes())
        (folder / "0a1b2c3e.0").write_text("no certificate")
        (folder / "other.pem").write_bytes((CERTIFICATES / "client.pem").read_bytes())
    async with calling(server, token, ca=SYSTEM) as rig:
        assert await rig.call() == Succeeded(None)
    assert system_authorities().count(b"BEGIN CERTIFICATE") == 1


async def test_who_is_vouched_for_by_nobody_is_not_called(
    server: FakeParticipant, door: Door, token: Path, trusted: pytest.MonkeyPatch
) -> None:
    """A server with a certificate of its own making never sees the token."""
    trusted.setenv("SSL_CERT_FILE", str(CERTIFICATES / "client.pem"))
    async with calling(server, token, ca=SYSTEM) as rig:
        outcome = await rig.call()
    assert isinstance(outcome, Unknown)
    assert outcome.code == Code.UNAVAILABLE
    assert door.seen == []


@pytest.mark.usefixtures("trusted")
def test_a_system_without_authorities_is_told_what_it_lacks() -> None:
    with pytest.raises(StartError, match="this system has no authorities: install its package"):
        channel_credentials(settings(None, ca=SYSTEM))


def test_a_certificate_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"cannot read .*gone\.pem: No such file or directory"):
        channel_credentials(settings(None, ca=tmp_path / "gone.pem"))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"ca": "client.key"}, "ca .*client.key holds no certificates in PEM"),
        ({"cert": "client.key", "key": "client.key"}, "cert .* and key .* are no pair of PEM files"),
        ({"cert": "client.pem", "key": "client.pem"}, "cert .* and key .* are no pair of PEM files"),
        ({"cert": "client.pem", "key": "server.key"}, "cert .* and key .*KEY_VALUES_MISMATCH"),
        (
            {"cert": "client.pem", "key": "locked.key"},
            "cert .* and key .*locked.key are no pair of PEM files",
        ),
    ],
)
def test_files_that_are_mixed_up_stop_the_start(files: dict[str, str], said: str) -> None:
    """Rather than every call, in words of a library. Nobody is asked for a passphrase."""
    paths = {key: CERTIFICATES / name for key, name in files.items()}
    with pytest.raises(StartError, match=f"participant payments: {said}"):
        channel_credentials(settings(None, **paths))


async def test_a_certificate_is_shown_to_who_asks_for_one(door: Door, token: Path) -> None:
    """With a token beside it."""
    pair = (CERTIFICATES / "server.key").read_bytes(), (CERTIFICATES / "server.pem").read_bytes()
    clients = (CERTIFICATES / "client.pem").read_bytes()
    credentials = grpc.ssl_server_credentials([pair], clients, require_client_auth=True)
    server = FakeParticipant(exchange=True, credentials=credentials, door=door)
    await server.start()
    files = {"cert": CERTIFICATES / "client.pem", "key": CERTIFICATES / "client.key"}
    async with calling(server, token, **files) as rig:
        assert await rig.call() == Succeeded(None)
    await server.stop()


def test_without_authorities_a_channel_is_in_plain_text() -> None:
    assert channel_credentials(ParticipantSettings(name="payments", address="127.0.0.1:1")) is None
