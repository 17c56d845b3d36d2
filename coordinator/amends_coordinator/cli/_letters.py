"""Dead letters on a bus: which there are, and sending one again."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from google.protobuf import any_pb2
from google.protobuf.message import DecodeError

from amends._bus.interface import Bus, Message
from amends._choreography.cloudevent import CloudEvent, MalformedEventError, read_message, saga_id_of
from amends._ids import new_saga_id
from amends.v1 import choreography_pb2 as pb

OPERATOR: Final = "amends"
"""The source of what an operator has said."""

_DEAD: Final = pb.DeadLetter.DESCRIPTOR.full_name
_REPLAYED: Final = pb.DeadLetterReplayed.DESCRIPTOR.full_name


@dataclass(slots=True, kw_only=True)
class Found:
    """A dead letter on a bus."""

    letter: pb.DeadLetter
    saga_id: str
    """Empty for an event of no saga."""
    replayed: bool = False
    """Whether it was sent again."""

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
        except DecodeError:
            continue  # no service of ours has written it, and nothing can be done about it here
    return [
        each
        for each in found.values()
        if saga_id in ("", each.saga_id) and consumer in ("", each.letter.consumer)
    ]


async def send_again(bus: Bus, found: Found) -> str:
    """Publishes the event of a dead letter under a new id, and a note of that; returns the new reference.

    The header ``ce-replayof`` says for which consumer: all others have dealt with it.

    Raises:
        BusUnavailableError: the bus is away.
        MessageRefusedError: the bus does not take it.
    """
    letter, new_id = found.letter, new_saga_id()
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
    for result in await bus.publish([again, _note(found, again.id)]):
        if isinstance(result, Exception):
            raise result
    return again.id


def _note(found: Found, replay_id: str) -> Message:
    note = pb.DeadLetterReplayed(
        consumer=found.letter.consumer, event_id=found.letter.event_id, replay_id=replay_id
    )
    payload = any_pb2.Any()
    payload.Pack(note)
    return CloudEvent(
        id=new_saga_id(),
        source=OPERATOR,
        type=_REPLAYED,
        saga_id=found.saga_id,
        payload=payload,
        time=time.time(),
        cause=replay_id,
    ).to_message()
