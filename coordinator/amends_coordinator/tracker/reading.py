"""From what a bus carries to what the tracker thinks in: events and announcements are read only here."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import unquote

from google.protobuf.message import DecodeError

from amends._bus.interface import Message
from amends._choreography.cloudevent import CONTENT_TYPE, CloudEvent, MalformedEventError, read_message
from amends.v1 import choreography_pb2 as pb
from amends.v1 import saga_pb2
from amends_coordinator.tracker.graph import Graph, Reaction, StepKey
from amends_coordinator.tracker.observation import Letter, Observation, Outcome

log = logging.getLogger(__name__)

ID_MAX: Final = 256
"""Characters of a saga's id: twice what the coordinator gives out, since others make these up."""

TEXT_MAX: Final = 512
"""Characters kept of every other attribute of an event: names and references are shorter."""

MESSAGE_MAX: Final = 1_000
"""Characters kept of the words of a dead letter: enough to see what it is about. `amends dead-letters list`
shows them whole."""

DEAD_LETTER: Final = pb.DeadLetter.DESCRIPTOR.full_name
REPLAYED: Final = pb.DeadLetterReplayed.DESCRIPTOR.full_name
DISCARDED: Final = pb.DeadLetterDiscarded.DESCRIPTOR.full_name
OWN_PACKAGE: Final = "amends.v1."
"""What types of events begin with that nobody declares."""

_KINDS: Final = frozenset(saga_pb2.Step.Kind.values())
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}


def read_event(message: Message) -> tuple[str, Observation] | None:
    """Reads the saga that a message tells of, and what it tells; None if it is about no saga.

    Raises:
        MalformedEventError: it is no CloudEvent, or its saga has an id that cannot be shown.
    """
    # A payload that nobody can read is a matter between services; the attributes tell enough.
    attributes = {**message.headers, "content-type": CONTENT_TYPE}
    event = read_message(replace(message, headers=attributes))
    if not event.saga_id:
        return None
    if len(event.saga_id) > ID_MAX or not event.saga_id.isprintable():
        raise MalformedEventError(
            f"the saga's id must have at most {ID_MAX} characters, all of which can be printed"
        )
    return event.saga_id, Observation(
        reference=event.reference[:TEXT_MAX],
        type=event.type[:TEXT_MAX],
        source=event.source[:TEXT_MAX],
        time=event.time,
        step=event.step[:TEXT_MAX],
        outcome=_OUTCOMES.get(event.outcome),
        cause=event.cause[:TEXT_MAX],
        replay_of=event.replay_of[:TEXT_MAX],
        traceparent=event.traceparent[:TEXT_MAX],
        letter=_letter(event),
    )


def _letter(event: CloudEvent) -> Letter | None:
    try:
        if event.type == DEAD_LETTER:
            dead = pb.DeadLetter.FromString(event.payload.value)
            return Letter(
                consumer=dead.consumer[:TEXT_MAX],
                event_id=dead.event_id[:TEXT_MAX],
                event_type=unquote(dead.headers.get("ce-type", ""))[:TEXT_MAX] or dead.subject[:TEXT_MAX],
                step=dead.step[:TEXT_MAX],
                reason=dead.reason[:TEXT_MAX],
                message=dead.message[:MESSAGE_MAX],
                attempts=dead.attempts,
            )
        if event.type == REPLAYED:
            again = pb.DeadLetterReplayed.FromString(event.payload.value)
            return Letter(
                consumer=again.consumer[:TEXT_MAX], event_id=again.event_id[:TEXT_MAX], replayed=True
            )
        if event.type == DISCARDED:
            left = pb.DeadLetterDiscarded.FromString(event.payload.value)
            return Letter(
                consumer=left.consumer[:TEXT_MAX],
                event_id=left.event_id[:TEXT_MAX],
                message=left.reason[:MESSAGE_MAX],
                discarded=True,
            )
    except DecodeError:
        log.warning(
            "event %s says it is a %s, and cannot be decoded as one",
            event.reference[:TEXT_MAX],
            event.type,
            extra={"action": "malformed_event", "saga_id": event.saga_id},
        )
    return None


def read_graph(announced: Mapping[str, bytes]) -> Graph:
    """Reads what services have announced. One that cannot be read is left out, and our log says so."""
    reactions: list[Reaction] = []
    for service, description in announced.items():
        try:
            reactions += _reactions(service, pb.ServiceDescription.FromString(description))
        except DecodeError:
            log.warning(
                "the announcement of service %s cannot be decoded; its steps are shown only as they happen",
                service,
                extra={"action": "malformed_announcement"},
            )
    return Graph(reactions, announced)


def _reactions(service: str, description: pb.ServiceDescription) -> Iterable[Reaction]:
    for each in description.reactions:
        yield Reaction(
            key=StepKey(service, each.step),
            on=each.on,
            emits=tuple(each.emits),
            fails_as=each.fails_as,
            compensated_on=tuple(compensation.on for compensation in each.compensations),
            compensation_emits=tuple(
                event_type for compensation in each.compensations for event_type in compensation.emits
            ),
            effect_free=each.effect_free,
            kind=each.kind if each.kind in _KINDS else saga_pb2.Step.KIND_UNSPECIFIED,
        )
