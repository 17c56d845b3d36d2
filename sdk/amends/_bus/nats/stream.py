"""The stream that holds the events: how it has to be, and what to do where it is otherwise."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from amends._bus.interface import BusError, BusUnavailableError
from amends._bus.nats.address import Address
from amends._bus.nats.session import ApiError, Session

_log = logging.getLogger("amends.bus")

RETENTION_S: Final = 7 * 24 * 3600.0
"""How long an event is kept: a service may be away over a long weekend."""

PARTITIONS: Final = 16
"""So many events of a service are on their way at a time. With four times as many it could wait longer for
each, and the server would need twice the processor time, since each consumer keeps its state on disk."""

PARTITIONS_MAX: Final = 1024
"""More would be as many consumers for each service, each of which costs the server some 20 kB."""

_DUPLICATE_WINDOW_S: Final = 120
_NANOSECONDS: Final = 1_000_000_000
_PARTITIONS_KEY: Final = "amends-partitions"
_ANY_SIZE: Final = (-1, 0)

NO_STREAM: Final = 10059
NAME_TAKEN: Final = 10058


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What there is to know of a stream that can be used."""

    partitions: int
    """How many partitions it has, for as long as it exists."""
    max_message_bytes: int
    """The most that it takes as headers and data of one message; -1 leaves that to the server."""


async def ensured_stream(session: Session, address: Address) -> Stream:
    """Makes the stream if there is none, and checks it.

    Raises:
        BusError: it is not as it has to be; the message says what to change.
        BusUnavailableError: the server does not answer, or cannot make it at the moment.
    """
    try:
        info = await _found_or_made(session, address)
    except ApiError as error:
        raise BusUnavailableError(f"{address}: the stream cannot be had: {error}") from error
    config = info["config"]
    if faults := faults_of(config, address):
        raise BusError(f"{address}: the stream cannot be used. " + " ".join(faults))
    return Stream(
        partitions=int(config["metadata"][_PARTITIONS_KEY]),
        max_message_bytes=int(config.get("max_msg_size", -1)),
    )


async def _found_or_made(session: Session, address: Address) -> dict[str, Any]:
    try:
        return await session.api(f"STREAM.INFO.{address.stream}")
    except ApiError as error:
        if error.code != NO_STREAM:
            raise
    try:
        made = await session.api(f"STREAM.CREATE.{address.stream}", config_of(address))
    except ApiError as error:
        # Somebody else has made it meanwhile, of another version, or with another setting.
        if error.code != NAME_TAKEN:
            raise
        return await session.api(f"STREAM.INFO.{address.stream}")
    _log.info("%s: made the stream", address)
    return made


def config_of(address: Address) -> dict[str, Any]:
    """The stream as it is made."""
    return {
        "name": address.stream,
        "description": "Events of sagas; see docs/buses.md of Amends",
        "subjects": [f"{address.prefix}.>"],
        "retention": "limits",
        "storage": "file",
        # Should it ever be given a size, what is new is refused and stays in the outboxes; the alternative
        # would drop what was accepted and not yet delivered.
        "discard": "new",
        "max_age": int(RETENTION_S * _NANOSECONDS),
        "max_msgs": -1,
        "max_bytes": -1,
        "max_msg_size": -1,
        "max_msgs_per_subject": -1,
        "max_consumers": -1,
        "num_replicas": 1,
        "duplicate_window": _DUPLICATE_WINDOW_S * _NANOSECONDS,
        "metadata": {_PARTITIONS_KEY: str(PARTITIONS)},
    }


def faults_of(config: Mapping[str, Any], address: Address) -> list[str]:
    """What would lose something, or cannot work, each with what to do about it."""
    edit = f"nats stream edit {address.stream}"
    remove = f"nats stream rm {address.stream}"
    faults = []
    if config["retention"] != "limits":
        faults.append(
            f"Its retention policy is {config['retention']!r}, with which events are dropped before services "
            f"that come later, or again, have seen them; it must be 'limits', which takes a new stream: "
            f"`{remove}`, and it is made anew."
        )
    if config["storage"] != "file":
        faults.append(
            f"It is stored in {config['storage']!r}, which a restart of the server empties; it must be "
            f"'file', which takes a new stream: `{remove}`, and it is made anew."
        )
    if config.get("mirror") or config.get("sources"):
        faults.append(f"It is fed by other streams, whose order is not that of its keys: `{remove}`.")
    if config.get("no_ack"):
        faults.append(f"It confirms nothing that is published: `{edit} --ack`.")
    if config.get("sealed"):
        faults.append(f"It is sealed, and takes no events: `{remove}`, and it is made anew.")
    if config["discard"] != "new":
        faults.append(
            "It discards what is old when it is full, even if that is not delivered yet: "
            f"`{edit} --discard new`."
        )
    if config.get("max_msgs_per_subject", -1) not in _ANY_SIZE:
        faults.append(f"It keeps only some events of a subject: `{edit} --max-msgs-per-subject=-1`.")
    if config["max_age"] != int(RETENTION_S * _NANOSECONDS):
        faults.append(
            f"It keeps events for {config['max_age'] / _NANOSECONDS:g} s, and inboxes remember them for as "
            f"long as {RETENTION_S:g} s asks for: `{edit} --max-age {RETENTION_S / 3600:g}h`."
        )
    if config.get("max_consumers", -1) not in _ANY_SIZE:
        faults.append(
            f"It allows {config['max_consumers']} consumers, and every service takes one for each partition; "
            f"only a new stream can allow more: `{remove}`, and it is made anew."
        )
    subject = f"{address.prefix}.>"
    if config.get("subjects") != [subject] or config.get("subject_transform"):
        faults.append(
            f"It holds the subjects {', '.join(config.get('subjects') or ['(none)'])}, where events are "
            f"published under {subject}, as they are: `{edit} --subjects '{subject}' --no-transform`."
        )
    if not _is_count(config.get("metadata", {}).get(_PARTITIONS_KEY, "")):
        faults.append(
            f"Its metadata do not say how many partitions it has, from 1 to {PARTITIONS_MAX}: "
            f"`{edit} --metadata {_PARTITIONS_KEY}={PARTITIONS}`, once, before anything is published."
        )
    return faults


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= PARTITIONS_MAX
