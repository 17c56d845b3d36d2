"""Facts: as they stand in the log, and as WatchSaga sends them."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.contract.definitions import shared_definition, shared_message
from amends_coordinator.contract.values import (
    moment_from_proto,
    moment_to_proto,
    optional_moment,
    optional_payload,
    payload_to_proto,
    payloads_from_proto,
    refusal_from_proto,
    refusal_to_proto,
    rejection_from_proto,
    rejection_to_proto,
    turn_back_from_proto,
    turn_back_to_proto,
)
from amends_coordinator.core import facts as f
from amends_coordinator.core.fold import BrokenLogError
from amends_coordinator.core.values import Direction, Payload, Resolution


def encode_fact(fact: f.Fact, time: float) -> bytes:
    """Writes a fact for the log: an Event without the saga and the sequence number, its key there."""
    return _to_proto(fact, time).SerializeToString()


def event_to_proto(saga_id: str, event: f.Event) -> event_pb2.Event:
    """Turns an event into the message that watchers get."""
    message = _to_proto(event.fact, event.time)
    message.saga_id = saga_id
    message.sequence = event.sequence
    return message


def decode_event(saga_id: str, sequence: int, data: bytes) -> f.Event:
    """Reads an event of the log.

    Raises:
        BrokenLogError: these bytes are not an event that this version knows.
    """
    try:
        message = event_pb2.Event.FromString(data)
        name = message.WhichOneof("fact")
        fact = _READ[name or ""](getattr(message, name or ""))
    except (DecodeError, KeyError, ValueError) as error:
        raise BrokenLogError(
            f"saga {saga_id}: event {sequence} cannot be read ({error}); was it written by a newer version?"
        ) from error
    return f.Event(sequence, moment_from_proto(message.time), fact)


def _to_proto(fact: f.Fact, time: float) -> event_pb2.Event:
    name, write = _WRITE[type(fact)]
    message = event_pb2.Event(**{name: write(fact)})
    seconds, rest = divmod(round(time * 1e6), 1_000_000)
    message.time.seconds, message.time.nanos = seconds, rest * 1000
    return message


def _optional(payload: Payload | None) -> Any:
    return None if payload is None else payload_to_proto(payload)


def _write_started(fact: f.SagaStarted) -> event_pb2.SagaStarted:
    return event_pb2.SagaStarted(
        definition=shared_message(fact.definition),
        input=_optional(fact.input),
        step_inputs={name: payload_to_proto(payload) for name, payload in fact.step_inputs.items()},
        labels=fact.labels,
        deadline=None if fact.deadline is None else moment_to_proto(fact.deadline),
        traceparent=fact.traceparent,
        definition_by_name=fact.definition_by_name,
    )


def _read_started(message: event_pb2.SagaStarted) -> f.SagaStarted:
    return f.SagaStarted(
        definition=shared_definition(message.definition),
        input=optional_payload(message, "input"),
        step_inputs=payloads_from_proto(message.step_inputs),
        labels=dict(message.labels),
        deadline=optional_moment(message, "deadline"),
        traceparent=message.traceparent,
        definition_by_name=message.definition_by_name,
    )


def _direction(direction: Direction) -> saga_pb2.Direction.ValueType:
    return saga_pb2.Direction.ValueType(direction)


def _write_failed(fact: f.AttemptFailed) -> event_pb2.AttemptFailed:
    again = fact.next_attempt_time
    return event_pb2.AttemptFailed(
        step=fact.step,
        direction=_direction(fact.direction),
        attempt=fact.attempt,
        code=fact.code,
        message=fact.message,
        next_attempt_time=None if again is None else moment_to_proto(again),
    )


def _write_pending(fact: f.AttemptPending) -> event_pb2.AttemptPending:
    return event_pb2.AttemptPending(
        step=fact.step,
        direction=_direction(fact.direction),
        attempt=fact.attempt,
        next_attempt_time=moment_to_proto(fact.next_attempt_time),
    )


def _write_resolved(fact: f.StepResolved) -> event_pb2.StepResolved:
    return event_pb2.StepResolved(
        step=fact.step,
        resolution=event_pb2.StepResolved.Resolution.ValueType(fact.resolution),
        reason=fact.reason,
        result=_optional(fact.result),
    )


_WRITE: dict[type[Any], tuple[str, Callable[[Any], Any]]] = {
    f.SagaStarted: ("saga_started", _write_started),
    f.StepSucceeded: (
        "step_succeeded",
        lambda x: event_pb2.StepSucceeded(step=x.step, attempt=x.attempt, result=_optional(x.result)),
    ),
    f.StepRejected: (
        "step_rejected",
        lambda x: event_pb2.StepRejected(
            step=x.step, attempt=x.attempt, rejection=rejection_to_proto(x.rejection)
        ),
    ),
    f.AttemptFailed: ("attempt_failed", _write_failed),
    f.AttemptPending: ("attempt_pending", _write_pending),
    f.StepGivenUp: ("step_given_up", lambda x: event_pb2.StepGivenUp(step=x.step)),
    f.CancelRequested: ("cancel_requested", lambda x: event_pb2.CancelRequested(reason=x.reason)),
    f.CompensationStarted: (
        "compensation_started",
        lambda x: event_pb2.CompensationStarted(turn_back=turn_back_to_proto(x.turn_back)),
    ),
    f.StepCompensated: (
        "step_compensated",
        lambda x: event_pb2.StepCompensated(step=x.step, attempt=x.attempt),
    ),
    f.CompensationRefused: (
        "compensation_refused",
        lambda x: event_pb2.CompensationRefused(
            step=x.step, attempt=x.attempt, refusal=refusal_to_proto(x.refusal)
        ),
    ),
    f.AttentionNeeded: (
        "attention_needed",
        lambda x: event_pb2.AttentionNeeded(step=x.step, message=x.message),
    ),
    f.SagaParked: ("saga_parked", lambda x: event_pb2.SagaParked(message=x.message)),
    f.SagaRetried: ("saga_retried", lambda x: event_pb2.SagaRetried(reason=x.reason)),
    f.StepResolved: ("step_resolved", _write_resolved),
    f.SagaCompleted: ("saga_completed", lambda _: event_pb2.SagaCompleted()),
    f.SagaCompensated: ("saga_compensated", lambda _: event_pb2.SagaCompensated()),
}

_READ: dict[str, Callable[[Any], f.Fact]] = {
    "saga_started": _read_started,
    "step_succeeded": lambda x: f.StepSucceeded(x.step, x.attempt, optional_payload(x, "result")),
    "step_rejected": lambda x: f.StepRejected(x.step, x.attempt, rejection_from_proto(x.rejection)),
    "attempt_failed": lambda x: f.AttemptFailed(
        x.step,
        Direction(x.direction),
        x.attempt,
        x.code,
        x.message,
        optional_moment(x, "next_attempt_time"),
    ),
    "attempt_pending": lambda x: f.AttemptPending(
        x.step, Direction(x.direction), x.attempt, moment_from_proto(x.next_attempt_time)
    ),
    "step_given_up": lambda x: f.StepGivenUp(x.step),
    "cancel_requested": lambda x: f.CancelRequested(x.reason),
    "compensation_started": lambda x: f.CompensationStarted(turn_back_from_proto(x.turn_back)),
    "step_compensated": lambda x: f.StepCompensated(x.step, x.attempt),
    "compensation_refused": lambda x: f.CompensationRefused(x.step, x.attempt, refusal_from_proto(x.refusal)),
    "attention_needed": lambda x: f.AttentionNeeded(x.step, x.message),
    "saga_parked": lambda x: f.SagaParked(x.message),
    "saga_retried": lambda x: f.SagaRetried(x.reason),
    "step_resolved": lambda x: f.StepResolved(
        x.step, Resolution(x.resolution), x.reason, optional_payload(x, "result")
    ),
    "saga_completed": lambda _: f.SagaCompleted(),
    "saga_compensated": lambda _: f.SagaCompensated(),
}
