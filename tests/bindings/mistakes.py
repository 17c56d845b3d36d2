"""Mistakes in definitions that call plain methods, each with the field that is named and words about it."""

from collections.abc import Callable
from dataclasses import dataclass

from amends.v1.saga_pb2 import Definition
from tests.bindings.trips import DESK, confirm, hold_room, only, rule, trip


@dataclass(frozen=True)
class Mistake:
    """A definition, the field that is named, and what is said of it, as a regular expression."""

    make: Callable[[], Definition]
    field: str
    words: str


def held_by(request: str) -> Callable[[], Definition]:
    return lambda: only(hold_room(request))


def released_by(request: str) -> Callable[[], Definition]:
    def make() -> Definition:
        definition = only(hold_room())
        definition.steps[0].compensate_method.request = request
        return definition

    return make


def by_method(method: str) -> Callable[[], Definition]:
    def make() -> Definition:
        definition = only(hold_room())
        definition.steps[0].try_method.method = method
        return definition

    return make


def with_rule(condition: str, where: str = "try_outcomes") -> Callable[[], Definition]:
    def make() -> Definition:
        definition = only(hold_room())
        getattr(definition.steps[0], where).append(rule("OK", "REJECTED", condition))
        return definition

    return make


def changed(change: Callable[[Definition], object]) -> Callable[[], Definition]:
    def make() -> Definition:
        definition = trip()
        change(definition)
        return definition

    return make


def parallel() -> Definition:
    """The last step uses a result of one that it does not need."""
    last = confirm("ConfirmStayRequest{hold_id: results.hold_room.hold_id}")
    last.needs.SetInParent()
    return Definition(name="parallel", steps=[hold_room(), last], input_type="grand.hotel.v1.Trip")


def alike() -> Definition:
    """Two steps that an expression could not tell apart."""
    steps = [hold_room(), hold_room(), confirm("ConfirmStayRequest{hold_id: results.hold_room.hold_id}")]
    steps[1].name = "hold_room"
    return Definition(name="alike", steps=steps, input_type="grand.hotel.v1.Trip")


METHOD, REQUEST = "steps[0].try_method.method", "steps[0].try_method.request"
UNDO = "steps[0].compensate_method.request"
CONDITION = "steps[0].try_outcomes[0].condition"
RULE = "steps[1].try_outcomes[0]"

EXPRESSIONS = {
    "does not parse": Mistake(held_by("HoldRoomRequest{house: input.house,,}"), REQUEST, "line 1, column 36"),
    "does not parse, further down": Mistake(
        held_by("HoldRoomRequest{\n  house: input.house,\n  nights: 1u +,\n}"), REQUEST, "line 3, column 15"
    ),
    "no message": Mistake(held_by("input.house"), REQUEST, "STRING.*HoldRoomRequest"),
    "another message": Mistake(held_by("Line{text: '1'}"), REQUEST, "Line.*HoldRoomRequest"),
    "no such message": Mistake(held_by("HoldRequest{house: '1'}"), REQUEST, "column 1: .*HoldRequest"),
    "no such field of the request": Mistake(
        held_by("HoldRoomRequest{hotel: input.house}"), REQUEST, "column 22: .*'hotel'"
    ),
    "a field of another type": Mistake(
        held_by("HoldRoomRequest{house: input.nights}"), REQUEST, "column 22: .*'house' is 'string'"
    ),
    "a number of another type": Mistake(
        held_by("HoldRoomRequest{nights: 2}"), REQUEST, "'nights' is 'uint' but provided type is 'int'"
    ),
    "no such field of the input": Mistake(
        held_by("HoldRoomRequest{\n  house: input.hotel\n}"), REQUEST, "line 2, column 15: .*'hotel'"
    ),
    "no such variable": Mistake(
        held_by("HoldRoomRequest{house: inptu.house}"), REQUEST, "column 29: .*inptu"
    ),
    "no such function": Mistake(held_by("HoldRoomRequest{house: upper('x')}"), REQUEST, "column 29: .*upper"),
    "no such step": Mistake(held_by("HoldRoomRequest{house: results.nowhere.house}"), REQUEST, "nowhere"),
    "a result of a step that is not needed": Mistake(
        parallel, "steps[1].try_method.request", "column 37: .*hold_room.*needs no step"
    ),
    "a result of the step itself": Mistake(
        held_by("HoldRoomRequest{house: results.hold_room.hold_id}"), REQUEST, "hold_room.*needs no step"
    ),
    "a result of either of two steps": Mistake(
        alike, "steps[2].try_method.request", "'hold-room' and 'hold_room'"
    ),
    "no such field of a result": Mistake(
        lambda: trip(confirm_by="ConfirmStayRequest{hold_id: results.hold_room.id}"),
        "steps[2].try_method.request",
        "column 46: .*'id' not found.*Hold",
    ),
    "a response before there is one": Mistake(
        held_by("HoldRoomRequest{house: response.hold_id}"), REQUEST, "column 32: .*response"
    ),
    "no such field of the response": Mistake(
        released_by("ReleaseHoldRequest{hold_id: response.id}"), UNDO, "column 37: .*'id'"
    ),
    "a request of another type, to undo": Mistake(released_by("Line{}"), UNDO, "Line.*ReleaseHoldRequest"),
    "the request of the Try, to undo": Mistake(released_by(""), UNDO, "ReleaseHoldRequest.*HoldRoomRequest"),
    "an input that is not what the method takes": Mistake(held_by(""), REQUEST, "HoldRoomRequest.*Trip"),
    "a condition that is no bool": Mistake(with_rule("response.hold_id"), CONDITION, "STRING.*BOOL"),
    "a condition on no field": Mistake(with_rule("response.state == 1"), CONDITION, "column 9: .*'state'"),
    "a condition on the response of the Try": Mistake(
        with_rule("response.hold_id == ''", "compensate_outcomes"),
        "steps[0].compensate_outcomes[0].condition",
        "column 9: .*'hold_id'",
    ),
    "too deep": Mistake(
        held_by(f"HoldRoomRequest{{house: {' + '.join(['input.house'] * 40)}}}"),
        REQUEST,
        "^Exceeded max recursion depth of 32 when parsing.",
    ),
    "too long": Mistake(held_by(f"HoldRoomRequest{{house: '{'x' * (16 << 10)}'}}"), REQUEST, "16384"),
}

METHODS = {
    "no such service": Mistake(by_method("grand.hotel.v1.BackDesk/HoldRoom"), METHOD, "BackDesk"),
    "no such method": Mistake(by_method(f"{DESK}/HoldRooms"), METHOD, "FrontDesk; it has: .*HoldRoom"),
    "a message instead of a service": Mistake(by_method("grand.hotel.v1.Hold/HoldRoom"), METHOD, "v1.Hold,"),
    "responses in a stream": Mistake(by_method(f"{DESK}/WatchHold"), METHOD, "streams"),
    "requests in a stream": Mistake(by_method(f"{DESK}/ImportGuests"), METHOD, "streams"),
    "streams both ways": Mistake(by_method(f"{DESK}/Chat"), METHOD, "streams"),
    "a method without its service": Mistake(by_method("HoldRoom"), METHOD, "SERVICE/METHOD"),
    "a path": Mistake(by_method(f"/{DESK}/HoldRoom"), METHOD, "SERVICE/METHOD"),
    "methods of a participant of Amends": Mistake(
        changed(lambda it: setattr(it.steps[1], "participant", "budget")),
        "steps[1].try_method.method",
        "FrontDesk",
    ),
}

SHAPES = {
    "an action and a method": Mistake(
        changed(lambda it: setattr(it.steps[1], "action", "hold")), "steps[1].action", "try_method"
    ),
    "nothing to call": Mistake(
        changed(
            lambda it: (it.steps[1].ClearField("try_method"), it.steps[1].ClearField("compensate_method"))
        ),
        "steps[1].action",
        "empty",
    ),
    "nothing but what undoes it": Mistake(
        changed(lambda it: it.steps[1].ClearField("try_method")), "steps[1].compensate_method", "try_method"
    ),
    "nothing that undoes it": Mistake(
        changed(lambda it: it.steps[1].ClearField("compensate_method")), "steps[1].compensate_method", ""
    ),
    "a rule for every OK": Mistake(
        changed(lambda it: it.steps[1].try_outcomes.append(rule("OK", "REJECTED"))), f"{RULE}.condition", ""
    ),
    "a condition where there is no response": Mistake(
        changed(lambda it: it.steps[1].try_outcomes.append(rule("ABORTED", "REJECTED", "true"))),
        f"{RULE}.condition",
        "OK",
    ),
    "a rule that comes to nothing": Mistake(
        changed(lambda it: it.steps[1].try_outcomes.append(rule("ABORTED", "OUTCOME_UNSPECIFIED"))),
        f"{RULE}.outcome",
        "",
    ),
    "too many rules": Mistake(
        changed(lambda it: it.steps[1].try_outcomes.extend([rule("ABORTED", "REJECTED")] * 33)),
        "steps[1].try_outcomes",
        "33.*32",
    ),
    "no such input type": Mistake(
        changed(lambda it: setattr(it, "input_type", "grand.hotel.v1.Journey")), "input_type", "Journey"
    ),
    "an input type that is no name": Mistake(
        changed(lambda it: setattr(it, "input_type", "Trip!")), "input_type", "'Trip!'"
    ),
}

MISTAKES = {**EXPRESSIONS, **METHODS, **SHAPES}
