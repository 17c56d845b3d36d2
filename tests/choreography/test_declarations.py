"""What can be declared as a reaction, and what is said of everything else, when it is declared."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from amends.choreography import EventContext, EventService, JsonEvent, Kind, Retry, event
from amends.errors import HandlerError, StoreError, UsageError
from amends.v1 import saga_pb2


@dataclass
class Placed:
    pieces: int


@dataclass
class Reserved:
    pieces: int


@dataclass
class Released:
    pieces: int


@dataclass
class Failed:
    reason: str


class Opaque:
    """No event can be of this class."""


@pytest.fixture
def service(tmp_path: Path) -> EventService:
    return EventService("inventory", bus=f"sqlite:///{tmp_path}/bus.db", store=f"sqlite:///{tmp_path}/i.db")


def reserve(placed: Placed, ctx: EventContext) -> Reserved: ...
def release(placed: Placed, reserved: Reserved | None, ctx: EventContext) -> Released: ...
def no_result(placed: Placed, ctx: EventContext): ...  # type: ignore[no-untyped-def]
def no_context(placed: Placed, ctx: str) -> None: ...
def too_many(placed: Placed, other: Placed, ctx: EventContext) -> None: ...
def unannotated(placed, ctx: EventContext) -> None: ...  # type: ignore[no-untyped-def]
def keyword_only(placed: Placed, *, ctx: EventContext) -> None: ...
def unknown(placed: "Nothing", ctx: EventContext) -> None: ...  # type: ignore[name-defined] # noqa: F821
def generator(placed: Placed, ctx: EventContext) -> None:  # type: ignore[misc]
    yield


def opaque(placed: Placed, ctx: EventContext) -> Opaque: ...
def opaque_input(placed: Opaque, ctx: EventContext) -> None: ...
def nameless(placed: Placed, ctx: EventContext) -> dict[str, int]: ...
def of_a_name(placed: dict[str, Any], ctx: EventContext) -> None: ...


@pytest.mark.parametrize(
    ("handler", "on", "message"),
    [
        (no_result, Placed, "its result has no annotation; write -> None"),
        (no_context, Placed, "parameter 'ctx' is not annotated as EventContext"),
        (too_many, Placed, "takes 3 parameters; a reaction is declared as"),
        (unannotated, Placed, "parameter 'placed' has no annotation"),
        (keyword_only, Placed, "parameter 'ctx' is not positional"),
        (unknown, Placed, "the annotation 'Nothing' is not known at run time"),
        (generator, Placed, "is a generator; a handler returns once"),
        ("text", Placed, "'text' is no function"),
        (opaque, Placed, "return: Opaque cannot be an event"),
        (opaque_input, Opaque, "Opaque cannot be an event|placed: "),
        (nameless, Placed, "a dict has no name as an event; return a JsonEvent"),
        (reserve, Reserved, "it is declared for Reserved, but takes Placed"),
        (of_a_name, "two words", "'two words' is no name of an event"),
        (of_a_name, "v" * 129, "is no name of an event"),
        (of_a_name, dict, "dict has no name as an event"),
    ],
)
def test_a_handler_of_another_form_is_refused(
    service: EventService, handler: Any, on: Any, message: str
) -> None:
    with pytest.raises(HandlerError, match=message):
        service.on(on, effect_free=True)(handler)


@dataclass
class NoReason:
    text: str = ""


@dataclass
class NeedsMore:
    reason: str
    sku: str


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fails_as": NoReason}, "NoReason cannot tell of a rejection: it needs a field 'reason'"),
        ({"fails_as": NeedsMore}, "NeedsMore cannot tell of a rejection: its field 'sku' has no default"),
        ({"fails_as": Opaque}, "Opaque cannot be an event"),
        ({"fails_as": StringValue}, "StringValue cannot tell of a rejection"),
        ({"fails_as": Failed, "kind": Kind.RETRIABLE}, "comes after the pivot.*leave out fails_as"),
        ({"kind": Kind.PIVOT, "effect_free": True}, "is the pivot, and cannot be free of effect"),
        ({"emits": [list]}, "list has no name as an event"),
        ({"emits": "Reserved"}, r"emits is 'Reserved', and must be a list of types: write emits=\["),
        ({"emits": Reserved}, r"emits is .*Reserved.*, and must be a list of types"),
        ({"name": "two words"}, "'two words' is no name"),
        ({"kind": "final"}, "kind is 'final', and must be one of compensatable, pivot, retriable"),
        ({"kind": 2}, "kind is 2, and must be one of compensatable, pivot, retriable"),
        ({"fails_as": "Placed"}, "fails as Placed, the event that it reacts to: it would be its own cause"),
    ],
)
def test_options_that_contradict_are_refused(
    service: EventService, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(HandlerError, match=message):
        service.on(Placed, **options)(reserve)


def test_a_kind_may_be_given_by_its_name(service: EventService) -> None:
    reaction = service.on(Placed, kind="pivot")(reserve)
    assert reaction.kind is Kind.PIVOT
    assert service.describe().reactions[0].kind == saga_pb2.Step.PIVOT


def test_a_kind_given_by_its_name_needs_its_compensation_like_any_other(service: EventService) -> None:
    with pytest.raises(HandlerError, match="reaction 'reserve' has no compensation"):
        service.on(Placed, kind="compensatable")(reserve).check()


def test_a_decorator_without_its_event_says_what_is_missing(service: EventService) -> None:
    """The handler is taken for the event otherwise, and nothing is declared."""
    with pytest.raises(HandlerError, match=r"handler 'reserve'.*write @service\.on\(<event>\)"):
        service.on(reserve)
    with pytest.raises(HandlerError, match=r"handler 'reserve'.*write @service\.entry\(\)"):
        service.entry(reserve)  # type: ignore[arg-type]
    reaction = service.on(Placed)(reserve)
    with pytest.raises(HandlerError, match=r"handler 'release'.*write @reserve\.compensate_on\(<event>\)"):
        reaction.compensate_on(release)


def test_a_reaction_is_no_event_either(service: EventService) -> None:
    reaction = service.on(Placed)(reserve)
    with pytest.raises(HandlerError, match=r"handler 'reserve'.*write @service\.on\(<event>\)"):
        service.on(reaction)


def test_what_is_no_type_of_event_is_refused_at_once(service: EventService) -> None:
    """Before the handler is there to be decorated."""
    with pytest.raises(HandlerError, match="list has no name as an event"):
        service.on(list)
    with pytest.raises(HandlerError, match="3 has no name as an event"):
        service.on(Placed)(reserve).compensate_on(3)


def test_a_name_is_taken_once(service: EventService) -> None:
    service.on(Placed)(reserve)
    with pytest.raises(HandlerError, match="service 'inventory' has a reaction 'reserve' already"):
        service.on(Placed)(reserve)


def other_input(placed: Reserved, reserved: Reserved | None, ctx: EventContext) -> None: ...
def other_result(placed: Placed, reserved: Placed | None, ctx: EventContext) -> None: ...
def undo_without_result(placed: Placed, ctx: EventContext) -> None: ...


@pytest.mark.parametrize(
    ("events", "handler", "message"),
    [
        ((), release, "compensate_on names no event"),
        ((Placed,), release, "has an answer to Placed already"),
        ((Failed, Failed), release, "has an answer to Failed already"),
        ((Failed,), other_input, "placed is Reserved, but its reaction takes Placed"),
        ((Failed,), other_result, "reserved is .*, which is not what its reaction returns"),
        ((Failed,), undo_without_result, "takes 2 parameters; a compensation is declared as"),
    ],
)
def test_a_compensation_of_another_form_is_refused(
    service: EventService, events: tuple[Any, ...], handler: Callable[..., Any], message: str
) -> None:
    reaction = service.on(Placed)(reserve)
    with pytest.raises(HandlerError, match=message):
        reaction.compensate_on(*events)(handler)


@pytest.mark.parametrize(
    ("options", "why"),
    [({"effect_free": True}, "is free of effect"), ({"kind": Kind.PIVOT}, "is pivot")],
)
def test_what_nothing_can_undo_takes_no_compensation(
    service: EventService, options: dict[str, Any], why: str
) -> None:
    reaction = service.on(Placed, **options)(reserve)
    with pytest.raises(HandlerError, match=f"{why}, so that nothing can undo it"):
        reaction.compensate_on(Failed)(release)


async def test_a_reaction_without_compensation_before_a_pivot_keeps_its_service_from_starting(
    service: EventService,
) -> None:
    service.on(Placed)(reserve)
    with pytest.raises(
        HandlerError, match=r"reaction 'reserve' has no compensation.*declare one with compensate_on"
    ):
        await service.start()
    assert repr(service).endswith("closed>")


def test_a_reaction_describes_itself(service: EventService) -> None:
    reaction = service.on(Placed, fails_as=Failed, emits=["shop.v1.Noted"], name="hold")(reserve)
    reaction.compensate_on("shop.v1.Failed", emits=[Failed])(release)
    [described] = service.describe().reactions
    assert (described.step, described.on, described.fails_as) == ("hold", "Placed", "Failed")
    assert described.kind == saga_pb2.Step.COMPENSATABLE
    assert list(described.emits) == ["Reserved", "shop.v1.Noted"]
    [undoing] = described.compensations
    assert (undoing.on, list(undoing.emits)) == ("shop.v1.Failed", ["Failed", "Released"])
    assert repr(reaction) == "<Reaction hold on=Placed kind=compensatable>"


def test_a_reaction_can_be_called_as_the_function_it_is(service: EventService) -> None:
    def double(placed: Placed, ctx: EventContext) -> Reserved:
        return Reserved(2 * placed.pieces)

    reaction = service.on(Placed, effect_free=True)(double)
    context = EventContext(
        saga_id="s", step="double", attempt=1, trigger=None, event_id="", db=None, emit=lambda _: None
    )
    assert reaction(Placed(2), context) == Reserved(4)
    assert repr(context) == "<EventContext s/double attempt=1>"
    with pytest.raises(UsageError, match="handler 'double' was called by itself, and has no database"):
        context.db.execute("SELECT 1")


@pytest.mark.parametrize("name", ["two words", "v1..Placed", "1st", "", "a" * 129])
def test_an_event_is_named_as_subjects_of_buses_can_be(name: str) -> None:
    with pytest.raises(HandlerError, match="is no name of an event"):
        event(name)
    with pytest.raises(HandlerError, match="is no name of an event"):
        JsonEvent(name, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "two words"}, "a service is named 'two words'"),
        ({"bus": "kafka://there"}, "bus is 'kafka://there', and must be"),
        ({"bus": "sqlite:///"}, "bus is 'sqlite:///', and must be"),
        ({"store": "inventory.db"}, "store is 'inventory.db', and must be 'sqlite:///<path>'"),
        ({"store": "sqlite:///"}, "store is 'sqlite:///'"),
        ({"retry": 3}, r"retry is 3, and must be a Retry, such as Retry\(max_attempts=3\)"),
        ({"retention": 5}, r"retention is 5, and must be a timedelta, such as timedelta\(days=90\)"),
    ],
)
def test_a_service_with_arguments_of_another_form_is_refused(arguments: dict[str, Any], message: str) -> None:
    right = {"name": "inventory", "bus": "sqlite:///bus.db", "store": "sqlite:///inventory.db"}
    with pytest.raises(UsageError, match=message):
        EventService(**{**right, **arguments})


def test_a_service_tells_what_it_is(service: EventService) -> None:
    service.on(Placed, effect_free=True)(reserve)
    shown = repr(service)
    assert shown.startswith("<EventService inventory bus=sqlite:///")
    assert shown.endswith("reactions=1 closed>")


async def test_a_service_that_reacts_to_nothing_says_so_when_it_starts(
    service: EventService, caplog: pytest.LogCaptureFixture
) -> None:
    """Its handlers are likely in a module that nobody imports."""
    async with service:
        pass
    [told] = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert told.startswith("service inventory reacts to nothing and no saga begins at it: import the modules")


async def test_a_schema_that_does_not_fit_is_told_without_naming_anybody_else(tmp_path: Path) -> None:
    service = EventService(
        "inventory",
        bus=f"sqlite:///{tmp_path}/bus.db",
        store=f"sqlite:///{tmp_path}/i.db",
        schema="CREATE TABLE twice (a); CREATE TABLE twice (a);",
    )
    with pytest.raises(
        StoreError, match=r"the schema given does not fit the store .*i.db: table twice already"
    ):
        await service.open()


def test_a_retry_policy_is_checked_where_it_is_made() -> None:
    with pytest.raises(UsageError, match="max_attempts"):
        Retry(max_attempts=0)
