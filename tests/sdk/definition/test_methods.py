"""Steps that call methods, and rules about how attempts end, made in Python."""

import grpc
import pytest
from google.protobuf import wrappers_pb2
from hypothesis import given
from hypothesis import strategies as st

from amends import Definition, DefinitionError, Kind, MethodCall, Outcome, OutcomeRule, Retry, Step
from amends.v1 import saga_pb2
from tests.fuzz.effort import effort

BOOK = "acme.v1.Carrier/Book"
CANCEL = MethodCall("acme.v1.Carrier/Cancel", "CancelRequest{id: response.id}")


def ship(**options: object) -> Step:
    return Step("ship", "carrier", **options)  # type: ignore[arg-type] # some are wrong on purpose


def problems_of(make: object, *arguments: object, **options: object) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        make(*arguments, **options)  # type: ignore[operator] # what makes a part of a definition
    return str(caught.value).splitlines()


def test_a_step_of_methods_reads_back_from_its_message() -> None:
    """Both ways, with all it can say."""
    step = ship(
        try_method=MethodCall(BOOK, "BookRequest{address: input.address}"),
        compensate_method=CANCEL,
        try_outcomes=[
            OutcomeRule("UNAVAILABLE", "rejected"),
            OutcomeRule("OK", Outcome.REJECTED, "response.declined", reason="NO_ROUTE"),
            OutcomeRule(grpc.StatusCode.OK, "pending", "response.queued"),
        ],
        compensate_outcomes=(OutcomeRule(grpc.StatusCode.NOT_FOUND, Outcome.SUCCEEDED),),
        needs=["pay"],
        retry=Retry(3),
    )
    proto = step.to_proto()
    assert Step.from_proto(proto) == step
    assert proto.action == step.action == ""
    assert proto.try_method == saga_pb2.MethodCall(method=BOOK, request="BookRequest{address: input.address}")
    assert proto.compensate_outcomes[0] == saga_pb2.OutcomeRule(code="NOT_FOUND", outcome="SUCCEEDED")
    assert [rule.code for rule in step.try_outcomes] == [
        grpc.StatusCode.UNAVAILABLE,
        *[grpc.StatusCode.OK] * 2,
    ]


def test_a_method_can_be_given_by_its_name() -> None:
    """Where its request needs no expression."""
    step = ship(try_method=BOOK, compensate_method="acme.v1.Carrier/Cancel")
    assert (step.try_method, step.compensate_method) == (
        MethodCall(BOOK),
        MethodCall("acme.v1.Carrier/Cancel"),
    )


def test_a_step_of_an_action_calls_no_methods() -> None:
    """And its message is what it always was."""
    step = Step("charge", "payments", "charge")
    assert (step.try_method, step.compensate_method) == (None, None)
    assert (step.try_outcomes, step.compensate_outcomes) == ((), ())
    assert step.to_proto() == saga_pb2.Step(
        name="charge", participant="payments", action="charge", kind=saga_pb2.Step.COMPENSATABLE
    )


def test_a_step_of_an_action_may_have_rules() -> None:
    """For statuses; its response speaks for itself."""
    step = Step("charge", "payments", "charge", try_outcomes=[OutcomeRule("NOT_FOUND", "unknown")])
    assert Step.from_proto(step.to_proto()) == step


@pytest.mark.parametrize(
    "options",
    [{"effect_free": True}, {"kind": Kind.PIVOT}, {"kind": "retriable"}, {"compensate_method": CANCEL}],
)
def test_what_cannot_be_undone_needs_no_method_that_undoes_it(options: dict[str, object]) -> None:
    """Of those that can, the last one here has one."""
    assert ship(try_method=BOOK, **options).try_method == MethodCall(BOOK)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "action is missing; a step names an action of its participant, or the method to call as"),
        ({"action": ""}, "action is missing"),
        (
            {"action": "book", "try_method": BOOK, "compensate_method": CANCEL},
            "action is set beside try_method",
        ),
        ({"action": "book", "compensate_method": CANCEL}, "compensate_method goes only with a try_method"),
        (
            {"try_method": MethodCall(BOOK, "input"), "input_from": str, "kind": "pivot"},
            "input_from is set, but the request of try_method is made of the saga's input",
        ),
        ({"try_method": BOOK}, "compensate_method is missing: name the method that undoes the step, make it"),
        (
            {"try_method": BOOK, "compensate_method": CANCEL, "effect_free": True},
            "compensate_method is set, but a step that is effect_free is never compensated",
        ),
        ({"try_method": "Book", "kind": "pivot"}, "try_method is 'Book', but must be PACKAGE.SERVICE/METHOD"),
        ({"try_method": 7, "kind": "pivot"}, "try_method must be a MethodCall, or the name of a method"),
        ({"try_method": BOOK, "compensate_method": "/a.B/C"}, "compensate_method is '/a.B/C', but must be"),
        ({"action": "book", "try_outcomes": "NOT_FOUND"}, "try_outcomes must be a list of OutcomeRule"),
        ({"action": "book", "compensate_outcomes": [1]}, "compensate_outcomes must be a list of OutcomeRule"),
        (
            {"action": "book", "try_outcomes": [OutcomeRule("OK", "unknown", "true")]},
            "try_outcomes[0].code is OK, but the response of an action says itself what it came to",
        ),
        (
            {"action": "book", "compensate_outcomes": [OutcomeRule("ABORTED", "unknown")] * 33},
            "compensate_outcomes has 33 rules, but may have 32",
        ),
    ],
)
def test_a_step_that_calls_what_it_cannot_is_refused(options: dict[str, object], problem: str) -> None:
    """Each rule of the contract, in one line."""
    (told,) = problems_of(ship, **options)
    assert told.startswith(f"step 'ship': {problem}")


def test_all_problems_of_a_step_of_methods_come_at_once() -> None:
    """Nobody mends a step one mistake at a time."""
    with pytest.raises(DefinitionError) as caught:
        Step("a b", "carrier", try_method="Book", compensate_method="Cancel", timeout=0)
    fields = [problem.field for problem in caught.value.problems]
    assert sorted(fields) == ["compensate_method", "name", "timeout", "try_method"]


@pytest.mark.parametrize(
    "method", ["a.B/C", "B/C", "shop.v1.Shipping/ShipOrder", "_a._b._C/_d", "a" * 509 + "/b"]
)
def test_methods_may_be_called_this(method: str) -> None:
    """As protobuf lets services and methods be called, with a package or without."""
    assert MethodCall(method).method == method


@pytest.mark.parametrize(
    "method",
    [
        *(
            "",
            "a.B",
            "/a.B/C",
            "a.B/",
            "a..B/C",
            "a.B/C/D",
            "a.B/C.D",
            "a-b.C/D",
            "1a.B/C",
            "a.B/C\n",
            "é.B/C",
        ),
        *("a" * 511 + "/b", None),
    ],
)
def test_methods_may_not_be_called_this(method: str) -> None:
    """Whatever no service can be called by."""
    (told,) = problems_of(MethodCall, method)
    assert told.startswith("method is ")
    assert told.endswith(
        "must be PACKAGE.SERVICE/METHOD, such as shop.v1.Shipping/ShipOrder, in at most 512 characters"
    )


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("x" * 16_385, "request takes 16385 bytes, but may take 16384"),
        ("é" * 8_193, "request takes 16386 bytes, but may take 16384"),
        ("\ud800", "request holds half of a character"),
        (None, "request is None, but must be an expression as text"),
    ],
)
def test_an_expression_is_no_program(expression: str, problem: str) -> None:
    """What it says is checked by the coordinator, which knows the types."""
    assert problems_of(MethodCall, BOOK, expression)[0].startswith(problem)
    assert MethodCall(BOOK, "x" * 16_384).request == "x" * 16_384


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("OK", "rejected"), "condition is missing: a rule for OK says of which responses it speaks"),
        (("ABORTED", "rejected", "true"), "condition goes only with the code OK: another status brings no"),
        (("ABORTED", "rejected", "", "NO"), "reason goes only with the code OK and the outcome rejected"),
        (("OK", "unknown", "true", "NO"), "reason goes only with the code OK and the outcome rejected"),
        (("OK", "rejected", "true", "no room"), "reason is 'no room', but must be 2 to 63 characters of A-Z"),
        (("OK", "rejected", "true", "A" * 64), "reason is 'AAAA"),
        (("OK", "rejected", "true", 7), "reason is 7, but must be text"),
        (("OK", "rejected", "x" * 16_385), "condition takes 16385 bytes, but may take 16384"),
        (
            ("not_found", "rejected"),
            "code is 'not_found', but must be a status code of gRPC; did you mean NOT_",
        ),
        (
            ("TEAPOT", "rejected"),
            "code is 'TEAPOT', but must be a status code of gRPC, such as NOT_FOUND",
        ),
        (
            (5, "rejected"),
            "code is 5, but must be a status code of gRPC; did you mean NOT_FOUND?",
        ),
        (
            ("9", "rejected"),
            "code is '9', but must be a status code of gRPC; did you mean FAILED_",
        ),
        ((17, "rejected"), "code is 17, but must be a status code of gRPC, such as NOT_FOUND"),
        (
            ("ABORTED", "REJECTED"),
            "outcome is 'REJECTED', but must be one of succeeded, rejected, pending, unkn",
        ),
        (("ABORTED", None), "outcome is None, but must be one of"),
    ],
)
def test_a_wrong_rule_is_named(arguments: tuple[object, ...], problem: str) -> None:
    """Each part by itself, and what does not go together."""
    (told,) = problems_of(OutcomeRule, *arguments)
    assert told.startswith(problem)


@pytest.mark.parametrize("wrong", [[[]], {}, {"a"}, bytearray()], ids=repr)
def test_a_value_without_a_hash_is_as_wrong_as_any_other(wrong: object) -> None:
    """Wherever it stands: what makes definitions of anything catches one error."""
    assert [told.split()[0] for told in problems_of(MethodCall, wrong, wrong)] == ["method", "request"]
    told = problems_of(OutcomeRule, wrong, wrong, wrong, wrong)
    assert [each.split()[0] for each in told] == ["code", "outcome", "condition", "reason"]
    for field in ("action", "needs", "kind", "effect_free", "timeout", "retry", "try_method", "try_outcomes"):
        told = problems_of(ship, **{"action": "book", field: wrong})
        assert f"step 'ship': {field} " in "\n".join(told)
    assert [told.partition(": ")[2].split()[0] for told in problems_of(Step, wrong, wrong, "book")] == [
        "name",
        "participant",
    ]


def test_values_are_frozen() -> None:
    """As everything in a definition."""
    with pytest.raises(AttributeError):
        CANCEL.method = "a.B/C"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        OutcomeRule("ABORTED", "unknown").reason = "NO"  # type: ignore[misc]


def test_an_input_type_is_a_message() -> None:
    """Given by its class, or by its full name where there is none at hand."""
    steps = [ship(try_method=BOOK, compensate_method=CANCEL)]
    by_class = Definition("order", steps, input_type=wrappers_pb2.StringValue)
    by_name = Definition("order", steps, input_type="google.protobuf.StringValue")
    assert by_class == by_name == Definition.from_proto(by_name.to_proto())
    assert by_name.to_proto().input_type == "google.protobuf.StringValue"
    assert Definition("order", steps) != by_name


@pytest.mark.parametrize("input_type", ["a b", ".a.B", "a.", "a/B", "x" * 513, dict, 7])
def test_what_is_no_type_of_messages_is_refused(input_type: str) -> None:
    """A class of something else, or no name at all."""
    (told,) = problems_of(Definition, "order", [ship(action="book")], input_type=input_type)
    assert told.startswith("input_type is ")


# Properties

WORDS = st.text("azAZ_09", max_size=9).map("m".__add__)
METHODS = st.builds("{}/{}".format, st.lists(WORDS, min_size=1, max_size=3).map(".".join), WORDS)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
CALLS = st.builds(MethodCall, METHODS, TEXTS)
CONDITIONS = TEXTS.filter(bool)
REASONS = st.sampled_from(["", "NO", "NO_ROUTE", "A" * 63])
RULES = st.lists(
    st.one_of(
        st.builds(OutcomeRule, st.sampled_from(list(grpc.StatusCode)[1:]), st.sampled_from(Outcome)),
        st.builds(OutcomeRule, st.just("OK"), st.sampled_from(Outcome), CONDITIONS),
        st.builds(OutcomeRule, st.just("OK"), st.just("rejected"), CONDITIONS, REASONS),
    ),
    max_size=4,
)
STEPS = st.builds(
    Step,
    st.just("ship"),
    st.just("carrier"),
    try_method=CALLS,
    compensate_method=CALLS,
    try_outcomes=RULES,
    compensate_outcomes=RULES,
)


@effort(100)
@given(STEPS)
def test_any_step_of_methods_reads_back(step: Step) -> None:
    """Through bytes, as it travels."""
    sent = saga_pb2.Step.FromString(step.to_proto().SerializeToString())
    assert Step.from_proto(sent) == step
