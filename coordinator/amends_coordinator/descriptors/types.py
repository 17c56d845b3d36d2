"""The messages and methods that a definition can speak of."""

from typing import Any

from google.protobuf import (
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    json_format,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor, EnumDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message

from amends._linking import UnusableDescriptorsError, linked
from amends_coordinator.contract.recent import Recent
from amends_coordinator.core.values import Payload
from amends_coordinator.descriptors.lacking import without_missing

JSON_TYPE = struct_pb2.Struct.DESCRIPTOR.full_name

EMPTY_TYPE = empty_pb2.Empty.DESCRIPTOR.full_name

_NO_OBJECTS = frozenset(
    kind.full_name
    for kind in (
        *wrappers_pb2.DESCRIPTOR.message_types_by_name.values(),
        duration_pb2.Duration.DESCRIPTOR,
        field_mask_pb2.FieldMask.DESCRIPTOR,
        struct_pb2.ListValue.DESCRIPTOR,
        timestamp_pb2.Timestamp.DESCRIPTOR,
    )
)
"""Messages whose JSON form is a text, a number or a list, which the input of a saga as JSON never is."""

_UNREADABLE = (
    json_format.Error,
    ArithmeticError,
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What protobuf raises of JSON that is not as it should be: its own error, and what that does not foresee."""


class WrongPayloadError(Exception):
    """A payload that is not the message it should be; the message says how."""


class Types:
    """The messages and methods of a set of files.

    protobuf's own files (google/protobuf/...) belong to every set, in the version that comes with it.
    """

    def __init__(self, files: descriptor_pb2.FileDescriptorSet) -> None:
        """Links files. A file that is missing is missed by those alone who ask for what is made of it.

        Raises:
            UnusableDescriptorsError: there are too many, one of them contradicts another, or cannot be read.
        """
        whole, self._lacking = without_missing(files)
        self.pool = linked(whole)

    def message(self, name: str) -> Descriptor | None:
        """Finds a message by its full name. Raises UnusableDescriptorsError if it needs a missing file."""
        try:
            return self.pool.FindMessageTypeByName(name)
        except KeyError:
            self._check_lacking(name)
            return None

    def enum(self, name: str) -> EnumDescriptor | None:
        """Finds an enum by its full name."""
        try:
            return self.pool.FindEnumTypeByName(name)
        except KeyError:
            return None

    def method(self, path: str) -> MethodDescriptor | None:
        """Finds a method by SERVICE/METHOD. Raises UnusableDescriptorsError if it needs a missing file."""
        service, _, name = path.partition("/")
        try:
            found = self.pool.FindServiceByName(service).methods_by_name.get(name)
        except KeyError:
            return None
        if found is None:
            self._check_lacking(path)
        return found

    def methods(self, path: str) -> list[str] | None:
        """Names the methods of the service of a SERVICE/METHOD; None if there is no such service."""
        try:
            return sorted(self.pool.FindServiceByName(path.partition("/")[0]).methods_by_name)
        except KeyError:
            return None

    def parse(self, name: str, value: bytes) -> Message:
        """Reads bytes as a message of a known type. Raises WrongPayloadError."""
        message = message_of(self.pool.FindMessageTypeByName(name))
        try:
            message.ParseFromString(value)
            return message
        except DecodeError as error:
            raise WrongPayloadError(f"is no {name}: its bytes cannot be read as one") from error

    def read(self, payload: Payload, name: str = "") -> Message:
        """Reads a payload as a message, of a type that is known here, or of the type of this name.

        JSON, a Struct that is, is read as any other type by protobuf's own mapping. Raises WrongPayloadError.
        """
        found = payload.type_url.rpartition("/")[2]
        if not name or found == name:
            if not self._knows(found):
                raise WrongPayloadError(
                    f"is a {found or 'message without a type'}, of which nothing is known here"
                )
            return self.parse(found, payload.value)
        if found != JSON_TYPE:
            raise WrongPayloadError(f"is a {found or 'message without a type'}, but must be a {name}")
        if name in _NO_OBJECTS:
            raise WrongPayloadError(f"is JSON, of which an object is no {name}; send a {name} itself")
        document = _document(self.parse(JSON_TYPE, payload.value))
        message = message_of(self.pool.FindMessageTypeByName(name))
        try:
            return json_format.ParseDict(document, message, descriptor_pool=self.pool)
        except _UNREADABLE as error:
            raise WrongPayloadError(f"is no JSON form of {name}: {_why(error)}") from error

    def _knows(self, name: str) -> bool:
        try:
            return self.message(name) is not None
        except UnusableDescriptorsError:
            return False

    def _check_lacking(self, name: str) -> None:
        """Tells why what was spoken of is not there."""
        if name in self._lacking:
            raise UnusableDescriptorsError(self._lacking[name])


def _document(json: Message) -> dict[str, Any]:
    try:
        return json_format.MessageToDict(json)
    except _UNREADABLE as error:
        why = 'holds a number that is not finite, which JSON has no form for; write it as text, as "NaN"'
        raise WrongPayloadError(why) from error


def _why(error: Exception) -> str:
    """What protobuf found, in one line."""
    match error:
        case AttributeError():
            return "the @type of an Any in it is no text"
        case KeyError():
            return f"it lacks {error}, which is needed beside an @type"
        case _:
            return " ".join(str(error).split())  # protobuf writes some of them in two lines


def message_of(descriptor: Descriptor) -> Message:
    """Makes an empty message of a type."""
    return message_factory.GetMessageClass(descriptor)()


LINKED = 16
"""How much larger descriptors are once they are linked, about."""

MAX_LINKED = 64 << 20
"""Bytes, about, that types in memory may take which nobody uses at the moment."""

_recent: Recent[bytes, Types] = Recent(MAX_LINKED)


def types_of(descriptors: bytes) -> Types:
    """The types that are kept with a definition. Raises UnusableDescriptorsError."""
    return _recent.get(
        descriptors,
        lambda: Types(descriptor_pb2.FileDescriptorSet.FromString(descriptors)),
        lambda _: LINKED * len(descriptors),
    )
