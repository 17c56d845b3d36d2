"""Plans: what is wrong with a definition's methods, their requests, and the rules that responses fit."""

from dataclasses import replace
from typing import Any

import pytest

from amends_coordinator.bindings.checking import Checker
from amends_coordinator.bindings.plan import BindingFailedError, plan_of
from amends_coordinator.core.checks import Violation
from amends_coordinator.core.definition import Definition, MethodCall, OutcomeKind, OutcomeRule, Step
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import Direction, Payload
from amends_coordinator.descriptors.types import types_of
from tests.descriptors import acme
from tests.descriptors.acme import BOOK, CANCEL, begun, definition, ship

FORWARD, BACKWARD = Direction.FORWARD, Direction.BACKWARD

ORDER = acme.payload(acme.message("acme.v1.Order", id="7", address="Dam 1"))

BOOKED = acme.payload(acme.message("acme.v1.Booking", id="b-1", price={"cents": 250}))

RESERVE = Step(name="reserve-stock", participant="inventory", action="reserve", needs=())


def booking(request: str = BOOK.request, **fields: Any) -> Step:
    return ship(try_method=replace(BOOK, request=request), **fields)


def cancelling(request: str, method: str = CANCEL.method, **fields: Any) -> Step:
    return ship(compensate_method=MethodCall(method, request), **fields)


def rule(condition: str, outcome: OutcomeKind = OutcomeKind.REJECTED) -> OutcomeRule:
    return OutcomeRule(code=0, condition=condition, outcome=outcome)


def calling(method: str, request: str = "") -> Step:
    return ship(
        try_method=MethodCall(f"acme.v1.Carrier/{method}", request), compensate_method=None, effect_free=True
    )


AFTER = {"needs": ("reserve-stock",)}

BAD: dict[str, tuple[Definition, str, str]] = {
    "an expression that does not parse": (
        definition(booking("BookRequest{")),
        "steps[0].try_method.request",
        "line 1, column 13: Syntax error",
    ),
    "a field that there is not": (
        definition(booking("BookRequest{nosuch: 1}")),
        "steps[0].try_method.request",
        "line 1, column 19: undefined field 'nosuch'",
    ),
    "a request of another type": (
        definition(booking("input")),
        "steps[0].try_method.request",
        "it gives acme.v1.Order, but must give acme.v1.BookRequest",
    ),
    "a result of a step that is not needed": (
        definition(RESERVE, booking("BookRequest{reference: results.reserve_stock.id}")),
        "steps[1].try_method.request",
        "the step needs no step that is spelled so; it needs: none",
    ),
    "a result by a name that two steps share": (
        definition(
            RESERVE,
            replace(RESERVE, name="reserve:stock"),
            booking(
                "BookRequest{reference: results.reserve_stock.id}", needs=("reserve-stock", "reserve:stock")
            ),
        ),
        "steps[2].try_method.request",
        "'reserve-stock' and 'reserve:stock' are both spelled so",
    ),
    "a response in a Try": (
        definition(booking("BookRequest{reference: response.id}")),
        "steps[0].try_method.request",
        "undeclared reference to 'response.id'",
    ),
    "a compensation from what the response has not": (
        definition(cancelling("CancelRequest{booking_id: response.nosuch}")),
        "steps[0].compensate_method.request",
        "undefined field 'nosuch'",
    ),
    "a condition that is none": (
        definition(ship(try_outcomes=(rule("response.id"),))),
        "steps[0].try_outcomes[0].condition",
        "it gives STRING, but must give BOOL",
    ),
    "a condition on a response of a Compensate": (
        definition(ship(compensate_outcomes=(rule("true"), rule("response.id == ''")))),
        "steps[0].compensate_outcomes[1].condition",
        "undefined field 'id'",
    ),
    "a service that there is not": (
        definition(ship(try_method=MethodCall("acme.v1.Nope/Book"))),
        "steps[0].try_method.method",
        "names a method of acme.v1.Nope, which is no service that the descriptors know",
    ),
    "a method that there is not": (
        definition(cancelling("", "acme.v1.Carrier/Nope")),
        "steps[0].compensate_method.method",
        "names no method of acme.v1.Carrier; it has: Book, Cancel, Note, Ping, Rebook, Say, Send, Track",
    ),
    "a method that streams its answers": (
        definition(calling("Track")),
        "steps[0].try_method.method",
        "names acme.v1.Carrier/Track, which streams",
    ),
    "a method that streams its requests": (
        definition(calling("Send")),
        "steps[0].try_method.method",
        "names acme.v1.Carrier/Send, which streams",
    ),
    "no request where the input is another": (
        definition(calling("Book")),
        "steps[0].try_method.request",
        "is empty, but acme.v1.Carrier/Book takes a acme.v1.BookRequest, and the input is a acme.v1.Order",
    ),
    "no request where that of the Try is another": (
        definition(cancelling("")),
        "steps[0].compensate_method.request",
        "takes a acme.v1.CancelRequest, and the request of the Try is a acme.v1.BookRequest",
    ),
    "another value than that of a wrapper": (
        definition(calling("Say", "1")),
        "steps[0].try_method.request",
        "it gives INT, but must give google.protobuf.StringValue",
    ),
    "results as a map": (
        definition(RESERVE, booking("BookRequest{reference: results['reserve-stock'].id}", **AFTER)),
        "steps[1].try_method.request",
        "undeclared reference to 'results' (in container 'acme.v1'); write results.NAME",
    ),
}


def faults(made: Definition, results: dict[str, str] | None = None) -> list[Violation]:
    checker = Checker(made, types_of(made.descriptors), results or {})
    return [fault for place in range(len(made.steps)) for fault in checker.step_faults(place)]


@pytest.mark.parametrize(("bad", "field", "words"), BAD.values(), ids=BAD)
def test_a_step_that_cannot_be_called_is_told_with_its_field(bad: Definition, field: str, words: str) -> None:
    (found,) = faults(bad)
    assert found.field == field
    assert words in found.description


def test_all_faults_are_told() -> None:
    bad = definition(booking("a", try_outcomes=(rule("b"),)), cancelling("c", name="other"))
    assert [each.field for each in faults(bad)] == [
        "steps[0].try_method.request",
        "steps[0].try_outcomes[0].condition",
        "steps[1].compensate_method.request",
    ]


def test_a_definition_that_is_right_has_no_faults() -> None:
    good = definition(
        RESERVE,
        booking("BookRequest{order: input, reference: results.reserve_stock.id}", **AFTER),
        calling("Ping"),
        calling("Note", "{'step': step.name, 'grams': input.grams}"),
        cancelling("responded ? CancelRequest{booking_id: response.id} : CancelRequest{}", name="last"),
        ship("again", try_outcomes=(rule("response.state == Booking.State.DECLINED && input.id != ''"),)),
    )
    assert list(faults(good)) == []


def test_what_is_known_of_results_of_actions_is_checked() -> None:
    made = definition(RESERVE, booking("BookRequest{reference: results.reserve_stock.nosuch}", **AFTER))
    assert faults(made) == []
    (found,) = faults(made, {"reserve-stock": "acme.v1.Booking"})
    assert "undefined field 'nosuch' not found in struct 'acme.v1.Booking'" in found.description


# Requests


def request(
    made: Definition, direction: Direction = FORWARD, *results: Payload | None, place: int = 0
) -> str:
    saga = begun(made, ORDER)
    for number, result in enumerate(results):
        saga.runs[number].result = result
    return said(made, saga, place, direction)


def said(made: Definition, saga: Saga, place: int = 0, direction: Direction = FORWARD) -> str:
    plan, types = plan_of(made), types_of(made.descriptors)
    data = plan.request(saga, place, direction)
    call = made.steps[place].method(direction)
    method = types.method(call.method) if call else None
    assert method is not None
    return str(types.parse(method.input_type.full_name, data)).replace("\n", " ")


def test_a_request_is_made_of_the_input_and_the_saga() -> None:
    made = definition(
        booking("BookRequest{order: input, reference: saga.id + '/' + saga.definition, hint: step.name}")
    )
    assert request(made) == 'order {   id: "7"   address: "Dam 1" } reference: "saga-1/order" hint: "ship" '


def test_the_key_of_a_step_is_that_of_its_try_in_both_directions() -> None:
    made = definition(
        ship(
            try_method=replace(BOOK, request="BookRequest{reference: step.idempotency_key}"),
            compensate_method=replace(CANCEL, request="CancelRequest{booking_id: step.idempotency_key}"),
        )
    )
    assert request(made) == 'reference: "saga-1/ship" '
    assert request(made, BACKWARD) == 'booking_id: "saga-1/ship" '


def test_a_request_is_made_of_results_of_all_steps_before() -> None:
    last = booking(
        "BookRequest{reference: results.first.id, hint: results.reserve_stock.shelf}", needs=("second",)
    )
    made = definition(
        RESERVE,
        ship("first", needs=("reserve-stock",)),
        ship("second", needs=("first",)),
        replace(last, name="last"),
    )
    assert request(made, FORWARD, acme.json(shelf="A3"), BOOKED, place=3) == 'reference: "b-1" hint: "A3" '


def test_json_is_read_as_the_type_of_the_input() -> None:
    made = definition(booking("BookRequest{order: input}"))
    saga = begun(made, acme.json(id="7", grams=3))
    assert said(made, saga) == 'order {   id: "7"   grams: 3 } '


def test_an_input_of_any_type_is_looked_into_when_it_is_there() -> None:
    made = definition(booking("BookRequest{reference: input.id}"), input_type="")
    assert said(made, begun(made, acme.json(id="7"))) == 'reference: "7" '
    assert said(made, begun(made, ORDER)) == 'reference: "7" '


def test_a_compensation_is_made_of_the_response_and_the_request() -> None:
    made = definition(
        ship(
            compensate_method=replace(
                CANCEL,
                request="CancelRequest{booking_id: response.id + request.reference, fee: response.price}",
            )
        )
    )
    assert request(made, BACKWARD, BOOKED) == 'booking_id: "b-1saga-1" fee {   cents: 250 } '


def test_a_compensation_without_an_expression_is_called_with_the_request_of_the_try() -> None:
    made = definition(cancelling("", "acme.v1.Carrier/Rebook"))
    assert request(made, BACKWARD) == request(made, FORWARD) != ""


def test_a_response_that_nobody_knows_can_be_asked_for() -> None:
    made = definition(cancelling("CancelRequest{booking_id: responded ? response.id : request.reference}"))
    assert request(made, BACKWARD, BOOKED) == 'booking_id: "b-1" '
    assert request(made, BACKWARD) == 'booking_id: "saga-1" '


def test_a_message_without_fields_needs_no_input() -> None:
    made = definition(calling("Ping"), input_type="")
    assert said(made, begun(made)) == ""


def test_an_input_is_the_request_where_there_is_no_expression() -> None:
    made = definition(calling("Book"), input_type="")
    plan = plan_of(made)
    given = acme.payload(acme.message("acme.v1.BookRequest", hint="h"))
    assert said(made, begun(made, given)) == 'hint: "h" '
    assert said(made, begun(made, ORDER, ship=acme.json(hint="own"))) == 'hint: "own" '
    with pytest.raises(BindingFailedError, match="the saga has no input"):
        plan.request(begun(made), 0, FORWARD)


@pytest.mark.parametrize(
    ("direction", "step", "result", "words"),
    [
        (FORWARD, booking("BookRequest{reference: results.r.id}"), None, r"there is no value of results.r"),
        (FORWARD, booking("BookRequest{hint: input.nosuch}"), None, "no_such_field : nosuch"),
        (BACKWARD, ship(), None, "of the response of the Try, which was never learned"),
        (BACKWARD, ship(), acme.json(nosuch=1), "is no JSON form of acme.v1.Booking"),
        (
            BACKWARD,
            ship(),
            Payload("t/other.v1.Thing", b""),
            "is a other.v1.Thing, but must be a acme.v1.Book",
        ),
    ],
)
def test_a_request_that_cannot_be_made_says_why(
    direction: Direction, step: Step, result: Payload | None, words: str
) -> None:
    with pytest.raises(BindingFailedError, match=words):
        request(definition(step), direction, result)


def test_an_earlier_result_that_is_no_message_is_named() -> None:
    made = definition(RESERVE, booking("BookRequest{reference: results.reserve_stock.id}", **AFTER))
    with pytest.raises(
        BindingFailedError, match=r"the result of step 'reserve-stock' is a other.v1.Thing, of which"
    ):
        request(made, FORWARD, Payload("t/other.v1.Thing", b""), place=1)
    with pytest.raises(BindingFailedError, match=r"there is no value of results.reserve_stock"):
        request(made, FORWARD, None, place=1)


# Responses


def test_the_first_rule_that_fits_decides() -> None:
    made = definition(
        ship(
            try_outcomes=(
                OutcomeRule(code=5, outcome=OutcomeKind.UNKNOWN),
                rule("response.state == Booking.State.DECLINED"),
                rule("response.id == input.id", OutcomeKind.PENDING),
            )
        )
    )
    plan, saga = plan_of(made), begun(made, ORDER)

    def outcome(**fields: Any) -> OutcomeKind | None:
        value = acme.message("acme.v1.Booking", **fields).SerializeToString()
        found = plan.rule(saga, 0, FORWARD, plan.response(0, FORWARD, value))
        return None if found is None else found.outcome

    assert outcome(state="DECLINED", id="7") is OutcomeKind.REJECTED
    assert outcome(id="7") is OutcomeKind.PENDING
    assert outcome(id="8") is None


def test_a_rule_about_a_compensation_knows_the_try() -> None:
    made = definition(
        ship(
            compensate_method=MethodCall("acme.v1.Carrier/Rebook", "request"),
            compensate_outcomes=(rule("responded && response.id == request.reference"),),
        )
    )
    plan, saga = plan_of(made), begun(made, ORDER)
    saga.runs[0].result = BOOKED
    again = plan.response(0, BACKWARD, acme.message("acme.v1.Booking", id="saga-1").SerializeToString())
    assert plan.rule(saga, 0, BACKWARD, again) == made.steps[0].compensate_outcomes[0]


def test_a_rule_that_comes_to_nothing_says_why() -> None:
    made = definition(ship(try_outcomes=(rule("1 / input.grams == 0"),)))
    plan = plan_of(made)
    with pytest.raises(BindingFailedError, match="divide by zero"):
        plan.rule(begun(made, ORDER), 0, FORWARD, plan.response(0, FORWARD, b""))


# Inputs


@pytest.mark.parametrize(
    ("made", "given", "own", "fields"),
    [
        (definition(), ORDER, {}, []),
        (definition(), acme.json(id="7"), {}, []),
        (definition(), None, {}, ["input"]),
        (definition(), acme.json(nosuch="7"), {}, ["input"]),
        (definition(), BOOKED, {}, ["input"]),
        (definition(), ORDER, {"ship": ORDER}, ["step_inputs['ship']"]),
        (definition(RESERVE), ORDER, {"reserve-stock": acme.json(a=1)}, []),
        (definition(calling("Book"), input_type=""), ORDER, {}, ["input"]),
        (definition(calling("Book"), input_type=""), None, {}, ["input"]),
        (definition(calling("Book"), input_type=""), acme.json(hint="h"), {}, []),
        (definition(calling("Book"), input_type=""), ORDER, {"ship": acme.json(hint="h")}, []),
        (
            definition(calling("Book"), input_type=""),
            ORDER,
            {"ship": acme.json(no="h")},
            ["step_inputs['ship']"],
        ),
        (definition(calling("Ping"), input_type=""), None, {}, []),
        (definition(ship(), input_type=""), None, {}, []),
    ],
)
def test_inputs_are_looked_at_before_a_saga_begins(
    made: Definition, given: Payload | None, own: dict[str, Payload], fields: list[str]
) -> None:
    assert [each.field for each in plan_of(made).input_faults(given, own)] == fields


def test_a_field_that_is_required_and_missing_is_found_before_the_call() -> None:
    files = acme.files()
    old = acme.add_message(files.file[1], "Old", id="string")
    files.file[1].syntax = "proto2"
    old.field[0].label = old.field[0].LABEL_REQUIRED
    files.file[0].service[0].method.add(
        name="Keep", input_type=".acme.money.Old", output_type=".acme.money.Old"
    )
    kept = {"input_type": "", "descriptors": files.SerializeToString()}
    made = definition(calling("Keep", "acme.money.Old{}"), **kept)
    with pytest.raises(BindingFailedError, match=r"it has no id, which acme\.money\.Old requires"):
        plan_of(made).request(begun(made), 0, FORWARD)
    whole = definition(calling("Keep", "acme.money.Old{id: 'a'}"), **kept)
    assert said(whole, begun(whole)) == 'id: "a" '
