"""Makes the events that a step emits, as messages that are ready for the outbox."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from amends import _payload
from amends._bus.interface import Message
from amends._choreography import tracing
from amends._choreography.cloudevent import CloudEvent, Outcome
from amends._choreography.types import name_of_value
from amends._ids import IdSource
from amends.errors import HandlerError, PayloadError

new_event_id: Final = IdSource()
"""Makes ids of events: UUIDv7, growing."""


class EventRefusedError(PayloadError):
    """An event that cannot leave; no retry can help."""


@dataclass(slots=True, kw_only=True)
class Emission:
    """Collects what one step emits."""

    service: str
    saga_id: str
    step: str
    cause: str
    """The event that led to it; empty for an entry."""
    max_bytes: int
    """The most that an event may take on its way."""

    def message(self, value: Any, outcome: Outcome, allowed: frozenset[str]) -> Message:
        """Makes an event of a value.

        Raises:
            HandlerError: its type is none of those that the step declares.
            PayloadError: it cannot be said in protobuf or JSON, or is too large.
        """
        name = name_of_value(value)
        if name not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            raise HandlerError(
                f"step {self.step!r} does not declare that it emits {name}; it declares: {known}"
            )
        return self._message(name, value, outcome)

    def system_message(self, value: Any, outcome: Outcome | None = None) -> Message:
        """Makes an event of one of our own messages."""
        return self._message(name_of_value(value), value, outcome)

    def _message(self, name: str, value: Any, outcome: Outcome | None) -> Message:
        with tracing.created(name, self.saga_id, self.step) as traceparent:
            event = CloudEvent(
                id=new_event_id(),
                source=self.service,
                type=name,
                saga_id=self.saga_id,
                payload=_payload.pack(value),
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
                "that the bus takes; send a reference to what is large"
            )
        return message


def size_of(message: Message) -> int:
    """The bytes that a message takes on a bus."""
    return len(message.data) + sum(len(name) + len(value) + 4 for name, value in message.headers.items())


Emit = Callable[[Any], None]
