"""Payloads of types that a definition describes, as the JSON that protobuf writes of them."""

from functools import lru_cache
from typing import Any

from google.protobuf import any_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError

from amends._linking import UnusableDescriptorsError, linked


def as_json(payload: any_pb2.Any, descriptors: FileDescriptorSet) -> Any:
    """Returns a payload of a described type as JSON; None where it is not described, or not what it says.

    Messages of protobuf's own, such as JSON itself, are none of these.
    """
    if payload.TypeName().startswith("google.protobuf."):
        return None
    try:
        pool = _pool(descriptors.SerializeToString(deterministic=True))
        kind = pool.FindMessageTypeByName(payload.TypeName())
        message = message_factory.GetMessageClass(kind).FromString(payload.value)
        return json_format.MessageToDict(message, descriptor_pool=pool)
    except (UnusableDescriptorsError, KeyError, DecodeError, json_format.Error, TypeError, ValueError):
        return (
            None  # TypeError, ValueError: within there is an Any of another type, or a time beyond all time
        )


@lru_cache(maxsize=64)
def _pool(descriptors: bytes) -> descriptor_pool.DescriptorPool:
    return linked(FileDescriptorSet.FromString(descriptors))
