"""Puts messages on the stream, those of one key one after another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final

from amends._bus.interface import BusUnavailableError, Message, MessageRefusedError, Receipt
from amends._bus.nats.address import Address
from amends._bus.nats.connection import Connection, Line
from amends._bus.nats.messages import headers_of, partition_of, subject_of, wire_size_of

_TOO_LARGE: Final = 10054


async def publish(
    connection: Connection, address: Address, messages: Sequence[Message]
) -> list[Receipt | Exception]:
    """Publishes messages; see Bus.publish.

    One that is not confirmed may be on the stream all the same. No later one of its key has been sent by
    then, so it can be published again, and is in its place either way.
    """
    results: list[Receipt | Exception] = [BusUnavailableError("not sent")] * len(messages)
    by_key: dict[str, list[int]] = {}
    for index, message in enumerate(messages):
        by_key.setdefault(message.key, []).append(index)

    async def publish_key(indices: list[int]) -> None:
        failed = False
        for index in indices:
            if failed:
                results[index] = BusUnavailableError("an earlier event of the same saga was not published")
                continue
            try:
                results[index] = await _publish_one(connection.line(), address, messages[index])
            except (MessageRefusedError, BusUnavailableError) as error:
                results[index] = error
                failed = True

    async with asyncio.TaskGroup() as group:
        for indices in by_key.values():
            group.create_task(publish_key(indices))
    return results


async def _publish_one(line: Line, address: Address, message: Message) -> Receipt:
    headers = headers_of(message)
    partition = partition_of(message.key, line.stream.partitions)
    subject = f"{address.prefix}.{partition}.{subject_of(message.subject)}"
    limit = max_bytes_of(line)
    if (size := wire_size_of(headers, message.data)) > limit:
        raise MessageRefusedError(f"the message takes {size} bytes, and {address} takes {limit} at most")
    answer = json.loads((await line.session.request(subject, message.data, headers)).data)
    if error := answer.get("error"):
        text = f"{address} does not take the message: {error.get('description', error)}"
        raise MessageRefusedError(text) if error.get("err_code") == _TOO_LARGE else BusUnavailableError(text)
    if answer["stream"] != address.stream:
        raise BusUnavailableError(f"{address}: the subject {subject} goes to the stream {answer['stream']}")
    return Receipt(
        stream=answer["stream"], sequence=int(answer["seq"]), duplicate=bool(answer.get("duplicate"))
    )


def max_bytes_of(line: Line) -> int:
    """The most that a message may take as the server counts it."""
    limit = line.stream.max_message_bytes
    return min(line.session.max_payload, limit) if limit > 0 else line.session.max_payload
