"""Bytes that look like messages and are not, or are and should not be.

Everything comes from one `Random`, so a seed brings it all back. Half of what is made is damaged as bytes,
half is a message that any client could build, with values that none should send.
"""

import struct
from collections.abc import Sequence
from random import Random
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_F = FieldDescriptor

INTEGERS: Final = [0, 1, -1, 2**31 - 1, -(2**31), 17, 10**6]
LONG_INTEGERS: Final = [*INTEGERS, 2**63 - 1, -(2**63), 253_402_300_800, -62_135_596_801]
UNSIGNED: Final = [0, 1, 2**64 - 1, 2**63]
NUMBERS: Final = [0.0, -1.0, float("nan"), float("inf"), float("-inf"), 1e308, 5e-324]
TEXTS: Final = [
    *(
        "",
        "\0",
        "a\0b",
        "\n",
        "\x1b[2J",
        "\u2028",
        "ä" * 64,
        "🐌" * 200,
        "x" * 129,
        "x" * 5_000,
        "{}",
        "%s%n",
    ),
    *("'; DROP TABLE sagas; --", "../../etc/passwd", "\ufeffa", "type.googleapis.com/x", "-", "%s%n"),
    *("ledger", "do", "first"),  # which some participant, action and step are called
]
_JSON = "type.googleapis.com/google.protobuf."


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])


def field(number: int, data: bytes) -> bytes:
    """A field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def nested(depth: int, numbers: Sequence[int] = (6, 1)) -> bytes:
    """A message within a message; by default, the lists of a google.protobuf.Value."""
    data = b""
    for _ in range(depth):
        for number in reversed(numbers):
            data = field(number, data)
    return data


_DEPTHS: Final = {depth: nested(depth) for depth in (10, 60, 2_000)}


class Hostile:
    """Makes hostile bytes out of good messages of one type."""

    def __init__(self, random: Random, samples: Sequence[Message]) -> None:
        self._random = random
        self._samples = samples

    def make(self) -> bytes:
        """The bytes of one message."""
        if self._random.random() < 0.5:
            return self._disturbed()
        damage = self._random.choice(
            [
                self._noise,
                self._cut,
                self._flipped,
                self._spliced,
                self._foreign,
                self._twice,
                self._deep,
            ]
        )
        return damage()

    # Bytes

    def _good(self) -> bytes:
        return self._random.choice(self._samples).SerializeToString()

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randrange(200))

    def _cut(self) -> bytes:
        data = self._good()
        return data[: self._random.randrange(len(data) + 1)]

    def _flipped(self) -> bytes:
        data = bytearray(self._good())
        for _ in range(self._random.randint(1, 4)):
            if data:
                data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return bytes(data)

    def _spliced(self) -> bytes:
        one, other = self._good(), self._disturbed()
        return one[: self._random.randrange(len(one) + 1)] + other[self._random.randrange(len(other) + 1) :]

    def _foreign(self) -> bytes:
        number = self._random.choice([*range(1, 12), 15, 16, 999, 2**29 - 1])
        content = self._random.choice(
            [
                field(number, self._random.choice([b"", b"\xff\xfe", b"\xc0\x80", self._good()])),
                varint(number << 3) + self._random.choice([varint(2**64 - 1), b"\xff" * 10, varint(99)]),
                varint(number << 3 | 1) + struct.pack("<d", self._random.choice(NUMBERS)),
                varint(number << 3 | 2) + varint(2**40),  # says that it is longer than there is memory
                varint(number << 3 | 3),  # begins a group that never ends
            ]
        )
        return self._good() + content

    def _twice(self) -> bytes:
        """Fields that may be there once are there several times, and so are keys of maps."""
        return self._good() * self._random.randint(2, 20)

    def _deep(self) -> bytes:
        number = self._random.randrange(1, 8)
        value = _DEPTHS[self._random.choice(list(_DEPTHS))]
        kind = _JSON + self._random.choice(["Value", "ListValue", "Struct"])
        return self._good() + field(number, field(1, kind.encode()) + field(2, value))

    # Messages

    def _disturbed(self) -> bytes:
        """A message whose fields hold what no one would put there."""
        sample = self._random.choice(self._samples)
        message = type(sample)()
        message.CopyFrom(sample)
        for _ in range(self._random.randint(1, 3)):
            self._disturb(message)
        return message.SerializeToString()

    def _disturb(self, message: Message) -> None:
        """Puts a value into a field of the message, or of one that lies within it."""
        inside = message
        while inside.DESCRIPTOR.fields:
            chosen = self._random.choice(inside.DESCRIPTOR.fields)
            if chosen.message_type is None or chosen.message_type.GetOptions().map_entry:
                self._put(inside, chosen)
                return
            if not chosen.is_repeated:
                if self._random.random() < 0.1:
                    inside.ClearField(chosen.name)
                    return
                inside = getattr(inside, chosen.name)
                inside.SetInParent()
                continue
            items = getattr(inside, chosen.name)
            if not items or self._random.random() < 0.2:
                copies = self._random.choice([1, 1, 2, 2, 2, 1_001])
                items.extend([items[0] if items else items.add()] * copies)
                return
            inside = self._random.choice(items)

    def _put(self, message: Message, chosen: FieldDescriptor) -> None:
        value = getattr(message, chosen.name)
        if chosen.message_type is not None:  # a map
            self._put_entries(value, chosen.message_type.fields_by_name["value"])
        elif chosen.is_repeated:
            value.extend(self._value(chosen) for _ in range(self._random.choice([1, 2, 1_001])))
        else:
            setattr(message, chosen.name, self._value(chosen))

    def _put_entries(self, entries: Any, kind: FieldDescriptor) -> None:
        for number in range(self._random.choice([1, 2, 300])):
            key = self._random.choice([*TEXTS, f"key{number}"])
            if kind.message_type is None:
                entries[key] = self._random.choice(TEXTS)
            else:
                entries[key].type_url, entries[key].value = self._random.choice(TEXTS), self._noise()

    def _value(self, chosen: FieldDescriptor) -> Any:
        values: Sequence[Any] | None = _VALUES.get(chosen.type)
        if chosen.enum_type is not None and chosen.enum_type.is_closed:  # it takes no others
            values = list(chosen.enum_type.values_by_number)
        if values is None:
            return self._bytes()
        return self._random.choice(values)

    def _bytes(self) -> bytes:
        if self._random.random() < 0.02:
            return bytes(1_100_000)  # more than any payload may have
        return self._random.choice([self._noise(), _DEPTHS[60]])


_VALUES: Final[dict[int, Sequence[Any]]] = {
    _F.TYPE_STRING: TEXTS,
    _F.TYPE_INT32: INTEGERS,
    _F.TYPE_INT64: LONG_INTEGERS,
    _F.TYPE_UINT64: UNSIGNED,
    _F.TYPE_ENUM: [0, 1, 2, 3, 99, -1],
    _F.TYPE_BOOL: [True, False],
    _F.TYPE_DOUBLE: NUMBERS,
}
