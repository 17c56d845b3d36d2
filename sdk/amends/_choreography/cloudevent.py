"""An event on its way: CloudEvents 1.0 in binary mode, https://github.com/cloudevents/spec.

The attributes travel as headers with the prefix ``ce-``, percent-encoded as the HTTP binding has it
(3.1.3.2), and the payload as it is. Saga and cause are the extensions ``correlationid`` and ``causationid``.

Three extensions are our own. With them a reader who knows no payload can tell how far a saga is:
``sagastep`` names the step whose end the event tells, ``sagaoutcome`` how that step ended, and ``replayof``
the dead letter that the event repeats.
"""

from __future__ import annotations

import enum
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote

from google.protobuf import any_pb2, json_format, struct_pb2

from amends._bus.interface import Message
from amends._choreography.saga_id import SAGA_ID_LENGTH_MAX
from amends._choreography.types import family_of

CONTENT_TYPE: Final = "application/protobuf"
_JSON_TYPES: Final = ("application/json", "text/json")
_TYPE_URL: Final = "type.googleapis.com/"

REFERENCE_LENGTH_MAX: Final = 1024
"""Characters of source and id together with the slash, as they are encoded: every event that follows repeats
them as its cause, and a dead letter twice, within the room that it has."""

# Printable ASCII but for the space, the double quote and the percent sign.
_PLAIN: Final = re.compile(r"[!#$&-~]*")
_KEPT: Final = "!#$&'()*+,/:;<=>?@[\\]^`{|}~"


class Outcome(enum.StrEnum):
    """How a step ended, as far as the world is told."""

    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    COMPENSATED = "compensated"
    BURIED = "buried"
    """It was to be compensated before it was tried, and never will be."""


class MalformedEventError(Exception):
    """What came is no CloudEvent that a service could react to; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One event. Unset text is empty."""

    id: str
    """Identifies it within its source, for ever."""
    source: str
    """The service that it comes from."""
    type: str
    """The full name of its type, such as "shop.v1.OrderPlaced"."""
    saga_id: str
    """The saga it belongs to."""
    payload: any_pb2.Any
    """The event itself."""
    time: float
    """When it was put into the outbox, in seconds since 1970."""
    cause: str = ""
    """The event that led to it, as source and id with a slash between."""
    step: str = ""
    """The step whose end it tells."""
    outcome: str = ""
    """How that step ended, one of Outcome."""
    replay_of: str = ""
    """The dead letter that it repeats, as consumer, source and id with slashes between."""
    traceparent: str = ""
    """The W3C trace context in which it was created."""

    @property
    def reference(self) -> str:
        """What other events and inboxes know it by: its source and its id."""
        return f"{self.source}/{self.id}"

    def to_message(self) -> Message:
        """Makes what a bus carries."""
        return Message(
            id=self.reference,
            key=self.saga_id,
            subject=family_of(self.type),
            headers=dict(self._headers()),
            data=self.payload.value,
        )

    def _headers(self) -> list[tuple[str, str]]:
        attributes = (
            ("specversion", "1.0"),
            ("id", self.id),
            ("source", self.source),
            ("type", self.type),
            ("time", datetime.fromtimestamp(self.time, UTC).isoformat().replace("+00:00", "Z")),
            ("dataschema", f"https://{self.payload.type_url}" if self.payload.type_url else ""),
            ("correlationid", self.saga_id),
            ("causationid", self.cause),
            ("sagastep", self.step),
            ("sagaoutcome", self.outcome),
            ("replayof", self.replay_of),
        )
        headers = [(f"ce-{name}", _encoded(value)) for name, value in attributes if value]
        headers.append(("content-type", CONTENT_TYPE))
        if self.traceparent:
            headers.append(("traceparent", self.traceparent))
        return headers


def read_message(message: Message) -> CloudEvent:
    """Reads an event from what a bus has carried.

    Raises:
        MalformedEventError: a required attribute is missing, or the payload is in no form that we know.
    """
    headers = message.headers
    for name in ("id", "source", "type"):
        if not headers.get(f"ce-{name}"):
            raise MalformedEventError(f"the header ce-{name} is missing, which every CloudEvent has")
    length = len(_encoded(_reference(headers))) - 1
    if length >= REFERENCE_LENGTH_MAX:
        raise MalformedEventError(
            f"the headers ce-source and ce-id have {length} characters; together they may have "
            f"{REFERENCE_LENGTH_MAX - 1}"
        )

    def attribute(name: str) -> str:
        return unquote(headers.get(f"ce-{name}", ""))

    return CloudEvent(
        id=attribute("id"),
        source=attribute("source"),
        type=attribute("type"),
        saga_id=attribute("correlationid"),
        payload=_payload(message, attribute("type"), attribute("dataschema")),
        time=_moment(attribute("time")),
        cause=attribute("causationid"),
        step=attribute("sagastep"),
        outcome=attribute("sagaoutcome"),
        replay_of=attribute("replayof"),
        traceparent=headers.get("traceparent", ""),
    )


def reference_of(message: Message) -> str:
    """What a message is known by that may be no CloudEvent: its source and id, or what the bus calls it.

    One that is longer than that of any event we read is cut, and told from others by its digest.
    """
    reference = _reference(message.headers) or message.id
    if len(_encoded(reference)) <= REFERENCE_LENGTH_MAX:
        return reference
    return f"{reference[:64]}/{hashlib.sha256(reference.encode()).hexdigest()}"


def _reference(headers: Mapping[str, str]) -> str:
    """Source and id, however long; empty where one of them is missing."""
    source, event_id = (unquote(headers.get(f"ce-{name}", "")) for name in ("source", "id"))
    return f"{source}/{event_id}" if source and event_id else ""


def saga_id_of(headers: Mapping[str, str]) -> str:
    """The saga that headers tell of; empty where they do not. One that is too long is cut, and stays so."""
    return unquote(headers.get("ce-correlationid", ""))[: SAGA_ID_LENGTH_MAX + 1]


def replay_of(headers: Mapping[str, str]) -> str:
    """The dead letter that headers say is repeated, as consumer, source and id; empty where they do not."""
    return unquote(headers.get("ce-replayof", ""))


def _encoded(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else quote(value, safe=_KEPT)


def _payload(message: Message, event_type: str, schema: str) -> any_pb2.Any:
    kind = message.headers.get("content-type", CONTENT_TYPE).partition(";")[0].strip().lower()
    if kind in _JSON_TYPES:
        value = struct_pb2.Value()
        try:
            json_format.Parse(message.data, value)
        except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedEventError(f"the payload says it is {kind}, and cannot be parsed") from error
        inner = value.struct_value if value.HasField("struct_value") else value
        return any_pb2.Any(
            type_url=_TYPE_URL + inner.DESCRIPTOR.full_name, value=inner.SerializeToString(deterministic=True)
        )
    if kind not in (CONTENT_TYPE, "application/x-protobuf"):
        raise MalformedEventError(f"the payload is {kind}; it must be {CONTENT_TYPE} or application/json")
    name = schema.rpartition("/")[2] or event_type
    return any_pb2.Any(type_url=_TYPE_URL + name, value=message.data)


def _moment(text: str) -> float:
    """Reads a time; now, where there is none that can be read: it is for people only."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return time.time()
