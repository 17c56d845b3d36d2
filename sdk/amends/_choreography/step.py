"""One step of a saga: the fence's table, applied to a reaction or to what undoes it.

To the fence a reaction is a Try, and an event that has it compensated is a Compensate; the key is the saga's
id and the reaction's name. So whatever a bus delivers, twice, late or in another order, an effect happens at
most once and is undone at most once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from google.protobuf import any_pb2

from amends import _payload
from amends._bus.interface import Message
from amends._choreography.cloudevent import Outcome
from amends._choreography.context import EventContext
from amends._choreography.emission import Deeds, Emission
from amends._choreography.problems import DeadError, raise_failure
from amends._choreography.reaction import Compensation, Reaction
from amends._choreography.work import Answer, Raised, Work
from amends._fence import Deed, Ledger, Row, State, decide_compensate, decide_try
from amends._fence.ledger import Key
from amends._participant.signature import Handler
from amends.errors import PayloadError, Rejected, UsageError
from amends.v1 import choreography_pb2, participant_pb2

Steps: TypeAlias = Generator[Work, Answer, Deed]


@dataclass(slots=True)
class Effects:
    """What dealing with an event brings forth, to be kept if all of it succeeds."""

    rows: dict[Key, Row] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)


class Occasion(NamedTuple):
    """What makes a step run: an event, or the call of an entry."""

    payload: any_pb2.Any
    reference: str
    """The event, as source and id with a slash between; empty for a call."""
    attempt: int


def do(
    ledger: Ledger, reaction: Reaction[Any, Any], occasion: Occasion, emission: Emission, effects: Effects
) -> Steps:
    """Runs a reaction, unless the fence says that it has run or must not.

    Raises:
        DeferredError: it failed, and may succeed later.
        DeadError: it cannot succeed.
    """
    key = (emission.saga_id, reaction.name)
    digest = _payload.digest(occasion.payload)
    deed = decide_try(ledger.get(key), reaction.name, digest)
    if deed is Deed.REFUSE_REUSE:
        text = "the saga had another event of this type before, and a reaction is one step of a saga"
        raise DeadError("KEY_REUSED", text, reaction.name)
    if deed is not Deed.RUN:
        return deed  # it is done, or too late for it; either has been told
    value = _decoded(reaction.decode, occasion.payload, reaction.name)
    deeds = Deeds(emission, Outcome.SUCCEEDED, reaction.emits)
    ledger.savepoint()
    answer = _concluded(deeds, (yield _work(reaction.handler, (value,), deeds, emission, occasion, value)))
    if isinstance(answer, Raised):
        ledger.undo()
        rejected = _rejected(answer.error, reaction.name)
        effects.rows[key] = Row(State.REJECTED, reaction.name, digest, _rejection(rejected, reaction.name))
        effects.messages += _failure(rejected, reaction, occasion, emission)
        return deed
    ledger.release()
    record = choreography_pb2.ReactionRecord(
        event_id=occasion.reference, event=occasion.payload, result=deeds.payload, result_type=deeds.type
    )
    effects.rows[key] = Row(State.TRIED, reaction.name, digest, _succeeded(record))
    effects.messages += deeds.told()
    return deed


def undo(
    ledger: Ledger,
    reaction: Reaction[Any, Any],
    compensation: Compensation,
    occasion: Occasion,
    emission: Emission,
    effects: Effects,
) -> Steps:
    """Runs a compensation if the reaction took effect; if it has not run yet, sees to it that it never will.

    Raises like `do`.
    """
    key = (emission.saga_id, reaction.name)
    row = ledger.get(key)
    deed = decide_compensate(row, reaction.name, has_result=False)
    if deed is Deed.BURY:
        effects.rows[key] = Row(State.TOMBSTONE, reaction.name, b"", b"")
        effects.messages += Deeds(emission, Outcome.BURIED, frozenset()).told()
    if deed is not Deed.UNDO or row is None:
        return deed
    record = record_of(row)
    tried = _decoded(reaction.decode, record.event, reaction.name)
    result = _decoded(reaction.decode_result, record, reaction.name)
    trigger = _decoded(compensation.decode_trigger, occasion.payload, reaction.name)
    deeds = Deeds(emission, Outcome.COMPENSATED, compensation.emits)
    ledger.savepoint()
    work = _work(compensation.handler, (tried, result), deeds, emission, occasion, trigger)
    answer = _concluded(deeds, (yield work))
    if isinstance(answer, Raised):
        ledger.undo()
        raise_failure(answer.error, reaction.name)
    ledger.release()
    effects.rows[key] = row._replace(state=State.COMPENSATED)
    effects.messages += deeds.told()
    return deed


def record_of(row: Row) -> choreography_pb2.ReactionRecord:
    """Reads what the fence remembers of a reaction that took effect."""
    record = choreography_pb2.ReactionRecord()
    participant_pb2.TryResponse.FromString(row.answer).succeeded.result.Unpack(record)
    return record


def rejection_of(row: Row) -> Rejected | None:
    """Reads the rejection that the fence remembers; None where the reaction was not rejected."""
    response = participant_pb2.TryResponse.FromString(row.answer)
    if not response.HasField("rejected"):
        return None
    rejected = response.rejected
    return Rejected(rejected.reason, rejected.message, dict(rejected.metadata))


def _work(
    handler: Handler,
    payloads: tuple[Any, ...],
    deeds: Deeds,
    emission: Emission,
    occasion: Occasion,
    trigger: Any,
) -> Work:
    context = partial(
        EventContext,
        saga_id=emission.saga_id,
        step=emission.step,
        attempt=occasion.attempt,
        trigger=trigger if occasion.reference else None,
        event_id=occasion.reference,
        emit=deeds.emit,
    )
    return Work(handler.is_async, lambda db: handler.function(*payloads, context(db=db)))


def _concluded(deeds: Deeds, answer: Answer) -> Answer:
    """Takes what a handler returned for an event; what is none counts as raised by the handler."""
    if isinstance(answer, Raised):
        return answer
    try:
        deeds.returned(answer.value)
    except Exception as error:  # of whatever kind: it is the handler's doing, and nobody else's
        return Raised(error)
    return answer


def _rejected(error: BaseException, step: str) -> Rejected:
    if not isinstance(error, Rejected):
        raise_failure(error, step)
    return error


def _rejection(rejected: Rejected, step: str) -> bytes:
    try:
        told = participant_pb2.Rejected(
            reason=rejected.reason, message=rejected.message, metadata=rejected.metadata
        )
    except UnicodeEncodeError as error:
        raise DeadError("EVENT_REFUSED", "the rejection holds a text that is no Unicode", step) from error
    return participant_pb2.TryResponse(rejected=told).SerializeToString()


def _failure(
    rejected: Rejected, reaction: Reaction[Any, Any], occasion: Occasion, emission: Emission
) -> list[Message]:
    """The event that tells of a rejection; none for an entry without one, whose caller is told."""
    if reaction.build_failure is None:
        if not occasion.reference:
            return []
        text = "the reaction rejects, but says by no fails_as which event tells of it"
        raise DeadError("REJECTION_UNDECLARED", text, reaction.name) from rejected
    deeds = Deeds(emission, Outcome.REJECTED, frozenset({reaction.fails_as}))
    try:
        deeds.emit(reaction.build_failure(rejected))
    except (UsageError, TypeError, ValueError) as error:
        text = f"the rejection does not fit into {reaction.fails_as}: {error}"
        raise DeadError("EVENT_REFUSED", text, reaction.name) from error
    return deeds.told()


def _succeeded(record: choreography_pb2.ReactionRecord) -> bytes:
    succeeded = participant_pb2.TryResponse.Succeeded(result=_payload.pack(record))
    return participant_pb2.TryResponse(succeeded=succeeded).SerializeToString()


def _decoded(decode: Callable[[Any], Any], payload: Any, step: str) -> Any:
    try:
        return decode(payload)
    except PayloadError as error:
        raise DeadError("UNDECODABLE", str(error), step) from error
