"""Dead letters on a bus: which there are, and what can be done about one."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, unquote

from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from amends import _payload
from amends._bus.interface import Bus, Message
from amends._choreography.cloudevent import CloudEvent, MalformedEventError, read_message, saga_id_of
from amends._ids import new_saga_id
from amends.v1 import choreography_pb2 as pb

OPERATOR: Final = "amends"
"""The source of what an operator has said."""

_DEAD: Final = pb.DeadLetter.DESCRIPTOR.full_name
_REPLAYED: Final = pb.DeadLetterReplayed.DESCRIPTOR.full_name
_DISCARDED: Final = pb.DeadLetterDiscarded.DESCRIPTOR.full_name


@dataclass(slots=True, kw_only=True)
class Found:
    """A dead letter on a bus."""

    letter: pb.DeadLetter
    saga_id: str
    """Empty for an event of no saga."""
    replayed: bool = False
    """Whether it was sent again."""
    discarded: str = ""
    """Why nobody is to deal with it any more; empty while somebody is."""

    @property
    def is_open(self) -> bool:
        """Whether nothing has been done about it yet."""
        return not self.replayed and not self.discarded

    @property
    def has_event(self) -> bool:
        """Whether there was room for the event in it."""
        return bool(self.letter.headers or self.letter.data)

    @property
    def event_type(self) -> str:
        """The type of the event; the subject, for one that says of none."""
        return unquote(self.letter.headers.get("ce-type", "")) or self.letter.subject

    @property
    def payload(self) -> any_pb2.Any:
        """The payload of the event, as bytes where it cannot be read."""
        try:
            return read_message(self.message).payload
        except MalformedEventError:
            return any_pb2.Any(value=self.letter.data)

    @property
    def message(self) -> Message:
        """The event as the bus carried it."""
        letter = self.letter
        return Message(
            id=letter.event_id,
            key=saga_id_of(letter.headers),
            subject=letter.subject,
            headers=dict(letter.headers),
            data=letter.data,
        )


async def find(messages: AsyncIterator[Message], *, saga_id: str, consumer: str, whole: bool) -> list[Found]:
    """Finds the dead letters of a saga, of a consumer, or all where these are empty; the oldest first.

    Without `whole` their payloads are left out, for there may be many.
    """
    found: dict[tuple[str, str], Found] = {}
    async for message in messages:
        kind = message.headers.get("ce-type")
        try:
            if kind == _DEAD:
                letter = pb.DeadLetter.FromString(message.data)
                if not whole:
                    letter.ClearField("data")
                key = letter.consumer, letter.event_id
                found[key] = Found(letter=letter, saga_id=saga_id_of(message.headers))
            elif kind == _REPLAYED:
                note = pb.DeadLetterReplayed.FromString(message.data)
                if (known := found.get((note.consumer, note.event_id))) is not None:
                    known.replayed = True
            elif kind == _DISCARDED:
                said = pb.DeadLetterDiscarded.FromString(message.data)
                if (known := found.get((said.consumer, said.event_id))) is not None:
                    known.discarded = said.reason
        except DecodeError:
            continue  # no service of ours has written it, and nothing can be done about it here
    return [
        each
        for each in found.values()
        if saga_id in ("", each.saga_id) and consumer in ("", each.letter.consumer)
    ]


async def send_again(bus: Bus, found: Found) -> str:
    """Publishes the event of a dead letter under a new id, and a note of that; returns the new reference.

    The header ``ce-replayof`` says for which consumer: all others have dealt with it. Of a letter without its
    event only the note is published, for the consumer to try its own copy again; returns an empty text.

    Raises:
        BusUnavailableError: the bus is away.
        MessageRefusedError: the bus does not take it.
    """
    letter, new_id = found.letter, new_saga_id()
    if not found.has_event:
        note = pb.DeadLetterReplayed(consumer=letter.consumer, event_id=letter.event_id)
        await _publish(bus, [_told_to_consumer(found, note)])
        return ""
    source = unquote(letter.headers.get("ce-source", "")) or OPERATOR
    original = found.message
    again = Message(
        id=f"{source}/{new_id}",
        key=original.key,
        subject=original.subject,
        headers={
            **original.headers,
            "ce-id": new_id,
            "ce-source": quote(source),
            "ce-replayof": quote(f"{letter.consumer}/{letter.event_id}"),
        },
        data=original.data,
    )
    note = pb.DeadLetterReplayed(consumer=letter.consumer, event_id=letter.event_id, replay_id=again.id)
    await _publish(bus, [again, _told(found, note, cause=again.id)])
    return again.id


async def discard(bus: Bus, found: Found, reason: str) -> None:
    """Has nobody deal with the event of a dead letter any more. Raises like `send_again`."""
    letter = found.letter
    said = pb.DeadLetterDiscarded(consumer=letter.consumer, event_id=letter.event_id, reason=reason)
    await _publish(bus, [_told_to_consumer(found, said)])


async def _publish(bus: Bus, messages: Sequence[Message]) -> None:
    for result in await bus.publish(messages):
        if isinstance(result, Exception):
            raise result


def _told_to_consumer(found: Found, said: ProtoMessage) -> Message:
    """What an operator says, where the consumer of the event listens."""
    return replace(_told(found, said, cause=found.letter.event_id), subject=found.letter.subject)


def _told(found: Found, said: ProtoMessage, *, cause: str) -> Message:
    return CloudEvent(
        id=new_saga_id(),
        source=OPERATOR,
        type=said.DESCRIPTOR.full_name,
        saga_id=found.saga_id,
        payload=_payload.pack(said),
        time=time.time(),
        cause=cause,
    ).to_message()
