"""Between messages and what JetStream carries: subjects, headers, sizes."""

from __future__ import annotations

import zlib
from typing import Final
from urllib.parse import quote, unquote

from nats.aio.msg import Msg

from amends._bus.interface import Message, MessageRefusedError

ROOM_BYTES: Final = 8 * 1024
"""What is left for our own headers and for the form of all: an id and a key of the longest kind, in a script
of which every letter takes twelve bytes, and four bytes for each header there is."""

_ID: Final = "Nats-Msg-Id"
_KEY: Final = "amends-key"
_OURS: Final = (_ID.lower(), _KEY)
_SERVERS: Final = "nats-"
"""What the names of headers begin with that the server gives a meaning to, or adds."""

# Printable ASCII but for the space and the percent sign; in a subject, also not what has a meaning there.
_KEPT: Final = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}~"
_KEPT_IN_SUBJECT: Final = "!\"#$&'()+,/:;<=?@[\\]^`{|}~"


def partition_of(key: str, partitions: int) -> int:
    """The partition that a key belongs to, the same in every language that has a CRC-32."""
    return zlib.crc32(key.encode()) % partitions


def token(name: str) -> str:
    """Writes a name so that it can be one part of a subject, or the name of a consumer."""
    return quote(name, safe="").replace(".", "%2E")


def name_of(text: str) -> str:
    """Reads what `token` wrote."""
    return unquote(text)


def subject_of(subject: str) -> str:
    """Writes a message's subject as parts of one of JetStream's.

    Raises:
        MessageRefusedError: one of its parts is empty.
    """
    if not all(subject.split(".")):
        raise MessageRefusedError(
            f"the subject {subject!r} has an empty part, which no NATS subject may have"
        )
    return quote(subject, safe=_KEPT_IN_SUBJECT)


def headers_of(message: Message) -> dict[str, str]:
    """A message's headers, and its id and its key among them."""
    return {**message.headers, _ID: quote(message.id, safe=_KEPT), _KEY: quote(message.key, safe=_KEPT)}


def wire_size_of(headers: dict[str, str], data: bytes) -> int:
    """How many bytes headers and data take as the server counts them: with all that belongs to the form."""
    return (
        len("NATS/1.0\r\n\r\n")
        + sum(len(f"{name}: {value}\r\n") for name, value in headers.items())
        + len(data)
    )


def read_message(received: Msg, sequence: int) -> Message:
    """Makes a message of what a consumer sent. One that others published may lack id and key."""
    headers = {name.lower(): value for name, value in (received.headers or {}).items()}
    return Message(
        id=unquote(headers.get(_ID.lower(), str(sequence))),
        key=unquote(headers.get(_KEY, "")),
        subject=unquote(received.subject.split(".", 2)[-1]),
        headers={
            name: value
            for name, value in headers.items()
            if name not in _OURS and not name.startswith(_SERVERS)
        },
        data=received.data,
    )
