"""Annotated services, as what is written of them needs to know them."""

from __future__ import annotations

from dataclasses import dataclass

from amends._definition import Kind, Retry


@dataclass(frozen=True, slots=True)
class MessageType:
    """A message type and where Python finds it."""

    full_name: str
    """Its protobuf name, such as "shop.v1.Order"."""
    module: str
    """The module that protoc generates for its file, such as "shop.v1.order_pb2"."""
    name: str
    """Its name in the module, dotted where it is nested."""
    field_types: tuple[str, ...]
    """The full names of its fields' message types; empty ones for fields of other types."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a service that is a handler of an action."""

    rpc: str
    """Its name in the .proto file."""
    name: str
    """Its name in Python."""
    comment: str
    """What the .proto file says of it; may be empty."""


@dataclass(frozen=True, slots=True)
class AnnotatedAction:
    """An action: a Try, its compensation, and the policies of its steps."""

    name: str
    """What steps call it by."""
    method: Method
    """Its Try."""
    compensation: Method | None
    """What undoes it. None: nothing does."""
    input: MessageType
    """What it takes."""
    result: MessageType
    """What it gives."""
    kind: Kind
    effect_free: bool
    timeout: float | None  # seconds
    retry: Retry | None


@dataclass(frozen=True, slots=True)
class AnnotatedService:
    """A service with at least one action."""

    full_name: str
    """Its protobuf name, such as "shop.v1.PaymentsService"."""
    stem: str
    """What names of classes begin with, such as "Payments"."""
    participant: str
    """What a coordinator is expected to call the participant, such as "payments"."""
    comment: str
    """What the .proto file says of it; may be empty."""
    actions: tuple[AnnotatedAction, ...]
    """In the order of the .proto file."""


@dataclass(frozen=True, slots=True)
class AnnotatedFile:
    """A file with at least one annotated service."""

    name: str
    """Its name as imports have it, such as "shop/v1/payments.proto"."""
    services: tuple[AnnotatedService, ...]
    """In the order of the file."""
