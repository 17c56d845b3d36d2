"""What reads bytes: of the log, and of participants. Whatever the bytes, it is a value or one clear error."""

from contextlib import suppress
from random import Random

from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st

from amends.v1 import event_pb2
from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls import reading
from amends_coordinator.contract.facts import decode_event, encode_fact
from amends_coordinator.core import facts as f
from amends_coordinator.core import machine, outcomes, stimuli
from amends_coordinator.core.definition import Definition, Step
from amends_coordinator.core.fold import BrokenLogError, rebuild
from amends_coordinator.core.values import Direction
from tests.core.test_contract import FACTS
from tests.fuzz.effort import effort
from tests.fuzz.hostile import Hostile
from tests.fuzz.messages import REPLIES, STATUSES

EVENTS = [event_pb2.Event.FromString(encode_fact(fact, 1.5)) for fact in FACTS]
SEEDS = st.integers(0, 2**64)

FORWARD = (outcomes.Succeeded, outcomes.Rejected, outcomes.Pending, outcomes.Unknown)
BACKWARD = (outcomes.Compensated, outcomes.Refused, outcomes.Pending, outcomes.Unknown)


def is_kept(fact: f.Fact) -> bool:
    """Whether a fact survives the log that it was read from, as everything does that the machine writes."""
    return decode_event("s", 1, encode_fact(fact, 1.0)).fact == fact


@effort(600)
@given(SEEDS)
def test_an_event_is_read_or_refused(seed: int) -> None:
    """By BrokenLogError alone, be it in its own bytes or in the log that it begins."""
    data = Hostile(Random(seed), EVENTS).make()
    try:
        event = decode_event("s", 5, data)
    except BrokenLogError as error:
        said = str(error)
        assert said.startswith("saga s: event 5 cannot be read (")
        return
    with suppress(BrokenLogError):  # the first event of a log may be any saga
        rebuild("s", [f.Event(1, event.time, event.fact)])


@effort(600)
@given(SEEDS, st.sampled_from(Direction))
def test_a_reply_is_an_outcome(seed: int, direction: Direction) -> None:
    """Of its direction, and within the bounds of the log; bytes that are no reply are unknown ones."""
    data = Hostile(Random(seed), REPLIES).make()
    with suppress(DecodeError):
        check(direction, reading.read_reply(direction, pb.ExchangeResponse.Reply.FromString(data)))
    with suppress(DecodeError):
        check(Direction.FORWARD, reading.read_try(pb.TryResponse.FromString(data)))
    with suppress(DecodeError):
        check(Direction.BACKWARD, reading.read_compensate(pb.CompensateResponse.FromString(data)))


@effort(300)
@given(SEEDS, st.sampled_from(Direction))
def test_a_status_is_an_outcome(seed: int, direction: Direction) -> None:
    """Whatever details it carries."""
    data = Hostile(Random(seed), STATUSES).make()
    with suppress(DecodeError):
        check(direction, reading.read_status(direction, status_pb2.Status.FromString(data)))


def check(direction: Direction, outcome: outcomes.Outcome) -> None:
    """The machine takes it, and the log keeps what it makes of it."""
    assert isinstance(outcome, FORWARD if direction is Direction.FORWARD else BACKWARD)
    saga, _ = machine.start("s", _of_two_steps(), 0.0)
    if direction is Direction.BACKWARD:
        machine.advance(saga, stimuli.Replied(0, Direction.FORWARD, 1, outcomes.Succeeded()), 1.0, 0.5)
        rejected = outcomes.Rejected(reading.Rejection("NO"))
        machine.advance(saga, stimuli.Replied(1, Direction.FORWARD, 1, rejected), 2.0, 0.5)
    decision = machine.advance(saga, stimuli.Replied(0, direction, 1, outcome), 3.0, 0.5)
    assert decision.facts
    for fact in decision.facts:
        assert is_kept(fact)
        assert len(encode_fact(fact, 3.0)) < reading.MAX_PAYLOAD + 300_000


def _of_two_steps() -> f.SagaStarted:
    steps = (
        Step(name="a", participant="p", action="a"),
        Step(name="b", participant="p", action="b", needs=("a",)),
    )
    return f.SagaStarted(definition=Definition(name="d", steps=steps), step_inputs={}, labels={})
