"""What services say about themselves: who uses a name, and what they react to.

Both lie in a stream beside that of the events, which keeps the last word on every subject. A claim is written
only in place of the one that was read, so that of two who come at once one is refused; and whether it has run
out is told by the server's clock alone.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from amends._bus.interface import BusError, BusUnavailableError
from amends._bus.nats.address import Address
from amends._bus.nats.connection import Connection
from amends._bus.nats.messages import name_of, token
from amends._bus.nats.session import ApiError, Session
from amends._bus.nats.stream import NO_STREAM

_NO_MESSAGE: Final = 10037
_OTHER_SEQUENCE: Final = (10071, 10164)
_EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"


class Registry:
    """Claims and descriptions of services, by name.

    Args:
        connection: the way to the server.
        address: names the stream of the events.
    """

    def __init__(self, connection: Connection, address: Address) -> None:
        self._connection = connection
        self._address = address
        self._stream = f"{address.stream}-services"
        self._prefix = f"{address.prefix}-services"

    async def claim(self, service: str, owner: str, seconds: float) -> None:
        """See Bus.claim."""
        subject = f"{self._prefix}.claim.{token(service)}"
        session = await self._ready_session()
        last = await self._last(session, subject)
        sequence = 0
        if last:
            claim = json.loads(_data(last))
            sequence = int(last["seq"])
            if claim["owner"] != owner:
                left = claim["seconds"] - await self._age_of(session, last)
                if left > 0:
                    raise BusError(_taken(service, left))
        data = json.dumps({"owner": owner, "seconds": seconds}).encode()
        if not await self._put(session, subject, data, {_EXPECTED: str(sequence)}):
            # Somebody else, or this service in another process, has claimed it meanwhile.
            await self.claim(service, owner, seconds)

    async def announce(self, service: str, description: bytes) -> None:
        """See Bus.announce."""
        await self._put(
            await self._ready_session(), f"{self._prefix}.description.{token(service)}", description, None
        )

    async def announced(self) -> Mapping[str, bytes]:
        """See Bus.announced."""
        session = await self._ready_session()
        info = await self._api(
            session, f"STREAM.INFO.{self._stream}", {"subjects_filter": f"{self._prefix}.description.*"}
        )
        subjects = list(info["state"].get("subjects") or {})
        found = await asyncio.gather(*(self._last(session, subject) for subject in subjects))
        return {
            name_of(subject.rpartition(".")[2]): _data(message)
            for subject, message in zip(subjects, found, strict=True)
            if message
        }

    async def _ready_session(self) -> Session:
        """A session, and the stream there. Raises BusUnavailableError."""
        session = self._connection.line().session
        try:
            await session.api(f"STREAM.INFO.{self._stream}")
        except ApiError as error:
            if error.code != NO_STREAM:
                raise BusUnavailableError(f"{self._address}: {error}") from error
            await self._api(session, f"STREAM.CREATE.{self._stream}", self._config())
        return session

    def _config(self) -> dict[str, Any]:
        return {
            "name": self._stream,
            "description": "Services and what they react to; see docs/buses.md of Amends",
            "subjects": [f"{self._prefix}.>"],
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "max_msgs_per_subject": 1,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": 0,
            "max_consumers": -1,
            "num_replicas": 1,
        }

    async def _last(self, session: Session, subject: str) -> dict[str, Any] | None:
        try:
            answer = await session.api(f"STREAM.MSG.GET.{self._stream}", {"last_by_subj": subject})
        except ApiError as error:
            if error.code == _NO_MESSAGE:
                return None
            raise BusUnavailableError(f"{self._address}: {error}") from error
        message: dict[str, Any] = answer["message"]
        return message

    async def _age_of(self, session: Session, message: Mapping[str, Any]) -> float:
        """How long ago a message was written, by the server's clock."""
        info = await self._api(session, f"STREAM.INFO.{self._stream}")
        return (_moment(info["ts"]) - _moment(message["time"])).total_seconds()

    async def _put(self, session: Session, subject: str, data: bytes, headers: dict[str, str] | None) -> bool:
        """Writes the last word on a subject; tells whether what it was to replace was still there."""
        answer = json.loads((await session.request(subject, data, headers)).data)
        if error := answer.get("error"):
            if error.get("err_code") in _OTHER_SEQUENCE:
                return False
            raise BusUnavailableError(f"{self._address}: {error.get('description', error)}")
        return True

    async def _api(
        self, session: Session, call: str, request: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            return await session.api(call, request)
        except ApiError as error:
            raise BusUnavailableError(f"{self._address}: {error}") from error


def _taken(service: str, left: float) -> str:
    return (
        f"the name {service!r} is used by a service with another store: two that share a name would take "
        f"each other's events. Give one of them another name; if the other store is gone, wait {left:.0f} s"
    )


def _data(message: Mapping[str, Any]) -> bytes:
    return base64.b64decode(message.get("data", ""))


def _moment(text: str) -> datetime:
    """Reads a time with nanoseconds, of which microseconds are kept."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6].ljust(6, '0')}+00:00")
