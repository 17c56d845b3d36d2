"""The commands that work on a bus: dead letters, and the events as they come."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from amends._bus.interface import Bus, BusUnavailableError, Message, MessageRefusedError
from amends._bus.opening import bus_at
from amends._choreography.cloudevent import CloudEvent, read_message
from amends.v1 import choreography_pb2 as pb
from amends_coordinator.cli._exits import ExitStatus
from tests.addresses import free_address
from tests.cli.cli_fakes import Run
from tests.tracker.shop import DEAD, DISCARDED, REPLAYED, Story, some_payload

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bus.db"


@pytest.fixture
def run(command: Run, url: str) -> Run:
    """Runs `amends` with the bus in its environment."""

    def run_on_bus(*arguments: str, **options: Any) -> Any:
        return command(*arguments, env={"AMENDS_BUS": url}, **options)

    return run_on_bus


def publish(url: str, messages: Sequence[Message]) -> None:
    async def publish_() -> None:
        bus = bus_at(url)
        await bus.open()
        await bus.publish(messages)
        await bus.close()

    asyncio.run(publish_())


def messages(url: str) -> list[Message]:
    async def read() -> list[Message]:
        bus: Bus = bus_at(url)
        await bus.open()
        found = [message async for page in bus.read(0, follow=False) for _, message in page]
        await bus.close()
        return found

    return asyncio.run(read())


def read(url: str) -> list[CloudEvent]:
    return [read_message(message) for message in messages(url)]


@pytest.fixture
def letters(url: str) -> list[CloudEvent]:
    """Three dead letters, of two sagas and two services; the last was sent again. Returns their events."""
    one, two = Story("order-1"), Story("order-2")
    placed = one.tell("OrderPlaced", "orders.place", payload=some_payload())
    one.dead(placed, "inventory", "reserve")
    one.dead(placed, "payments", "charge", "KEY_REUSED")
    other = two.tell("OrderPlaced", "orders.place")
    two.dead(other, "inventory", "reserve")
    two.replayed(other, "inventory")
    publish(url, [*one.messages(), *two.messages()])
    return [placed, other]


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_dead_letters_are_listed_unless_they_were_sent_again(run: Run, letters: list[CloudEvent]) -> None:
    """For people a table, with all that says why."""
    listed = run("dead-letters", "list").output.splitlines()
    assert [line.split()[:5] for line in listed[1:]] == [
        ["orders/order-1-1", "OrderPlaced", "inventory", "reserve", "order-1"],
        ["orders/order-1-1", "OrderPlaced", "payments", "charge", "order-1"],
    ]
    assert "HANDLER_FAILED: the bank said no" in listed[1]
    assert "sent again" in run("dead-letters", "list", "--all").output


@pytest.mark.parametrize(
    ("options", "consumers"),
    [
        (["--saga", "order-1"], ["inventory", "payments"]),
        (["--consumer", "payments"], ["payments"]),
        (["--saga", "order-2"], []),
        (["--saga", "order-2", "--all"], ["inventory"]),
    ],
)
def test_dead_letters_are_found_by_saga_and_service(
    run: Run, letters: list[CloudEvent], options: list[str], consumers: list[str]
) -> None:
    found = lines(run("dead-letters", "list", "--json", *options).output)
    assert [each["consumer"] for each in found] == consumers


def test_a_payload_is_shown_only_when_asked_for(run: Run, letters: list[CloudEvent]) -> None:
    """As the JSON that it stands for; one that cannot be read as its bytes."""
    assert "tea" not in run("dead-letters", "list", "--json").output
    shown = lines(run("dead-letters", "list", "--payload", "--consumer", "payments").output)[0]
    assert shown["payload"] == {"item": "tea"}
    assert (shown["eventId"], shown["attempts"], shown["replayed"]) == ("orders/order-1-1", 5, False)


def test_a_dead_letter_of_something_that_is_no_event_is_shown_too(run: Run, url: str) -> None:
    """By its subject, what the bus called it, and its bytes."""
    letter = pb.DeadLetter(
        consumer="inventory", event_id="x-1", subject="odd", data=b"\xff", reason="UNDECODABLE"
    )
    payload = some_payload()
    payload.value = letter.SerializeToString()
    publish(url, [Story("").tell(DEAD, source="inventory", payload=payload).to_message()])
    assert "odd" in run("dead-letters", "list").output
    shown = lines(run("dead-letters", "list", "--payload").output)[0]
    assert shown["payload"] == {"type": "", "base64": "/w=="}
    assert run("dead-letters", "replay", "x-1").exit_code == 0
    again, note = messages(url)[-2:]
    assert (again.subject, again.data, read_message(note).type) == ("odd", b"\xff", REPLAYED)


def test_what_only_claims_to_be_a_dead_letter_is_none(run: Run, url: str) -> None:
    payload = some_payload()
    payload.value = b"\xff"
    publish(url, [Story().tell(DEAD, source="inventory", payload=payload).to_message()])
    assert run("dead-letters", "list").output == "no dead letters\n"
    assert run("dead-letters", "replay", "--all").output == "no dead letters\n"


def test_a_replay_is_the_same_event_under_a_new_id_for_the_one_service(
    run: Run, url: str, letters: list[CloudEvent]
) -> None:
    """A note follows it, so that nobody sends it again by mistake."""
    result = run("dead-letters", "replay", "orders/order-1-1", "--consumer", "payments")
    assert result.exit_code == 0
    assert result.output.endswith("1 sent again\n")
    again, note = read(url)[-2:]
    original = letters[0]
    assert again.id != original.id
    assert again.replay_of == "payments/orders/order-1-1"
    for name in ("source", "type", "saga_id", "payload", "cause", "step", "outcome", "traceparent"):
        assert getattr(again, name) == getattr(original, name), name
    said = pb.DeadLetterReplayed.FromString(note.payload.value)
    assert (note.type, note.saga_id, said.replay_id) == (REPLAYED, "order-1", again.reference)
    assert (said.consumer, said.event_id) == ("payments", "orders/order-1-1")
    assert "payments" not in run("dead-letters", "list").output


@pytest.mark.parametrize("which", [["--all"], ["--saga", "order-1"], ["orders/order-1-1"]])
def test_a_replay_takes_all_that_are_meant_once(
    run: Run, letters: list[CloudEvent], which: list[str]
) -> None:
    assert run("dead-letters", "replay", *which).output.endswith("2 sent again\n")
    again = run("dead-letters", "replay", *which)
    assert again.exit_code == (0 if which[0].startswith("--") else ExitStatus.NOT_FOUND)


@pytest.mark.parametrize("which", [[], ["x/1", "--all"], ["--saga", "s", "--all"]])
def test_a_replay_must_be_told_which(run: Run, letters: list[CloudEvent], which: list[str]) -> None:
    result = run("dead-letters", "replay", *which)
    assert result.exit_code == ExitStatus.USAGE
    assert "give --saga, or --all" in result.stderr


def test_a_replay_of_what_is_not_there_is_refused(run: Run, url: str, letters: list[CloudEvent]) -> None:
    """And nothing of the command is done."""
    before = read(url)
    result = run("dead-letters", "replay", "orders/order-1-1", "orders/order-2-1", "nobody/7")
    assert result.exit_code == ExitStatus.NOT_FOUND
    assert (
        "there is no dead letter nobody/7, orders/order-2-1, or it was sent again or discarded"
        in result.stderr
    )
    assert read(url) == before


def test_a_replay_of_a_letter_without_its_event_is_told_to_who_has_kept_it(run: Run, url: str) -> None:
    """Where that listens, which is the subject of the event."""
    letter = pb.DeadLetter(consumer="inventory", event_id="x/1", subject="OrderPlaced", reason="REFUSED")
    payload = some_payload()
    payload.value = letter.SerializeToString()
    publish(url, [Story().tell(DEAD, source="inventory", payload=payload).to_message()])
    result = run("dead-letters", "replay", "x/1")
    assert result.output == (
        "x/1 for inventory: tried again from what inventory has kept, for the letter had no room for it\n"
        "1 sent again\n"
    )
    [_, note] = messages(url)
    said = pb.DeadLetterReplayed.FromString(note.data)
    assert (note.subject, note.key, note.headers["ce-type"]) == ("OrderPlaced", "order-1", REPLAYED)
    assert (said.consumer, said.event_id, said.replay_id) == ("inventory", "x/1", "")
    assert run("dead-letters", "list").output == "no dead letters\n"


def test_a_discarded_letter_is_told_to_its_service_and_left_out(
    run: Run, url: str, letters: list[CloudEvent]
) -> None:
    """With the reason, which may be in any language."""
    which = ("orders/order-1-1", "--consumer", "payments")
    result = run("dead-letters", "discard", *which, "--reason", " es kam zweimal, für nichts ")
    assert result.output == "orders/order-1-1 for payments: discarded\n1 discarded\n"
    said = messages(url)[-1]
    assert (said.subject, said.key, said.headers["ce-type"]) == ("OrderPlaced", "order-1", DISCARDED)
    assert pb.DeadLetterDiscarded.FromString(said.data) == pb.DeadLetterDiscarded(
        consumer="payments", event_id="orders/order-1-1", reason="es kam zweimal, für nichts"
    )
    assert "payments" not in run("dead-letters", "list").output
    shown = lines(run("dead-letters", "list", "--all", "--json", "--consumer", "payments").output)[0]
    assert (shown["replayed"], shown["discarded"]) == (False, "es kam zweimal, für nichts")
    assert "; discarded: es kam" in " ".join(run("dead-letters", "list", "--all").output.split())
    assert run("dead-letters", "replay", *which).exit_code == ExitStatus.NOT_FOUND


def test_all_letters_of_a_saga_can_be_discarded(run: Run, letters: list[CloudEvent]) -> None:
    words = ("dead-letters", "discard", "--saga", "order-1", "--reason", "it came twice")
    assert run(*words).output.endswith("2 discarded\n")
    assert run(*words).output == "no dead letters\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--reason", "why"], "or give --saga"),
        (["x/1", "--saga", "s", "--reason", "why"], "or give --saga"),
        (["x/1"], "--reason"),
        (["x/1", "--reason", "  "], "takes 1 to 1000 characters"),
        (["x/1", "--reason", "x" * 1_001], "takes 1 to 1000 characters"),
    ],
)
def test_a_discard_must_be_told_which_and_why(
    run: Run, letters: list[CloudEvent], options: list[str], said: str
) -> None:
    result = run("dead-letters", "discard", *options)
    assert result.exit_code == ExitStatus.USAGE
    assert said in result.stderr


def test_a_bus_that_does_not_take_a_replay_is_said_to(
    run: Run, letters: list[CloudEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: Bus, messages: Sequence[Message]) -> list[Exception]:
        return [MessageRefusedError("it is too large") for _ in messages]

    monkeypatch.setattr("amends._bus.sqlite.SqliteBus.publish", refuse)
    result = run("dead-letters", "replay", "--all")
    assert (result.exit_code, result.stderr) == (ExitStatus.FAILED, "amends: it is too large\n")


@pytest.mark.parametrize("words", [["dead-letters", "list"], ["events", "tail", "--no-follow"]])
def test_a_bus_that_is_not_there_is_one_line(run: Run, words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == ExitStatus.USAGE
    assert "there is no such file" in result.stderr
    result = run(*words, "--bus", "kafka://host")
    assert result.exit_code == ExitStatus.USAGE
    assert len(result.stderr.splitlines()) == 1


def test_a_bus_that_is_away_is_told_by_its_status(
    run: Run, letters: list[CloudEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(self: Bus, after: int, *, follow: bool) -> Any:
        raise BusUnavailableError("the bus is away")
        yield

    monkeypatch.setattr("amends._bus.sqlite.SqliteBus.read", away)
    result = run("dead-letters", "list")
    assert (result.exit_code, result.stderr) == (ExitStatus.UNREACHABLE, "amends: the bus is away\n")


# Events


def test_events_are_shown_the_oldest_first(run: Run, url: str) -> None:
    """With step, outcome, id and cause; without their payloads."""
    story = Story()
    placed = story.tell("OrderPlaced", "orders.place", payload=some_payload())
    story.tell("StockReserved", "inventory.reserve")
    story.tell("Ticked", source="clock", cause="")
    story.replayed(placed, "payments")
    publish(url, story.messages())
    shown = run("events", "tail", "--no-follow").output.splitlines()
    assert shown[0] == (
        "2026-09-21 14:13:20.000Z  order-1  OrderPlaced  orders.place succeeded  orders/order-1-1"
    )
    assert shown[1].endswith("inventory.reserve succeeded  inventory/order-1-2  after orders/order-1-1")
    assert shown[2].endswith("Ticked  clock  clock/order-1-3")
    assert shown[3].endswith("again for payments/orders/order-1-1")


def test_events_are_found_by_saga_type_and_time(run: Run, url: str) -> None:
    one, two = Story("a"), Story("b")
    one.tell("shop.v1.OrderPlaced", "orders.place")
    one.tell("shop.v1.StockReserved", "inventory.reserve")
    two.tell("shop.v2.OrderPlaced", "orders.place")
    publish(url, [*one.messages(), *two.messages()])

    def ids(*options: str) -> list[str]:
        return [each["id"] for each in lines(run("events", "tail", "--no-follow", "--json", *options).output)]

    assert ids("--saga", "a") == ["a-1", "a-2"]
    assert ids("--type", "shop.OrderPlaced") == ["a-1", "b-1"]
    assert ids("--type", "shop.v2.OrderPlaced") == ["a-1", "b-1"]
    assert ids("--since", "2026-09-21T14:13:21Z") == ["a-2"]
    assert run("events", "tail", "--since", "yesterday").exit_code == ExitStatus.USAGE


def test_the_payload_of_an_event_is_shown_when_asked_for(run: Run, url: str) -> None:
    story = Story()
    story.tell("OrderPlaced", "orders.place", payload=some_payload())
    publish(url, story.messages())
    shown = lines(run("events", "tail", "--no-follow", "--payload").output)[0]
    assert shown["payload"] == {"item": "tea"}
    assert (shown["step"], shown["outcome"], shown["time"]) == ("place", "succeeded", "2026-09-21T14:13:20Z")


def test_what_is_no_event_is_told_of_and_the_rest_is_shown(run: Run, url: str) -> None:
    story = Story()
    story.tell("OrderPlaced", "orders.place")
    publish(url, [Message(id="x\x1b/1", key="", subject="odd", headers={}, data=b""), *story.messages()])
    result = run("events", "tail", "--no-follow")
    assert len(result.stdout.splitlines()) == 1
    assert "'x\\x1b/1' is no event: the header ce-id is missing" in result.stderr


def test_events_are_followed_until_ctrl_c(url: str) -> None:
    """What is published while the command runs is shown too."""
    story = Story().completed()
    publish(url, story.messages()[:1])
    process = subprocess.Popen(
        [sys.executable, "-m", "amends_coordinator.cli", "events", "tail", "--json", "--bus", url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=dict(os.environ), text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["id"] == "order-1-1"
        publish(url, story.messages(1)[:1])
        assert json.loads(process.stdout.readline())["id"] == "order-1-2"
    finally:
        process.send_signal(2)
        _, said = process.communicate(timeout=30)
    assert process.returncode == ExitStatus.INTERRUPTED
    assert "Traceback" not in said


def test_a_nats_server_that_is_not_there_is_unreachable(run: Run) -> None:
    result = run("dead-letters", "list", "--bus", f"nats://{free_address()}")
    assert result.exit_code == ExitStatus.UNREACHABLE
    assert "Traceback" not in result.stderr
