"""Inputs as the action wants them: JSON as it is or, for a type of the participant's own, as its message."""

from typing import Any, Final

import grpc
from google.protobuf import any_pb2, json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from amends._payload import pack

_JSON: Final = frozenset({"", *(f"google.protobuf.{name}" for name in ("Struct", "Value", "ListValue"))})


def find_type(channel: grpc.Channel, name: str) -> Descriptor | None:
    """Asks a participant for a type, by server reflection.

    Returns None for the types of JSON, and where there is nothing to be had: the contract lets people work in
    JSON, so that is what the participant gets.
    """
    if name in _JSON:
        return None
    try:
        found: Descriptor = DescriptorPool(ProtoReflectionDescriptorDatabase(channel)).FindMessageTypeByName(
            name
        )
    except (KeyError, TypeError, grpc.RpcError):  # TypeError: what reflection gave does not fit together
        return None
    return found


def to_payload(value: Any, type_: Descriptor | None) -> any_pb2.Any:
    """Makes a payload of a value of JSON.

    Raises:
        ValueError: it is no JSON form of the type.
        PayloadError: it cannot be said in JSON.
    """
    if type_ is None:
        return pack(value)
    try:
        return pack(json_format.ParseDict(value, GetMessageClass(type_)()))
    except (json_format.ParseError, TypeError, AttributeError) as error:
        raise ValueError(f"no JSON form of {type_.full_name}: {error}") from error
