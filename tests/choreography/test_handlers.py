"""What a handler may do, and what comes of it: with a store, and without a bus."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from amends._choreography import work
from amends.choreography import (
    EventContext,
    EventService,
    JsonEvent,
    Kind,
    Pending,
    Refused,
    Rejected,
    Retry,
    event,
)
from amends.testing import EventTester
from amends.v1 import choreography_pb2
from tests.choreography.foreign import as_json, with_headers


@event("shop.v1.Placed")
@dataclass
class Placed:
    pieces: int = 1


@event("shop.v1.Reserved")
@dataclass
class Reserved:
    pieces: int


@event("shop.v1.Refused")
@dataclass
class StockRefused:
    reason: str
    message: str = ""
    metadata: dict[str, str] | None = None


@event("shop.v1.Failed")
@dataclass
class Failed:
    reason: str = "NO"


@event("shop.v1.Cancelled")
@dataclass
class Cancelled:
    pass


class StumbledError(Exception):
    pass


Open = Callable[[], Awaitable[EventTester]]


@pytest.fixture
def service(tmp_path: Path) -> EventService:
    return EventService(
        "inventory",
        bus=f"sqlite:///{tmp_path / 'bus.db'}",
        store=f"sqlite:///{tmp_path / 'inventory.db'}",
        schema="CREATE TABLE IF NOT EXISTS stock (what TEXT NOT NULL);",
        retry=Retry(max_attempts=3, initial_backoff=0.001),
    )


@pytest.fixture
async def opened(service: EventService) -> AsyncIterator[Open]:
    """Opens the service once everything is declared."""
    async with AsyncExitStack() as stack:

        async def open_one() -> EventTester:
            return await stack.enter_async_context(EventTester(service))

        yield open_one


@pytest.fixture
def stock(tmp_path: Path) -> Callable[[], list[str]]:
    """What handlers have written."""

    def read() -> list[str]:
        with closing(sqlite3.connect(tmp_path / "inventory.db")) as db:
            return [what for (what,) in db.execute("SELECT what FROM stock ORDER BY rowid")]

    return read


def note(ctx: EventContext, what: str) -> None:
    ctx.db.execute("INSERT INTO stock VALUES (?)", (what,))


def letter_of(told: Any) -> choreography_pb2.DeadLetter:
    return told.event(choreography_pb2.DeadLetter)  # type: ignore[no-any-return]


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_plain_and_async_handlers_do_the_same(
    service: EventService, opened: Open, stock: Callable[[], list[str]], is_async: bool
) -> None:
    if is_async:

        @service.on(Placed, fails_as=StockRefused)
        async def reserve(placed: Placed, ctx: EventContext) -> Reserved:
            await ctx.db.execute("INSERT INTO stock VALUES ('reserved')")
            if placed.pieces > 9:
                raise Rejected("TOO_MANY")
            return Reserved(placed.pieces)

        @reserve.compensate_on(Failed)
        async def release(placed: Placed, reserved: Reserved | None, ctx: EventContext) -> None:
            await ctx.db.execute("INSERT INTO stock VALUES ('released')")
    else:

        @service.on(Placed, fails_as=StockRefused)
        def reserve_plainly(placed: Placed, ctx: EventContext) -> Reserved:
            note(ctx, "reserved")
            if placed.pieces > 9:
                raise Rejected("TOO_MANY")
            return Reserved(placed.pieces)

        @reserve_plainly.compensate_on(Failed)
        def release_plainly(placed: Placed, reserved: Reserved | None, ctx: EventContext) -> None:
            note(ctx, "released")

    tester = await opened()
    assert (await tester.deliver(Placed(2))).event(Reserved) == Reserved(2)
    assert (await tester.deliver_again()).disposition == "duplicate"
    assert (await tester.deliver(Placed(2))).types == []
    assert (await tester.deliver(Failed())).types == ["amends.v1.StepEnded"]
    tester.new_saga()
    assert (await tester.deliver(Placed(10))).event(StockRefused).reason == "TOO_MANY"
    assert stock() == ["reserved", "released"]


async def test_a_plain_and_an_async_handler_live_in_one_service(
    service: EventService, opened: Open, stock: Callable[[], list[str]]
) -> None:
    @service.on(Placed, effect_free=True)
    def first(placed: Placed, ctx: EventContext) -> None:
        note(ctx, "plain")

    @service.on(Placed, effect_free=True)
    async def second(placed: Placed, ctx: EventContext) -> None:
        await ctx.db.execute("INSERT INTO stock VALUES ('async')")

    tester = await opened()
    assert (await tester.deliver(Placed())).types == ["amends.v1.StepEnded"] * 2
    assert stock() == ["plain", "async"]


async def test_a_handler_is_told_what_it_answers(service: EventService, opened: Open) -> None:
    seen: dict[str, Any] = {}

    @service.on(Placed)
    def reserve(placed: Placed, ctx: EventContext) -> Reserved:
        seen["forward"] = (ctx.saga_id, ctx.step, ctx.attempt, ctx.event_id, ctx.trigger, ctx.idempotency_key)
        return Reserved(placed.pieces)

    @reserve.compensate_on(Failed, Cancelled)
    def release(placed: Placed, reserved: Reserved | None, ctx: EventContext) -> None:
        seen["backward"] = (placed, reserved, ctx.trigger, ctx.event_id, ctx.idempotency_key)

    tester = await opened()
    await tester.deliver(Placed(3), saga_id="s", source="web", event_id="1")
    await tester.deliver(Cancelled(), saga_id="s", source="web", event_id="2")
    assert seen["forward"] == ("s", "reserve", 1, "web/1", Placed(3), "s/reserve")
    assert seen["backward"] == (Placed(3), Reserved(3), Cancelled(), "web/2", "s/reserve")


async def test_everything_emitted_leaves_in_order_and_tells_its_cause(
    service: EventService, opened: Open
) -> None:
    @service.on(Placed, emits=["shop.v1.Noted", Int32Value], effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> Reserved | None:
        ctx.emit(JsonEvent("shop.v1.Noted", {"pieces": placed.pieces}))
        ctx.emit(Int32Value(value=placed.pieces))
        return Reserved(placed.pieces)

    tester = await opened()
    told = await tester.deliver(Placed(2), saga_id="s", source="web", event_id="1")
    assert told.types == ["shop.v1.Noted", "google.protobuf.Int32Value", "shop.v1.Reserved"]
    for each in told.emitted:
        assert (each.saga_id, each.source, each.cause) == ("s", "inventory", "web/1")
        assert (each.step, each.outcome) == ("reserve", "succeeded")


async def test_an_event_that_is_not_declared_is_not_emitted(
    service: EventService, opened: Open, stock: Callable[[], list[str]]
) -> None:
    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None:
        note(ctx, "reserved")
        ctx.emit(Reserved(1))

    letter = letter_of(await (await opened()).deliver(Placed()))
    assert (letter.reason, letter.step) == ("EVENT_REFUSED", "reserve")
    assert "does not declare that it emits shop.v1.Reserved; it declares: none" in letter.message
    assert stock() == []


@pytest.mark.parametrize("returned", [{"pieces": 1}, 7, Failed()])
async def test_what_a_handler_returns_against_its_annotation_is_not_emitted(
    service: EventService, opened: Open, returned: Any
) -> None:
    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> Reserved:
        return returned  # type: ignore[no-any-return]

    assert letter_of(await (await opened()).deliver(Placed())).reason == "EVENT_REFUSED"


async def test_a_reaction_to_an_event_of_another_language_takes_its_message_as_it_is(
    service: EventService, opened: Open
) -> None:
    @service.on(StringValue, effect_free=True)
    def echo(value: StringValue, ctx: EventContext) -> StringValue:
        return StringValue(value=value.value.upper())

    told = await (await opened()).deliver(StringValue(value="tea"))
    assert told.event(StringValue).value == "TEA"


async def test_a_reaction_to_a_name_takes_json(service: EventService, opened: Open) -> None:
    @service.on("shop.v1.Placed", emits=["shop.v1.Reserved"])
    def reserve(placed: dict[str, Any], ctx: EventContext) -> JsonEvent:
        return JsonEvent("shop.v1.Reserved", {"pieces": placed["pieces"]})

    @reserve.compensate_on("shop.v1.Failed")
    def release(placed: dict[str, Any], reserved: dict[str, Any] | None, ctx: EventContext) -> None:
        assert reserved == {"pieces": 2}
        assert ctx.trigger == {"reason": "NO"}

    tester = await opened()
    told = await tester.deliver_message(as_json("s", "shop.v1.Placed", {"pieces": 2}))
    assert told.event(Reserved) == Reserved(2)
    assert (await tester.deliver(Failed(), saga_id="s")).emitted[0].outcome == "compensated"


async def test_json_from_elsewhere_fits_a_class(service: EventService, opened: Open) -> None:
    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> Reserved:
        return Reserved(placed.pieces)

    tester = await opened()
    told = await tester.deliver_message(as_json("s", "shop.v1.Placed", {"pieces": 2}))
    assert told.event(Reserved) == Reserved(2)
    letter = letter_of(await tester.deliver_message(as_json("t", "shop.v1.Placed", {"pieces": "two"})))
    assert (letter.reason, letter.step) == ("UNDECODABLE", "reserve")


@pytest.mark.parametrize("fails_as", [StockRefused, "shop.v1.Refused"])
async def test_a_rejection_becomes_the_event_of_its_failure(
    service: EventService, opened: Open, stock: Callable[[], list[str]], fails_as: Any
) -> None:
    @service.on(Placed, fails_as=fails_as, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> Reserved:
        note(ctx, "reserved")
        raise Rejected("TOO_MANY", "there are less", {"left": "1"})

    tester = await opened()
    told = await tester.deliver(Placed())
    assert told.event(StockRefused) == StockRefused("TOO_MANY", "there are less", {"left": "1"})
    assert told.emitted[0].outcome == "rejected"
    assert (await tester.deliver(Placed())).types == []
    assert stock() == []


async def test_a_rejection_that_no_event_tells_of_is_dead(service: EventService, opened: Open) -> None:
    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None:
        raise Rejected("TOO_MANY")

    letter = letter_of(await (await opened()).deliver(Placed()))
    assert (letter.reason, letter.step) == ("REJECTION_UNDECLARED", "reserve")


@event("shop.v1.Picky")
@dataclass
class Picky:
    reason: str

    def __post_init__(self) -> None:
        if self.reason != "KNOWN":
            raise ValueError(f"{self.reason} is not known")


async def test_a_rejection_that_does_not_fit_its_event_is_dead(service: EventService, opened: Open) -> None:
    @service.on(Placed, fails_as=Picky, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None:
        raise Rejected("NEW")

    letter = letter_of(await (await opened()).deliver(Placed()))
    assert letter.reason == "EVENT_REFUSED"
    assert "does not fit into shop.v1.Picky: NEW is not known" in letter.message


async def test_another_event_of_the_same_type_is_no_other_step(service: EventService, opened: Open) -> None:
    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None: ...

    tester = await opened()
    await tester.deliver(Placed(1))
    letter = letter_of(await tester.deliver(Placed(2)))
    assert (letter.reason, letter.step) == ("KEY_REUSED", "reserve")


async def test_a_handler_that_is_pending_is_asked_again_and_uses_up_no_attempt(
    service: EventService, opened: Open, stock: Callable[[], list[str]]
) -> None:
    asked: list[int] = []

    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None:
        asked.append(ctx.attempt)
        note(ctx, "reserved")
        if len(asked) < 6:
            raise Pending(60.0)

    tester = await opened()
    assert (await tester.deliver(Placed())).disposition == "waiting"
    for _ in range(4):
        assert await tester.retry() == ["waiting"]
    assert await tester.retry() == ["done"]
    assert asked == [1] * 6
    assert stock() == ["reserved"]


async def test_attempts_are_counted_and_end(service: EventService, opened: Open) -> None:
    asked: list[int] = []

    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None:
        asked.append(ctx.attempt)
        raise StumbledError("with what is secret")

    tester = await opened()
    told = await tester.deliver(Placed())
    assert (told.disposition, told.types) == ("waiting", [])
    assert await tester.retry() == ["waiting"]
    assert await tester.retry() == ["dead"]
    assert await tester.retry() == []
    assert asked == [1, 2, 3]
    assert (await tester.deliver_again()).disposition == "duplicate"


async def test_what_a_handler_raised_stays_out_of_letters(service: EventService, opened: Open) -> None:
    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None:
        raise Refused("NEVER", "and this is what others may read")

    @service.on(Failed, effect_free=True)
    def stumble(failed: Failed, ctx: EventContext) -> None:
        raise StumbledError("with what is secret")

    tester = await opened()
    assert letter_of(await tester.deliver(Placed())).message == "NEVER: and this is what others may read"
    tester.new_saga()
    await tester.deliver(Failed())
    await tester.retry()
    with closing(sqlite3.connect(service._path)) as db:
        [(error,)] = db.execute("SELECT error FROM amends_inbox WHERE state = 'WAITING'").fetchall()
    assert error == "handler of step 'stumble' raised StumbledError"


async def test_a_compensation_may_emit_and_is_tried_until_it_succeeds(
    service: EventService, opened: Open, stock: Callable[[], list[str]]
) -> None:
    @service.on(Placed)
    def reserve(placed: Placed, ctx: EventContext) -> Reserved:
        return Reserved(placed.pieces)

    @reserve.compensate_on(Failed, emits=["shop.v1.Noted"])
    def release(placed: Placed, reserved: Reserved | None, ctx: EventContext) -> Cancelled:
        note(ctx, "released")
        if ctx.attempt < 3:
            raise Rejected("A_COMPENSATION_CANNOT")
        ctx.emit(JsonEvent("shop.v1.Noted", {}))
        return Cancelled()

    tester = await opened()
    await tester.deliver(Placed(), saga_id="s")
    assert (await tester.deliver(Failed(), saga_id="s")).disposition == "waiting"
    assert await tester.retry() == ["waiting"]
    assert await tester.retry() == ["done"]
    assert stock() == ["released"]


async def test_one_event_undoes_what_was_declared_last_first_and_then_is_reacted_to(
    service: EventService, opened: Open, stock: Callable[[], list[str]]
) -> None:
    for name in ("first", "second"):

        @service.on(Placed, name=name)
        def apply(placed: Placed, ctx: EventContext) -> None: ...

        @apply.compensate_on(Failed)
        def undo(placed: Placed, nothing: None, ctx: EventContext) -> None:
            note(ctx, f"undo {ctx.step}")

    @service.on(Failed, kind=Kind.RETRIABLE)
    def mourn(failed: Failed, ctx: EventContext) -> None:
        note(ctx, "mourn")

    tester = await opened()
    await tester.deliver(Placed())
    await tester.deliver(Failed())
    assert stock() == ["undo second", "undo first", "mourn"]


async def test_all_reactions_to_one_event_happen_or_none(
    service: EventService, opened: Open, stock: Callable[[], list[str]]
) -> None:
    @service.on(Placed, effect_free=True)
    def first(placed: Placed, ctx: EventContext) -> None:
        note(ctx, "first")

    @service.on(Placed, effect_free=True)
    def second(placed: Placed, ctx: EventContext) -> None:
        if ctx.attempt == 1:
            raise StumbledError

    tester = await opened()
    assert (await tester.deliver(Placed())).types == []
    assert stock() == []
    await tester.retry()
    assert stock() == ["first"]


async def test_a_handler_cannot_end_the_transaction_that_others_are_part_of(
    service: EventService, opened: Open
) -> None:
    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None:
        ctx.db.execute("COMMIT")

    assert (await (await opened()).deliver(Placed())).disposition == "waiting"


async def test_an_async_handler_that_holds_up_everybody_is_cancelled_and_tried_again(
    service: EventService, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "ASYNC_HANDLER_SECONDS_MAX", 0.01)

    @service.on(Placed, effect_free=True)
    async def reserve(placed: Placed, ctx: EventContext) -> None:
        if ctx.attempt == 1:
            await asyncio.Event().wait()

    tester = await opened()
    assert (await tester.deliver(Placed())).disposition == "waiting"
    assert await tester.retry() == ["done"]


async def test_events_of_a_saga_wait_for_one_that_is_tried_again_and_then_come_in_order(
    service: EventService, opened: Open, stock: Callable[[], list[str]]
) -> None:
    @service.on(Placed, kind=Kind.RETRIABLE)
    def reserve(placed: Placed, ctx: EventContext) -> None:
        note(ctx, "placed")
        if ctx.attempt == 1:
            raise StumbledError

    for kind in (Failed, Cancelled):

        @service.on(kind, name=kind.__name__, kind=Kind.RETRIABLE)
        def other(value: kind, ctx: EventContext) -> None:  # type: ignore[valid-type]
            note(ctx, ctx.step)

    tester = await opened()
    dispositions = [(await tester.deliver(each)).disposition for each in (Placed(), Failed(), Cancelled())]
    assert dispositions == ["waiting", "parked", "parked"]
    assert (await tester.deliver(Failed(), saga_id="another")).disposition == "done"
    assert [await tester.retry() for _ in range(4)] == [["done"], ["done"], ["done"], []]
    assert stock() == ["Failed", "placed", "Failed", "Cancelled"]


async def test_a_replay_for_another_service_is_done_with(service: EventService, opened: Open) -> None:
    """That one could not deal with the event; this one has."""

    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None: ...

    tester = await opened()
    message = with_headers(as_json("s", "shop.v1.Placed", {}), {"ce-replayof": "bank/web/1"})
    assert (await tester.deliver_message(message)).types == []
    message = with_headers(as_json("s", "shop.v1.Placed", {}), {"ce-replayof": "inventory/web/1"})
    assert (await tester.deliver_message(message)).types == ["amends.v1.StepEnded"]


async def test_an_event_for_nobody_here_is_done_with(service: EventService, opened: Open) -> None:
    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None: ...

    told = await (await opened()).deliver(Reserved(1))
    assert (told.disposition, told.types) == ("done", [])


async def test_a_message_that_is_no_event_is_dead_under_the_name_it_has_on_the_bus(
    service: EventService, opened: Open
) -> None:
    @service.on(Placed, effect_free=True)
    def reserve(placed: Placed, ctx: EventContext) -> None: ...

    message = replace(as_json("s", "shop.v1.Placed", {}), headers={}, id="bus-7")
    letter = letter_of(await (await opened()).deliver_message(message))
    assert (letter.reason, letter.event_id) == ("UNDECODABLE", "bus-7")
    assert "the header ce-id is missing" in letter.message
