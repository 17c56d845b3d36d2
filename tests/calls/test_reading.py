"""How an attempt's end is read: a test for every row of the table, in both directions."""

from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from google.rpc.code_pb2 import Code

from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls import reading
from amends_coordinator.core.definition import OutcomeKind, OutcomeRule
from amends_coordinator.core.outcomes import (
    Compensated,
    Outcome,
    Pending,
    Refused,
    Rejected,
    Succeeded,
    Unknown,
)
from amends_coordinator.core.values import Direction, Payload, Refusal, Rejection

FORWARD, BACKWARD = Direction.FORWARD, Direction.BACKWARD

# Written by hand: the codes that say for certain that nothing happened, and all others.
DEFINITE = [
    "ABORTED",
    "FAILED_PRECONDITION",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "OUT_OF_RANGE",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "UNIMPLEMENTED",
]
UNKNOWN = [
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "CANCELLED",
    "UNKNOWN",
    "INTERNAL",
    "DATA_LOSS",
]


def status(code: str | int, message: str = "words", *details: Message) -> status_pb2.Status:
    made = status_pb2.Status(code=Code.Value(code) if isinstance(code, str) else code, message=message)
    for detail in details:
        made.details.add().Pack(detail)
    return made


def retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)


def test_every_code_has_its_row() -> None:
    """OK promises an outcome; of every other code it is known how it is read."""
    assert sorted(["OK", *DEFINITE, *UNKNOWN]) == sorted(Code.keys())


# Statuses


@pytest.mark.parametrize("code", DEFINITE)
def test_a_definite_code_rejects_a_try(code: str) -> None:
    """Definite: no effect. The code is the reason where the participant names no other."""
    assert reading.read_status(FORWARD, status(code)) == Rejected(Rejection(code, "words"), stated=False)


@pytest.mark.parametrize("code", DEFINITE)
def test_a_definite_code_refuses_a_compensation(code: str) -> None:
    """The effect stays: an operator has to know."""
    assert reading.read_status(BACKWARD, status(code)) == Refused(Refusal(code, "words"))


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("code", UNKNOWN)
def test_any_other_code_leaves_the_outcome_unknown(code: str, direction: Direction) -> None:
    """It may have happened."""
    outcome = reading.read_status(direction, status(code))
    assert outcome == Unknown(Code.Value(code), "words")


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("code", [17, 99, -1])
def test_a_code_that_nobody_knows_leaves_the_outcome_unknown(code: int, direction: Direction) -> None:
    """A later version of gRPC, or a broken participant, may send any number."""
    assert reading.read_status(direction, status(code)) == Unknown(code, "words")


@pytest.mark.parametrize("direction", Direction)
def test_ok_without_an_outcome_is_unknown(direction: Direction) -> None:
    """A status of OK in place of a response tells nothing."""
    assert isinstance(reading.read_status(direction, status("OK")), Unknown)


def test_a_code_without_words_is_told_by_its_name() -> None:
    """Nobody is left without an explanation."""
    assert reading.read_status(FORWARD, status("INTERNAL", "")) == Unknown(Code.INTERNAL, "INTERNAL")
    assert reading.read_status(FORWARD, status(99, "")) == Unknown(99, "CODE_99")


def test_an_error_info_names_the_reason() -> None:
    """A definite status may carry a reason and facts for programs, as a rejection does."""
    info = error_details_pb2.ErrorInfo(reason="SHORT", domain="pay", metadata={"account": "7"})
    rejected = reading.read_status(FORWARD, status("ABORTED", "words", info))
    assert rejected == Rejected(Rejection("SHORT", "words", {"account": "7"}), stated=False)
    assert reading.read_status(BACKWARD, status("ABORTED", "words", info)) == Refused(
        Refusal("SHORT", "words")
    )


def test_a_retry_info_sets_the_least_wait() -> None:
    """The same outcome, and the next attempt waits that long."""
    outcome = reading.read_status(FORWARD, status("UNAVAILABLE", "words", retry_info(7.5)))
    assert outcome == Unknown(Code.UNAVAILABLE, "words", 7.5)


def test_a_retry_info_makes_a_definite_code_no_less_definite() -> None:
    """The wait does not decide whether something happened."""
    assert isinstance(reading.read_status(FORWARD, status("ABORTED", "words", retry_info(7.5))), Rejected)


@pytest.mark.parametrize(("asked", "read"), [(-5.0, 0.0), (1e9, reading.MAX_RETRY_AFTER)])
def test_a_wait_has_bounds(asked: float, read: float) -> None:
    """A slip of units or signs buries no saga."""
    outcome = reading.read_status(FORWARD, status("UNAVAILABLE", "", retry_info(asked)))
    assert isinstance(outcome, Unknown)
    assert outcome.retry_after == read


@pytest.mark.parametrize("kind", ["ErrorInfo", "RetryInfo"])
@pytest.mark.parametrize("code", ["ABORTED", "UNAVAILABLE"])
def test_details_that_cannot_be_read_are_passed_over(code: str, kind: str) -> None:
    """The code is believed all the same; rubbish beside it is not worth a crash."""
    made = status(code)
    made.details.append(any_pb2.Any(type_url=f"type.googleapis.com/google.rpc.{kind}", value=b"\xff"))
    outcome = reading.read_status(FORWARD, made)
    assert isinstance(outcome, Rejected if code == "ABORTED" else Unknown)


def test_details_of_other_types_are_passed_over() -> None:
    """Participants may add what they like."""
    other = error_details_pb2.DebugInfo(detail="stack")
    assert isinstance(reading.read_status(FORWARD, status("ABORTED", "words", other)), Rejected)


def test_long_words_are_cut() -> None:
    """What is stored in every log that fails is kept short."""
    long = "x" * 100_000
    outcome = reading.read_status(FORWARD, status("UNAVAILABLE", long))
    assert isinstance(outcome, Unknown)
    assert len(outcome.message) < 1_100
    info = error_details_pb2.ErrorInfo(reason=long)
    rejected = reading.read_status(FORWARD, status("ABORTED", long, info))
    assert isinstance(rejected, Rejected)
    assert (len(rejected.rejection.reason), len(rejected.rejection.message)) == (63, 1_024)


# Errors of unary calls


def rpc_error(code: grpc.StatusCode, *trailing: tuple[str, bytes]) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details="words")


def test_the_status_of_an_error_has_its_details() -> None:
    """Rich errors travel beside the code."""
    rich = status("ABORTED", "words", retry_info(1))
    error = rpc_error(grpc.StatusCode.ABORTED, ("grpc-status-details-bin", rich.SerializeToString()))
    assert reading.status_of(error) == rich


@pytest.mark.parametrize(
    "trailing",
    [(), (("grpc-status-details-bin", b"\xff"),)],
    ids=["no details", "details that cannot be read"],
)
def test_the_status_of_an_error_without_details(trailing: Any) -> None:
    """The code and the words are enough."""
    assert reading.status_of(rpc_error(grpc.StatusCode.ABORTED, *trailing)) == status("ABORTED")


def test_the_code_of_the_rpc_counts_where_details_contradict_it() -> None:
    """What lies on the way may fail a call after the participant answered; the outer code holds then."""
    rich = status("ABORTED", "inner", retry_info(3))
    error = rpc_error(grpc.StatusCode.UNAVAILABLE, ("grpc-status-details-bin", rich.SerializeToString()))
    assert reading.read_status(FORWARD, reading.status_of(error)) == Unknown(Code.UNAVAILABLE, "words")


# Responses


def result(size: int) -> any_pb2.Any:
    return any_pb2.Any(type_url="t/a.B", value=b"x" * size)


def pending(seconds: float | None) -> pb.Pending:
    made = pb.Pending()
    if seconds is not None:
        made.retry_after.FromNanoseconds(int(seconds * 1e9))
    return made


def test_a_type_that_is_too_long_leaves_the_try_unknown() -> None:
    """Like a result that is too large: the effect may be there, but the log does not take this."""
    longest = pb.TryResponse(succeeded={"result": any_pb2.Any(type_url="t" * reading.MAX_TYPE_URL)})
    assert isinstance(reading.read_try(longest), Succeeded)
    longer = pb.TryResponse(succeeded={"result": any_pb2.Any(type_url="t" * (reading.MAX_TYPE_URL + 1))})
    outcome = reading.read_try(longer)
    assert isinstance(outcome, Unknown)
    assert "type has 513 characters" in outcome.message


PENDING = [
    (None, 1.0),
    (0.0, 1.0),
    (-3.0, 1.0),
    (0.001, reading.MIN_PENDING),
    (2.5, 2.5),
    (1e9, reading.MAX_RETRY_AFTER),
]


def succeeded(size: int) -> pb.TryResponse:
    return pb.TryResponse(succeeded=pb.TryResponse.Succeeded(result=result(size)))


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (pb.TryResponse(succeeded=pb.TryResponse.Succeeded()), Succeeded(None)),
        (succeeded(3), Succeeded(Payload("t/a.B", b"xxx"))),
        (succeeded(1 << 20), Succeeded(Payload("t/a.B", b"x" * (1 << 20)))),
        (
            pb.TryResponse(rejected=pb.Rejected(reason="NO", message="words", metadata={"a": "b"})),
            Rejected(Rejection("NO", "words", {"a": "b"})),
        ),
        (pb.TryResponse(rejected=pb.Rejected()), Rejected(Rejection("UNSPECIFIED"))),
        (
            pb.TryResponse(rejected=pb.Rejected(reason="R" * 99, message="m" * 9999)),
            Rejected(Rejection("R" * 63, "m" * 1024)),
        ),
    ],
    ids=[
        "no result",
        "a result",
        "the largest result",
        "rejected",
        "rejected without a reason",
        "long words",
    ],
)
def test_a_try_response_is_read(response: pb.TryResponse, outcome: Outcome) -> None:
    """OK, with an outcome in the message: that outcome."""
    assert reading.read_try(response) == outcome


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (pb.CompensateResponse(compensated=pb.CompensateResponse.Compensated()), Compensated()),
        (
            pb.CompensateResponse(refused=pb.CompensateResponse.Refused(reason="NO", message="words")),
            Refused(Refusal("NO", "words")),
        ),
        (
            pb.CompensateResponse(refused=pb.CompensateResponse.Refused(message="m" * 9999)),
            Refused(Refusal("UNSPECIFIED", "m" * 1024)),
        ),
    ],
    ids=["compensated", "refused", "refused without a reason"],
)
def test_a_compensate_response_is_read(response: pb.CompensateResponse, outcome: Outcome) -> None:
    """OK, with an outcome in the message: that outcome."""
    assert reading.read_compensate(response) == outcome


@pytest.mark.parametrize(("asked", "read"), PENDING)
def test_pending_is_asked_again_after_its_own_wait(asked: float | None, read: float) -> None:
    """In both directions; a second where the participant does not say."""
    assert reading.read_try(pb.TryResponse(pending=pending(asked))) == Pending(read)
    assert reading.read_compensate(pb.CompensateResponse(pending=pending(asked))) == Pending(read)


# Field 15 is no outcome of today's contract; a later version may have one there.
LATER = b"\x7a\x00"


@pytest.mark.parametrize(
    "outcome",
    [
        reading.read_try(pb.TryResponse()),
        reading.read_try(pb.TryResponse.FromString(LATER)),
        reading.read_compensate(pb.CompensateResponse()),
        reading.read_compensate(pb.CompensateResponse.FromString(LATER)),
        reading.read_try(succeeded((1 << 20) + 1)),
    ],
    ids=[
        "empty",
        "of a later version",
        "empty, backward",
        "of a later version, backward",
        "oversized result",
    ],
)
def test_a_response_without_a_known_outcome_is_unknown(outcome: Outcome) -> None:
    """Broken, empty, oversized or from the future: it may have happened."""
    assert isinstance(outcome, Unknown)
    assert outcome.code == Code.DATA_LOSS
    assert outcome.message.startswith("the participant answered with")


# Replies of an exchange

TRY = pb.TryResponse(succeeded=pb.TryResponse.Succeeded())
COMPENSATE = pb.CompensateResponse(compensated=pb.CompensateResponse.Compensated())
Reply = pb.ExchangeResponse.Reply


@pytest.mark.parametrize(
    ("direction", "reply", "outcome"),
    [
        (FORWARD, Reply(try_response=TRY), Succeeded(None)),
        (BACKWARD, Reply(compensate_response=COMPENSATE), Compensated()),
        (FORWARD, Reply(error=status("ABORTED")), Rejected(Rejection("ABORTED", "words"), stated=False)),
        (BACKWARD, Reply(error=status("ABORTED")), Refused(Refusal("ABORTED", "words"))),
        (FORWARD, Reply(error=status("INTERNAL")), Unknown(Code.INTERNAL, "words")),
    ],
)
def test_a_reply_is_read_as_its_unary_call_would_be(
    direction: Direction, reply: Reply, outcome: Outcome
) -> None:
    """Whichever way a call goes, its end means the same."""
    assert reading.read_reply(direction, reply) == outcome


@pytest.mark.parametrize(
    ("direction", "reply"),
    [
        (FORWARD, Reply()),
        (BACKWARD, Reply()),
        (FORWARD, Reply(compensate_response=COMPENSATE)),
        (BACKWARD, Reply(try_response=TRY)),
        (FORWARD, Reply.FromString(LATER)),
        (FORWARD, Reply(try_response=pb.TryResponse())),
    ],
    ids=["empty", "empty, backward", "of the other RPC", "of the other RPC, backward", "later", "no outcome"],
)
def test_a_reply_that_answers_nothing_is_unknown(direction: Direction, reply: Reply) -> None:
    """Nothing is guessed from a reply that does not fit its call."""
    assert isinstance(reading.read_reply(direction, reply), Unknown)


def test_a_call_too_large_to_send_is_definite() -> None:
    """It never leaves, so nothing can have happened, and no repetition would do better."""
    forward, backward = reading.too_large(FORWARD, 5), reading.too_large(BACKWARD, 5)
    assert isinstance(forward, Rejected)
    assert isinstance(backward, Refused)
    assert (forward.rejection.reason, backward.refusal.reason) == ("CALL_TOO_LARGE", "CALL_TOO_LARGE")
    assert not forward.stated  # which says nothing of an earlier attempt


def test_a_large_response_is_no_obstacle_where_nobody_keeps_it() -> None:
    """The service has undone it, whatever else it says."""
    response = Payload("t/a.B", b"x" * (reading.MAX_PAYLOAD + 1))
    assert reading.read_response(BACKWARD, response, None) == Compensated()
    assert isinstance(reading.read_response(FORWARD, response, None), Unknown)


@pytest.mark.parametrize("code", ["FAILED_PRECONDITION", "UNAVAILABLE"])
def test_a_status_that_a_rule_rejects_is_the_services_own_word(code: str) -> None:
    """Which clears a pivot in doubt; without a rule it may come from anything on the way."""
    rules = [OutcomeRule(code=Code.Value(code), outcome=OutcomeKind.REJECTED)]
    assert reading.read_status(FORWARD, status(code), rules) == Rejected(
        Rejection(code, "words"), stated=True
    )
    assert reading.read_status(FORWARD, status("ABORTED"), rules) == Rejected(
        Rejection("ABORTED", "words"), stated=False
    )


@pytest.mark.parametrize(
    ("outcome", "forward", "backward"),
    [
        (OutcomeKind.SUCCEEDED, Succeeded(None), Compensated()),
        (OutcomeKind.PENDING, Pending(7.0), Pending(7.0)),
        (OutcomeKind.UNKNOWN, Unknown(Code.NOT_FOUND, "words", 7.0), Unknown(Code.NOT_FOUND, "words", 7.0)),
    ],
)
def test_a_rule_reads_a_status_in_either_direction(
    outcome: OutcomeKind, forward: Outcome, backward: Outcome
) -> None:
    """A wait that it asks for holds all the same."""
    rules = [OutcomeRule(code=Code.NOT_FOUND, outcome=outcome)]
    told = status("NOT_FOUND", "words", retry_info(7.0))
    assert reading.read_status(FORWARD, told, rules) == forward
    assert reading.read_status(BACKWARD, told, rules) == backward
