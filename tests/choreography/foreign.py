"""Events from somebody who is none of the services: late ones, repeated ones, and ones that are wrong."""

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from amends import _payload
from amends._bus.interface import Message
from amends._choreography.types import name_of_value
from amends.choreography import CloudEvent
from tests.choreography.shop import OrderPlaced, PaymentCharged, PaymentFailed

_ids = itertools.count(1)


def event(value: Any, saga: str, **attributes: Any) -> Message:
    """An event as it is on its way."""
    made = CloudEvent(
        id=str(next(_ids)),
        source="elsewhere",
        type=name_of_value(value),
        saga_id=saga,
        payload=_payload.pack(value),
        time=time.time(),
    )
    return replace(made, **attributes).to_message()


def placed(saga: str, *wishes: str, **attributes: Any) -> Message:
    """An order that inventory reserves stock for."""
    return event(OrderPlaced(list(wishes), "elsewhere"), saga, **attributes)


def charged(saga: str, *wishes: str) -> Message:
    """A payment that shipping ships for."""
    return event(PaymentCharged(list(wishes), "elsewhere"), saga)


def failed(saga: str, **attributes: Any) -> Message:
    """A failure that inventory releases stock for."""
    return event(PaymentFailed("NO"), saga, **attributes)


def poison(saga: str) -> Message:
    """An event whose payload cannot be read."""
    return replace(placed(saga), data=b"\xff\xff\xff")


def with_headers(message: Message, headers: Mapping[str, str | None]) -> Message:
    """The same with other headers; None leaves one out."""
    merged = {**message.headers, **headers}
    return replace(message, headers={name: text for name, text in merged.items() if text is not None})


def as_json(saga: str, name: str, value: Any) -> Message:
    """An event as a producer writes it that knows neither Amends nor protobuf."""
    number = str(next(_ids))
    return Message(
        id=number,
        key=saga,
        subject=name,
        headers={
            "ce-specversion": "1.0",
            "ce-id": number,
            "ce-source": "/elsewhere",
            "ce-type": name,
            "ce-correlationid": saga,
            "content-type": "application/json; charset=utf-8",
        },
        data=json.dumps(value).encode(),
    )
