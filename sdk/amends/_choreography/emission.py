"""Makes the events that a step emits, as messages that are ready for the outbox."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import any_pb2
from google.protobuf.message import Message as ProtoMessage

from amends import _payload
from amends._bus.interface import Message
from amends._choreography import tracing
from amends._choreography.cloudevent import CloudEvent, Outcome
from amends._choreography.types import name_of_value
from amends._ids import IdSource
from amends.errors import HandlerError, PayloadError
from amends.v1 import choreography_pb2

new_event_id: Final = IdSource()
"""Makes ids of events: UUIDv7, growing."""


class EventRefusedError(PayloadError):
    """An event that cannot leave; no retry can help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """Says for one step on whose behalf it emits."""

    service: str
    saga_id: str
    step: str
    cause: str
    """The event that led to it; empty for an entry."""
    max_bytes: int
    """The most that an event may take on its way."""

    def message(self, name: str, payload: any_pb2.Any, outcome: Outcome | None = None) -> Message:
        """Makes an event. Raises EventRefusedError if it is too large."""
        with tracing.created(name, self.saga_id, self.step) as traceparent:
            event = CloudEvent(
                id=new_event_id(),
                source=self.service,
                type=name,
                saga_id=self.saga_id,
                payload=payload,
                time=time.time(),
                cause=self.cause,
                step=self.step,
                outcome="" if outcome is None else outcome.value,
                traceparent=traceparent,
            )
        message = event.to_message()
        size = size_of(message)
        if size > self.max_bytes:
            raise EventRefusedError(
                f"the event {name} takes {size} bytes with its headers, more than the {self.max_bytes} "
                "that there is room for; send a reference to what is large"
            )
        return message

    def system_message(self, value: ProtoMessage, outcome: Outcome | None = None) -> Message:
        """Makes an event of one of our own messages."""
        return self.message(value.DESCRIPTOR.full_name, _payload.pack(value), outcome)


class Deeds:
    """What the handler of one step emits, and how it ended."""

    __slots__ = ("_allowed", "_emission", "_messages", "_outcome", "payload", "type")

    def __init__(self, emission: Emission, outcome: Outcome, allowed: frozenset[str]) -> None:
        self._emission = emission
        self._outcome = outcome
        self._allowed = allowed
        self._messages: list[Message] = []
        self.type = ""
        """The type of the event that the handler returned; empty for none."""
        self.payload = any_pb2.Any()
        """That event."""

    def emit(self, value: Any) -> None:
        """Takes an event. Raises HandlerError for a type not declared, PayloadError if it cannot leave."""
        self._add(name_of_value(value), value)

    def returned(self, value: Any) -> None:
        """Takes what the handler returned, None included. Raises like `emit`."""
        if value is not None:
            self.type = name_of_value(value)
            self.payload = self._add(self.type, value)

    def told(self) -> list[Message]:
        """The messages that tell of the step's end: its events, or where it has none, just that."""
        return self._messages or [self._emission.system_message(choreography_pb2.StepEnded(), self._outcome)]

    def _add(self, name: str, value: Any) -> any_pb2.Any:
        if name not in self._allowed:
            known = ", ".join(sorted(self._allowed)) or "none"
            raise HandlerError(
                f"step {self._emission.step!r} does not declare that it emits {name}; it declares: {known}"
            )
        payload = _payload.pack(value)
        self._messages.append(self._emission.message(name, payload, self._outcome))
        return payload


def size_of(message: Message) -> int:
    """The bytes that a message takes on a bus."""
    return len(message.data) + sum(len(name) + len(value) + 4 for name, value in message.headers.items())
