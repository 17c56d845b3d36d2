"""Requests at the door: what is malformed is refused, and every fault is told with its field."""

import base64
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import any_pb2, duration_pb2

from amends.v1 import coordinator_pb2 as pb
from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.api import limits, requests
from amends_coordinator.core.definition import Definition, Step
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Payload, Resolution
from amends_coordinator.runtime.errors import InvalidRequestError
from amends_coordinator.store.interface import Cursor, Filter


def violations(read: Callable[..., Any], *args: Any, **options: Any) -> dict[str, str]:
    """The faults that a request is refused for, by field."""
    with pytest.raises(InvalidRequestError) as caught:
        read(*args, **options)
    return {each.field: each.description for each in caught.value.violations}


def payload(size: int) -> any_pb2.Any:
    return any_pb2.Any(type_url="t/a.B", value=b"x" * size)


def inline(**fields: Any) -> saga_pb2.Definition:
    step = saga_pb2.Step(name="a", participant="p", action="do")
    return saga_pb2.Definition(name="order", steps=[step], **fields)


# StartSaga


def test_a_start_is_read_whole() -> None:
    """Everything that the request says is in what is made of it."""
    request = pb.StartSagaRequest(
        saga_id="order-1",
        definition_name="order",
        input=payload(2),
        step_inputs={"a": payload(3)},
        labels={"shop": "7"},
        wait=duration_pb2.Duration(seconds=5),
        traceparent="00-1",
    )
    assert requests.read_start(request) == requests.Start(
        saga_id="order-1",
        definition=None,
        definition_name="order",
        input=Payload("t/a.B", b"xx"),
        step_inputs={"a": Payload("t/a.B", b"xxx")},
        labels={"shop": "7"},
        wait=5.0,
        traceparent="00-1",
    )


def test_an_inline_definition_has_no_version() -> None:
    """It is none of the registered ones, whatever number it carries."""
    start = requests.read_start(pb.StartSagaRequest(definition=inline(version=7)))
    assert start.definition == Definition(name="order", steps=(Step(name="a", participant="p", action="do"),))
    assert start.definition_name == "order"


def test_an_id_is_made_where_none_is_given() -> None:
    """A UUIDv7, another each time."""
    first, second = (requests.read_start(pb.StartSagaRequest(definition_name="order")) for _ in range(2))
    assert uuid.UUID(first.saga_id).version == 7
    assert first.saga_id != second.saga_id


def test_an_input_that_is_empty_is_an_input() -> None:
    """Unset and empty are not the same: the one is none, the other is an empty message."""
    assert requests.read_start(pb.StartSagaRequest(definition_name="order")).input is None
    empty = pb.StartSagaRequest(definition_name="order", input=any_pb2.Any())
    assert requests.read_start(empty).input == Payload("", b"")


@pytest.mark.parametrize(("seconds", "wait"), [(-1, 0.0), (0, 0.0), (10**9, limits.MAX_WAIT)])
def test_a_wait_has_bounds(seconds: int, wait: float) -> None:
    """Not above zero does not wait; longer than an hour is an hour."""
    request = pb.StartSagaRequest(definition_name="order", wait=duration_pb2.Duration(seconds=seconds))
    assert requests.read_start(request).wait == wait


MIB = 1 << 20
MALFORMED_STARTS = {
    "no definition": ({}, "definition_name", "is missing"),
    "an empty name": ({"definition_name": ""}, "definition_name", "is empty"),
    "a bad name": ({"definition_name": "my order"}, "definition_name", "is 'my order'"),
    "a kind that nobody knows": (
        {
            "definition": saga_pb2.Definition(
                name="order",
                steps=[saga_pb2.Step(name="a", kind=saga_pb2.Step.Kind.ValueType(9))],
            )
        },
        "definition.steps",
        "9 is not a valid Kind",
    ),
    "a bad id": ({"saga_id": "order 1"}, "saga_id", "is 'order 1'"),
    "an id with a line feed": ({"saga_id": "order\n"}, "saga_id", "is 'order"),
    "an id with a letter of another script": ({"saga_id": "заказ"}, "saga_id", "must be 1 to 128"),
    "an id too long": ({"saga_id": "x" * 129}, "saga_id", "must be 1 to 128"),
    "an input too large": ({"input": payload(MIB + 1)}, "input", "takes 1048577 bytes"),
    "a step input too large": (
        {"step_inputs": {"a": payload(MIB + 1)}},
        "step_inputs['a']",
        "takes 1048577 bytes",
    ),
    "step inputs too large together": (
        {"step_inputs": {str(number): payload(MIB - 1) for number in range(5)}},
        "step_inputs",
        "in all, but may take 4194304",
    ),
    "too many labels": ({"labels": {f"k{n}": "v" for n in range(65)}}, "labels", "are 65, but may be 64"),
    "a bad key": ({"labels": {"my shop": "v"}}, "labels key 'my shop'", "must be 1 to 128"),
    "an empty key": ({"labels": {"": "v"}}, "labels key ''", "is empty"),
    "a value too long": ({"labels": {"k": "v" * 257}}, "labels['k']", "has 257 characters"),
}


@pytest.mark.parametrize(("fields", "field", "words"), MALFORMED_STARTS.values(), ids=MALFORMED_STARTS)
def test_malformed_start(fields: dict[str, Any], field: str, words: str) -> None:
    """One fault, told with its field, and nothing else."""
    if fields and not {"definition", "definition_name"} & fields.keys():
        fields = {**fields, "definition_name": "order"}
    found = violations(requests.read_start, pb.StartSagaRequest(**fields))
    assert found.keys() == {field}
    assert words in found[field]


def test_every_fault_of_a_start_is_told() -> None:
    """One answer names all that can be mended at once."""
    request = pb.StartSagaRequest(saga_id=" ", labels={"": "v" * 257}, input=payload(MIB + 1))
    assert violations(requests.read_start, request).keys() == {
        "saga_id",
        "definition_name",
        "input",
        "labels key ''",
        "labels['']",
    }


TOO_MANY = {
    "steps": (
        {"definition": saga_pb2.Definition(steps=[saga_pb2.Step()] * 1_001)},
        "definition.steps",
        "has 1001 steps",
    ),
    "needs": (
        {"definition": saga_pb2.Definition(steps=[saga_pb2.Step(needs={"steps": ["a"] * 2})])},
        "definition.steps[0].needs",
        "names 2 steps of 1",
    ),
    "step inputs": (
        {"step_inputs": {str(number): any_pb2.Any(type_url="t" * 513) for number in range(1_001)}},
        "step_inputs",
        "are 1001, but may be 1000",
    ),
    "labels": ({"labels": {f"{number}/": "v" for number in range(65)}}, "labels", "are 65, but may be 64"),
}


@pytest.mark.parametrize(("fields", "field", "words"), TOO_MANY.values(), ids=TOO_MANY)
def test_of_too_many_none_is_looked_at(fields: dict[str, Any], field: str, words: str) -> None:
    """Each of them is at fault as well; to say so of all would keep everybody else waiting."""
    given = fields if "definition" in fields else {**fields, "definition_name": "order"}
    found = violations(requests.read_start, pb.StartSagaRequest(**given))
    assert found.keys() == {field}
    assert words in found[field]


def test_a_definition_to_be_registered_is_counted_too() -> None:
    """It comes through the same door."""
    message = saga_pb2.Definition(steps=[saga_pb2.Step()] * 1_001)
    assert violations(requests.read_definition, message).keys() == {"definition.steps"}


def test_of_too_many_states_none_is_looked_at() -> None:
    """There are five, so nobody needs more."""
    request = pb.ListSagasRequest(states=[saga_pb2.Saga.State.ValueType(9)] * 9)
    assert violations(requests.read_filter, request) == {"states": "are 9, but may be 8"}


def test_what_is_as_large_as_it_may_be_is_taken() -> None:
    """The bounds belong to what is allowed."""
    request = pb.StartSagaRequest(
        saga_id="x" * 128,
        definition_name="y" * 128,
        input=payload(MIB),
        step_inputs={str(number): payload(MIB) for number in range(4)},
        labels={f"k{number}": "v" * 256 for number in range(64)},
    )
    assert requests.read_start(request).saga_id == "x" * 128


def test_a_step_input_must_be_that_of_a_step() -> None:
    """A slip of the name would otherwise run the step with the wrong input."""
    start = requests.read_start(
        pb.StartSagaRequest(definition=inline(), step_inputs={"a": payload(1), "b": payload(1)})
    )
    assert start.definition is not None
    found = violations(requests.check_step_inputs, start, start.definition)
    assert found == {"step_inputs['b']": "is for no step of the definition"}


# Wishes


@pytest.mark.parametrize("saga_id", ["", "order 1", "x" * 129])
def test_an_id_is_checked_wherever_one_is_named(saga_id: str) -> None:
    """A malformed id is told from one that does not exist."""
    assert violations(requests.check_saga_id, saga_id).keys() == {"saga_id"}


def test_words_have_a_bound() -> None:
    """They are kept in the log; where they are not required they may be empty."""
    requests.check_words("reason", "")
    requests.check_words("reason", "x" * limits.MAX_WORDS)
    found = violations(requests.check_words, "reason", "x" * (limits.MAX_WORDS + 1))
    assert found == {"reason": "has 1025 characters, but may have 1024"}


@pytest.mark.parametrize("words", ["", "  \n"])
def test_who_resolves_a_step_says_how_he_knows(words: str) -> None:
    """A reason of nothing but spaces is none."""
    assert violations(requests.check_words, "reason", words, required=True).keys() == {"reason"}


def resolve(**fields: Any) -> pb.ResolveStepRequest:
    given: dict[str, Any] = {
        "saga_id": "order-1",
        "step": "a",
        "resolution": event_pb2.StepResolved.SUCCEEDED,
        "reason": "looked",
    }
    return pb.ResolveStepRequest(**(given | fields))


@pytest.mark.parametrize("resolution", Resolution)
def test_a_resolution_is_read(resolution: Resolution) -> None:
    """Each of the three, without a result."""
    request = resolve(resolution=event_pb2.StepResolved.Resolution.ValueType(resolution))
    assert requests.read_resolution(request) == (resolution, None)


def test_a_result_goes_with_succeeded() -> None:
    """Later steps see it."""
    read = requests.read_resolution(resolve(result=payload(1)))
    assert read == (Resolution.SUCCEEDED, Payload("t/a.B", b"x"))


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"saga_id": ""}, "saga_id", "is empty"),
        ({"reason": ""}, "reason", "say how you know"),
        ({"reason": "x" * 1025}, "reason", "has 1025 characters"),
        ({"resolution": 0}, "resolution", "must be one of SUCCEEDED, NO_EFFECT, COMPENSATED"),
        ({"resolution": 9}, "resolution", "must be one of"),
        ({"resolution": 2, "result": payload(1)}, "result", "goes only with the resolution SUCCEEDED"),
        ({"resolution": 3, "result": payload(1)}, "result", "goes only with the resolution SUCCEEDED"),
        ({"result": payload(MIB + 1)}, "result", "takes 1048577 bytes"),
    ],
)
def test_malformed_resolution(fields: dict[str, Any], field: str, words: str) -> None:
    """One fault, told with its field."""
    found = violations(requests.read_resolution, resolve(**fields))
    assert found.keys() == {field}
    assert words in found[field]


# Lists


@pytest.mark.parametrize(("asked", "size"), [(0, 50), (1, 1), (1000, 1000), (5000, 1000)])
def test_a_page_size_has_a_default_and_a_bound(asked: int, size: int) -> None:
    """More than the bound is the bound: whoever pages gets the rest later."""
    assert requests.read_page_size(asked) == size


def test_a_negative_page_size_is_refused() -> None:
    """It is a mistake, not a wish."""
    assert violations(requests.read_page_size, -1).keys() == {"page_size"}


def test_a_filter_is_read_whole() -> None:
    """Every condition, in the words of the store."""
    request = pb.ListSagasRequest(
        states=[saga_pb2.Saga.RUNNING, saga_pb2.Saga.PARKED],
        definition_name="order",
        labels={"shop": "7"},
        needs_attention=True,
    )
    request.created_from.FromMicroseconds(1_500_000)
    request.created_before.FromSeconds(2)
    assert requests.read_filter(request) == Filter(
        states=(SagaState.RUNNING, SagaState.PARKED),
        definition_name="order",
        labels={"shop": "7"},
        created_from=1.5,
        created_before=2.0,
        needs_attention=True,
    )


def test_no_conditions_hold_for_every_saga() -> None:
    """An empty request lists all."""
    assert requests.read_filter(pb.ListSagasRequest()) == Filter()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"states": [1, 0]}, "states[1]"),
        ({"states": [9]}, "states[0]"),
        ({"definition_name": "my order"}, "definition_name"),
        ({"labels": {"": "v"}}, "labels key ''"),
        ({"labels": {"k": "v" * 257}}, "labels['k']"),
        ({"labels": {f"k{n}": "v" for n in range(65)}}, "labels"),
    ],
)
def test_malformed_filter(fields: dict[str, Any], field: str) -> None:
    """A condition that can hold for no saga is told, instead of an empty page."""
    assert violations(requests.read_filter, pb.ListSagasRequest(**fields)).keys() == {field}


PLACE = Cursor(1_700_000_000.123456, "order-1")


def test_a_token_leads_back_to_its_place() -> None:
    """To the last bit of the time; and no token is the first page."""
    condition = Filter(definition_name="order")
    assert requests.read_token(condition, requests.write_token(condition, PLACE)) == PLACE
    assert requests.read_token(condition, "") is None


def test_stalled_is_a_condition_of_its_own() -> None:
    """No saga that is driven ever stalls; asking for both is not the same as asking for one."""
    both = requests.read_filter(pb.ListSagasRequest(states=[saga_pb2.Saga.STALLED, saga_pb2.Saga.RUNNING]))
    assert both == Filter(states=(SagaState.RUNNING,), stalled=True)
    token = requests.write_token(both, Cursor(1_790_000_000.0, "Bestellung №7"))
    assert requests.read_token(both, token) == Cursor(1_790_000_000.0, "Bestellung №7")
    running = requests.read_filter(pb.ListSagasRequest(states=[saga_pb2.Saga.RUNNING]))
    assert violations(requests.read_token, running, token).keys() == {"page_token"}


def test_the_order_of_labels_and_states_is_no_condition() -> None:
    """Clients, and protobuf itself, put the entries of a map in any order."""
    one = Filter(states=(SagaState.RUNNING, SagaState.PARKED), labels={"a": "1", "b": "2"})
    other = Filter(states=(SagaState.PARKED, SagaState.RUNNING), labels={"b": "2", "a": "1"})
    assert requests.read_token(other, requests.write_token(one, PLACE)) == PLACE


@pytest.mark.parametrize(
    "other",
    [
        Filter(states=(SagaState.RUNNING,)),
        Filter(definition_name="order"),
        Filter(labels={"a": "1"}),
        Filter(created_from=1.0),
        Filter(created_before=1.0),
        Filter(needs_attention=True),
    ],
    ids=lambda condition: repr(condition)[:60],
)
def test_a_token_of_other_conditions_is_refused(other: Filter) -> None:
    """A page between two lists would be a lie."""
    token = requests.write_token(Filter(), PLACE)
    assert "other conditions" in violations(requests.read_token, other, token)["page_token"]


def encoded(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


FORGED = {
    "no base64": "!!!",
    "other letters": "токен",
    "no json": base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    "a number": encoded(5),
    "too short": encoded(["x", 1.0]),
    "too long": encoded(["x", 1.0, "a", "b"]),
    "no time": encoded(["x", "soon", "a"]),
    "a time of nothing": encoded(["x", None, "a"]),
    "a time beyond all floats": encoded(["x", 10**400, "a"]),
    "nested too deep": base64.urlsafe_b64encode(b"[" * 100_000).decode(),
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_a_token_that_was_never_given_out_is_refused(token: str) -> None:
    """Whatever a client sends, it is told so, and nothing fails."""
    found = violations(requests.read_token, Filter(), token)
    assert found == {"page_token": "is not one that this coordinator gave out"}
