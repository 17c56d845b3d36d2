"""Whether a start repeats an earlier one (P10)."""

from dataclasses import replace

from google.protobuf import struct_pb2
from google.protobuf.message import DecodeError, Message

from amends_coordinator.core.facts import SagaStarted
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import Payload

_JSON_TYPES: dict[str, type[Message]] = {
    "google.protobuf.Struct": struct_pb2.Struct,
    "google.protobuf.Value": struct_pb2.Value,
    "google.protobuf.ListValue": struct_pb2.ListValue,
}


def difference(saga: Saga, fact: SagaStarted) -> str:
    """Names the part in which a start differs from a saga; empty if it is the same start.

    A definition named by the client is the same by its name, whatever was registered under it since. A
    traceparent is no content: a repetition has one of its own.
    """
    if not _same_definition(saga, fact):
        return "definition"
    if not _same_payload(saga.input, fact.input):
        return "input"
    if saga.step_inputs.keys() != fact.step_inputs.keys():
        return "set of step inputs"
    for name, payload in fact.step_inputs.items():
        if not _same_payload(saga.step_inputs[name], payload):
            return f"input of step {name!r}"
    return "" if dict(saga.labels) == dict(fact.labels) else "set of labels"


def _same_definition(saga: Saga, fact: SagaStarted) -> bool:
    if saga.definition_by_name != fact.definition_by_name:
        return False
    if saga.definition_by_name:
        return saga.definition.name == fact.definition.name
    # Descriptors may have been found at the participants, and so be others each time. They say of what types
    # the definition speaks, and are no part of it.
    return saga.definition == fact.definition or replace(saga.definition, descriptors=b"") == replace(
        fact.definition, descriptors=b""
    )


def _same_payload(left: Payload | None, right: Payload | None) -> bool:
    """Compares payloads; JSON by content, since some languages write its keys in another order each time."""
    if left == right:
        return True
    if left is None or right is None or left.type_url != right.type_url:
        return False
    kind = _JSON_TYPES.get(left.type_url.rpartition("/")[2])
    if kind is None:
        return False
    try:
        return kind.FromString(left.value) == kind.FromString(right.value)
    except DecodeError:
        return False
