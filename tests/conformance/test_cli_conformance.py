"""`amends conformance`: what it prints, its exit status, and what it says of bad input."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from google.rpc import status_pb2
from google.rpc.code_pb2 import Code

from amends import Context, Participant, ServerTls
from amends._payload import unpack
from amends.v1 import coordinator_pb2, coordinator_pb2_grpc, participant_pb2_grpc
from amends.v1 import participant_pb2 as pb
from amends_coordinator.cli import _screen
from amends_coordinator.cli._app import amends
from tests.addresses import free_address
from tests.conformance.by_hand import ACTION, ByHand, Key, StatusError
from tests.conformance.stage import Stage
from tests.conformance.wrong import UndoesNothing

CERTIFICATES = Path(__file__).parents[1] / "sdk" / "participant" / "certificates"

GOOD = ("--input", '{"how": "accept"}', "--rejected-input", '{"how": "reject"}')


@contextmanager
def in_a_loop(start: Callable[[], Any], stop: Callable[[], Any]) -> Iterator[None]:
    """Keeps a server going in an event loop of its own, since the command runs in one too."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result()
        yield
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def served(participant: ByHand) -> Iterator[str]:
    """Serves a participant by hand at the address that is given."""
    stage = Stage(participant)
    with in_a_loop(stage.start, stage.stop):
        yield stage.address


@pytest.fixture
def target() -> Iterator[str]:
    """The address of a right participant."""
    with served(ByHand()) as address:
        yield address


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Runs `amends conformance` in this process."""
    monkeypatch.setenv("COLUMNS", "250")

    def invoke(*arguments: str, **options: Any) -> Result:
        _screen.console.cache_clear()
        return CliRunner().invoke(amends, ["conformance", *arguments], **options)

    yield invoke
    _screen.console.cache_clear()


def test_a_table_has_a_line_for_each_row(run: Callable[..., Result], target: str) -> None:
    """And the last line counts them."""
    ran = run(target, *GOOD)
    assert ran.exit_code == 0, ran.output
    lines = ran.stdout.splitlines()
    assert lines[0].split() == ["row", "over", "result", "what", "why"]
    assert any(line.startswith("repeat-succeeded ") and " passed " in line for line in lines)
    assert any(line.startswith("try-pending ") and "needs --pending-input" in line for line in lines)
    assert lines[-1] == "50 passed, 0 failed, 9 skipped"


def test_a_failed_row_is_status_1(run: Callable[..., Result], tmp_path: Path) -> None:
    """It says what was expected and what came; effects are counted by the command."""
    with served(Ledger(tmp_path)) as address:
        ran = run(address, *GOOD, "--effects", f"cat {tmp_path}/$AMENDS_SAGA_ID 2>/dev/null || echo 0")
    assert ran.exit_code == 1, ran.output
    (line,) = (
        line for line in ran.stdout.splitlines() if line.startswith("compensate-tried") and "unary" in line
    )
    assert "FAILED" in line
    assert line.rstrip().endswith("1 effects were in force; there should have been 0")


class Ledger(UndoesNothing):
    """Writes its effects where a shell command finds them."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    async def answer(self, request: Any) -> Any:
        answer = await super().answer(request)
        (self._folder / request.saga_id).write_text(str(await self.count_effects(request.saga_id)))
        return answer


def test_json_has_a_line_for_each_row(run: Callable[..., Result], target: str) -> None:
    """For programs."""
    ran = run(target, *GOOD, "--json")
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {
        "row": "try-pending",
        "over": "exchange",
        "result": "skipped",
        "why": "needs --pending-input",
    }.items() <= (
        next(row for row in rows if (row["row"], row["over"]) == ("try-pending", "exchange"))
    ).items()
    assert {row["result"] for row in rows} == {"passed", "skipped"}


def test_a_restart_command_that_fails_is_told(run: Callable[..., Result], target: str) -> None:
    """Its status and its words stand in the rows that need it."""
    ran = run(target, *GOOD, "--restart", "echo no such service; exit 3")
    assert ran.exit_code == 1
    assert "it could not be restarted: the command ended with status 3: no such service" in ran.stdout


def test_a_command_that_does_not_end_is_killed(
    run: Callable[..., Result], target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a minute."""
    monkeypatch.setattr("amends_coordinator.conformance.commands.TIMEOUT", 0.05)
    ran = run(target, *GOOD, "--effects", "exec sleep 600")
    told = "amends: --effects: the command did not end within 0.05 s\n"
    assert (ran.exit_code, ran.stderr) == (2, told)


def test_inputs_come_from_files_and_standard_input(
    run: Callable[..., Result], target: str, tmp_path: Path
) -> None:
    """As everywhere."""
    (tmp_path / "input.json").write_text('{"how": "accept"}')
    arguments = (target, "--input", f"@{tmp_path}/input.json", "--rejected-input", "-", "--json")
    ran = run(*arguments, input='{"how": "reject"}')
    assert ran.exit_code == 0, ran.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name a participant, or --coordinator HOST:PORT, and not both"),
        (("TARGET", "--coordinator", "127.0.0.1:1"), "name a participant, or --coordinator"),
        (("--coordinator", "127.0.0.1:1"), "--coordinator and --participant need each other"),
        (("TARGET", "--participant", "kit=127.0.0.1:1"), "--coordinator and --participant need each other"),
        (
            ("--coordinator", "127.0.0.1:1", "--participant", "kit=127.0.0.1:1", "--rejected-input", "1"),
            "--rejected-input is for participants, and does not go with --coordinator",
        ),
        (("--coordinator", "127.0.0.1:1", "--participant", "kit"), "must be NAME=HOST:PORT"),
        (("--coordinator", "nowhere", "--participant", "kit=127.0.0.1:1"), "--coordinator nowhere: must be"),
        (("nowhere",), "nowhere: must be HOST:PORT"),
        (("TARGET", "--input", "{"), "--input: not JSON"),
        (("TARGET", "--input", "-", "--other-input", "-"), "only one input can come from standard input"),
        (("TARGET", "--other-input", "{}"), "--other-input must not be what --input is"),
        (("TARGET", "--rejected-input", "{}"), "--rejected-input must not be what --input is"),
        (("TARGET", "--action", "nothing"), "--action nothing: there is no such action"),
        (
            ("TARGET", "--effects", "echo two"),
            "--effects: the command printed 'two', which is no whole number",
        ),
        (
            ("TARGET", "--effects", "echo 2"),
            "--effects: the command counts 2 effects of a saga that does not",
        ),
        (("TARGET", "--effects", "exit 4"), "--effects: the command ended with status 4"),
        (("TARGET", "--ca", "/nowhere.pem"), "--ca /nowhere.pem: cannot be read"),
        (("TARGET", "--result", "price"), "--result price: must be STEP=JSON"),
        (("TARGET", "--result", "price={"), "--result price: not JSON"),
        (
            ("--coordinator", "127.0.0.1:1", "--participant", "kit=127.0.0.1:1", "--result", "price=1"),
            "--result is for participants",
        ),
        (("TARGET", "--cert", "/nowhere.pem"), "--cert and --key need --ca"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    run: Callable[..., Result], target: str, arguments: tuple[str, ...], told: str
) -> None:
    """It names what is wrong."""
    ran = run(*(target if each == "TARGET" else each for each in arguments), input="{}")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert len(ran.stderr.splitlines()) == 1
    assert told in ran.stderr


def test_nobody_there_is_status_6(run: Callable[..., Result]) -> None:
    """For both sides."""
    address = free_address()
    ran = run(address)
    assert (ran.exit_code, ran.stderr) == (6, f"amends: nobody listens at {address}\n")
    ran = run("--coordinator", address, "--participant", f"kit={free_address()}")
    assert (ran.exit_code, ran.stderr) == (6, f"amends: nobody listens at {address}\n")


class Lists(coordinator_pb2_grpc.CoordinatorServicer):
    """Does what a coordinator is asked at first."""

    def ListSagas(self, _request: Any, _context: Any) -> coordinator_pb2.ListSagasResponse:
        return coordinator_pb2.ListSagasResponse()


def test_an_address_that_is_taken_is_told(run: Callable[..., Result], target: str) -> None:
    """The kit's own participant has to listen there."""
    with plain_server(coordinator=Lists()) as address:
        ran = run("--coordinator", address, "--participant", f"kit={target}")
    assert ran.exit_code == 1
    assert ran.stderr.startswith(f"amends: cannot listen at {target}: ")


@contextmanager
def plain_server(servicer: Any = None, *, coordinator: Any = None) -> Iterator[str]:
    """A gRPC server without the services that are looked for, or with what a test makes of them."""
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        if servicer is not None:
            participant_pb2_grpc.add_ParticipantServicer_to_server(servicer, server)
        if coordinator is not None:
            coordinator_pb2_grpc.add_CoordinatorServicer_to_server(coordinator, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


def test_what_is_no_participant_is_told(run: Callable[..., Result]) -> None:
    """Nor a coordinator."""
    with plain_server() as address:
        ran = run(address)
        told = f"amends: what listens at {address} is no participant: it does not know the service\n"
        assert (ran.exit_code, ran.stderr) == (1, told)
        ran = run("--coordinator", address, "--participant", f"kit={free_address()}")
        assert (ran.exit_code, "is no coordinator" in ran.stderr) == (1, True)


class Describes(participant_pb2_grpc.ParticipantServicer):
    """Describes itself by these actions, or fails with a status."""

    def __init__(self, *actions: str, code: grpc.StatusCode | None = None) -> None:
        self._actions = [pb.ActionDescription(name=name, compensatable=name != "final") for name in actions]
        self._code = code

    def Describe(self, _request: Any, context: Any) -> pb.DescribeResponse:
        if self._code is not None:
            context.abort(self._code, "as arranged")
        return pb.DescribeResponse(actions=self._actions)


@pytest.mark.parametrize(
    ("actions", "known"), [((), "none"), (("final",), "none"), (("book", "final", "pay"), "book, pay")]
)
def test_an_action_has_to_be_named_unless_one_alone_can_be_compensated(
    run: Callable[..., Result], actions: tuple[str, ...], known: str
) -> None:
    """The message lists them."""
    with plain_server(Describes(*actions)) as address:
        ran = run(address)
    told = f"amends: --action is missing; those that can be compensated are: {known}\n"
    assert (ran.exit_code, ran.stderr) == (2, told)


@pytest.mark.parametrize(
    ("code", "status"), [(grpc.StatusCode.UNAVAILABLE, 6), (grpc.StatusCode.PERMISSION_DENIED, 1)]
)
def test_a_describe_that_fails_is_told(
    run: Callable[..., Result], code: grpc.StatusCode, status: int
) -> None:
    """Where the participant is there and does not answer, as where it is not."""
    with plain_server(Describes(code=code)) as address:
        ran = run(address)
    assert ran.exit_code == status
    assert f"{code.name}" in ran.stderr
    assert "as arranged" in ran.stderr


def test_a_participant_is_certified_over_tls(run: Callable[..., Result]) -> None:
    """With a certificate of the caller's own."""
    participant = Participant("by-tls", store="memory:")

    @participant.action(name=ACTION)
    def act(_given: dict[str, str], _ctx: Context) -> None: ...

    @act.compensate
    def undo(_given: dict[str, str], _result: None, _ctx: Context) -> None: ...

    tls = ServerTls(
        cert=CERTIFICATES / "server.pem",
        key=CERTIFICATES / "server.key",
        client_ca=CERTIFICATES / "client.pem",
    )
    address = free_address()
    with in_a_loop(lambda: participant.start(address, tls=tls), lambda: participant.stop(0.0)):
        trust = ("--ca", "server.pem", "--cert", "client.pem", "--key", "client.key")
        ran = run(
            f"localhost:{address.rpartition(':')[2]}",
            *(each if each.startswith("--") else str(CERTIFICATES / each) for each in trust),
        )
    assert ran.exit_code == 0, ran.output


class NeedsAPrice(ByHand):
    """Rejects every Try that comes without the result of another step."""

    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        if unpack(request.results["price"], dict[str, int]) != {"cents": 100}:
            raise StatusError(Code.INVALID_ARGUMENT)
        return super().run(key, request)


def test_results_of_other_steps_come_with_every_try(run: Callable[..., Result]) -> None:
    """For actions that need them."""
    with served(NeedsAPrice()) as address:
        ran = run(address, *GOOD, "--result", 'price={"cents": 100}')
    assert ran.exit_code == 0, ran.output


@contextmanager
def typed() -> Iterator[tuple[str, list[status_pb2.Status]]]:
    """Serves an action that takes a message, and tells which ones it got."""
    participant = Participant("typed", store="memory:")
    got: list[status_pb2.Status] = []

    @participant.action(name=ACTION)
    def act(given: status_pb2.Status, _ctx: Context) -> None:
        got.append(given)

    @act.compensate
    def undo(_given: status_pb2.Status, _result: None, _ctx: Context) -> None: ...

    address = free_address()
    with in_a_loop(lambda: participant.start(address), lambda: participant.stop(0.0)):
        yield address, got


def test_an_input_becomes_the_message_that_the_action_takes(run: Callable[..., Result]) -> None:
    """By server reflection; what is no JSON form of it is told."""
    with typed() as (address, got):
        ran = run(address, "--input", '{"code": 3, "message": "words"}')
        assert ran.exit_code == 0, ran.output
        assert {(status.code, status.message) for status in got} == {(3, "words")}
        ran = run(address, "--input", '{"colour": "red"}')
    assert ran.exit_code == 2
    assert "--input: no JSON form of google.rpc.Status: " in ran.stderr


class Unreflected(ByHand):
    """Names a type that nobody can look up."""

    async def Describe(self, request: pb.DescribeRequest, context: Any) -> pb.DescribeResponse:
        described = await super().Describe(request, context)
        described.actions[0].input_type = "shop.v1.Order"
        return described


def test_an_input_of_a_type_that_reflection_does_not_know_stays_json(run: Callable[..., Result]) -> None:
    """A participant may take it so."""
    with served(Unreflected()) as address:
        assert run(address, *GOOD).exit_code == 0
