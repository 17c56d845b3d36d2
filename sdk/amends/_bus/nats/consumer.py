"""The durable consumers of a service, one for each partition of the stream."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final

from amends._bus.interface import BusError, BusUnavailableError
from amends._bus.nats.address import Address
from amends._bus.nats.connection import Line
from amends._bus.nats.messages import subject_of, token
from amends._bus.nats.session import ApiError, Session

ACK_WAIT_S: Final = 10.0
"""After how long a message comes again that nobody has settled, nor kept: its process is gone, or hangs. All
else in its partition waits as long: it is what a killed process costs. One that hangs costs a duplicate."""

_NANOSECONDS: Final = 1_000_000_000
_NAME_LENGTH_MAX: Final = 200
"""Servers make a folder of a consumer's name, and few file systems take more than 255 bytes."""

_AT_ONCE: Final = 16
"""How many consumers are made at a time: enough to keep the server busy, and no timeout for the last."""

_NO_CONSUMER: Final = 10014
_CONSUMER_EXISTS: Final = (10013, 10105, 10148)


class Consumers:
    """A service's consumers on a stream.

    Args:
        address: names the stream.
        service: the name that its processes share.
        subjects: what it is to receive.

    Attributes:
        are_there: set once all of them have been made.

    Raises:
        BusError: the name is too long.
    """

    def __init__(self, address: Address, service: str, subjects: Collection[str]) -> None:
        self._address = address
        self._service = service
        self._subjects = {subject_of(subject) for subject in subjects}
        self._others: set[str] = set()
        self._is_alone = False
        self._start: int | None = None
        self.are_there = asyncio.Event()
        if len(token(service)) > _NAME_LENGTH_MAX:
            raise BusError(f"the name {service!r} is too long for a consumer of NATS: shorten it")

    @property
    def stream(self) -> str:
        """The stream they are of."""
        return self._address.stream

    def name(self, partition: int) -> str:
        """The consumer of a partition."""
        return f"{token(self._service)}-{partition}"

    async def ensure(self, line: Line) -> None:
        """Makes those that are missing, and has all of them send what the service wants.

        All begin at the same place, which is the end of the stream when the first of them was made. That one
        is asked for the place ever after, so nothing is left out if making them is interrupted.

        What they were sending is sent on, unless `forgo_others` was called: another version of the service
        may run beside this one, and what is not sent meanwhile is lost to it.

        Raises:
            BusError: one cannot be had as it has to be.
            BusUnavailableError: the server does not answer, or not now.
        """
        start = await self._start_of(line.session)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def ensure_one(partition: int) -> None:
            async with gate:
                await self._ensure_one(line.session, partition, start)

        try:
            async with asyncio.TaskGroup() as group:
                for partition in range(line.stream.partitions):
                    group.create_task(ensure_one(partition))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        self.are_there.set()

    def forgo_others(self) -> None:
        """Has nothing sent from the next `ensure` on but what this version of the service wants."""
        self._is_alone = True

    async def _start_of(self, session: Session) -> int:
        try:
            return await self._found_start(session) or await self._made_start(session)
        except ApiError as error:
            raise self._translated(0, error) from error

    async def _found_start(self, session: Session) -> int | None:
        """Where the first consumer begins; None if there is none."""
        try:
            info = await session.api(f"CONSUMER.INFO.{self._address.stream}.{self.name(0)}")
        except ApiError as error:
            if error.code != _NO_CONSUMER:
                raise
            return None
        config = info["config"]
        prefix = f"{self._address.prefix}.0."
        filters = config.get("filter_subjects") or [config.get("filter_subject", "")]
        self._others = {text.removeprefix(prefix) for text in filters if text.startswith(prefix)}
        self._start = int(config.get("opt_start_seq", 1))
        return self._start

    async def _made_start(self, session: Session) -> int:
        # This process remembers it if the consumer was deleted meanwhile. If the whole stream was, everything
        # in the new one has come later.
        info = await session.api(f"STREAM.INFO.{self._address.stream}")
        end = int(info["state"]["last_seq"]) + 1
        start = end if self._start is None else 1 if self._start > end else self._start
        try:
            await self._create(session, 0, start, only_new=True)
        except ApiError as error:
            if error.code not in _CONSUMER_EXISTS:
                raise
            # Another process of the service was faster.
            found = await self._found_start(session)
            if found is None:
                raise
            return found
        self._start = start
        return start

    async def _ensure_one(self, session: Session, partition: int, start: int) -> None:
        try:
            await self._create(session, partition, start)
        except ApiError as error:
            if not error.lacks_files:
                raise self._translated(partition, error) from error
            await self._replace(session, partition, start)

    async def _replace(self, session: Session, partition: int, start: int) -> None:
        """Makes a consumer in the place of one that was deleted while another process made it.

        The server then knows a consumer whose files are gone, and can do nothing with it but delete it. How
        far it had come is forgotten, as with any that was deleted.
        """
        try:
            with suppress(ApiError):  # another process may be faster
                await session.api(f"CONSUMER.DELETE.{self._address.stream}.{self.name(partition)}")
            await self._create(session, partition, start)
        except ApiError as error:
            raise self._translated(partition, error) from error

    async def _create(self, session: Session, partition: int, start: int, *, only_new: bool = False) -> None:
        name = self.name(partition)
        subjects = self._subjects if self._is_alone else self._subjects | self._others
        request: dict[str, Any] = {
            "stream_name": self._address.stream,
            "config": {
                "durable_name": name,
                "name": name,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": start,
                "ack_policy": "explicit",
                "ack_wait": int(ACK_WAIT_S * _NANOSECONDS),
                "max_deliver": -1,
                # Invariant: one message of a partition is on its way at a time, so that what is delivered
                # again is in its place.
                "max_ack_pending": 1,
                "filter_subjects": [
                    f"{self._address.prefix}.{partition}.{subject}" for subject in sorted(subjects)
                ],
            },
        }
        if only_new:
            request["action"] = "create"
        await session.api(f"CONSUMER.CREATE.{self._address.stream}.{name}", request)

    def _translated(self, partition: int, error: ApiError) -> BusError | BusUnavailableError:
        name = self.name(partition)
        if error.is_lasting:
            return BusError(
                f"{self._address}: the consumer {name} cannot be had as it has to be: {error}. If nobody "
                f"else uses it, `nats consumer rm {self._address.stream} {name}`, and it is made anew"
            )
        return BusUnavailableError(f"{self._address}: the consumer {name} cannot be had: {error}")
