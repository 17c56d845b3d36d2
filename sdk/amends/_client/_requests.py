"""How the arguments of a client become the messages of the contract."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from google.protobuf.timestamp_pb2 import Timestamp

from amends._client._states import SagaState
from amends._definition import Definition
from amends._ids import new_saga_id
from amends._payload import pack
from amends.v1 import coordinator_pb2, event_pb2, saga_pb2

PAGE_SIZE = 100
"""Sagas or definitions a list fetches at a time: enough to make the round trip cheap."""


class Resolution(StrEnum):
    """What an operator can state of a step."""

    SUCCEEDED = "SUCCEEDED"
    """The effect of the step exists."""
    NO_EFFECT = "NO_EFFECT"
    """The step never had an effect, and never will."""
    COMPENSATED = "COMPENSATED"
    """The effect of the step is undone."""


def start(
    definition: Definition | str,
    input: object = None,  # noqa: A002 # what it is called in the contract
    *,
    saga_id: str | None = None,
    step_inputs: Mapping[str, object] | None = None,
    labels: Mapping[str, str] | None = None,
) -> coordinator_pb2.StartSagaRequest:
    """Makes a request that may be repeated: the id is chosen here if the caller chose none.

    Raises ``PayloadError`` for an input that cannot travel, ``ValueError`` for an empty id.
    """
    if saga_id == "":
        # The coordinator would make an id of its own, and a repetition would start another saga.
        raise ValueError("an empty saga_id identifies nothing; leave it out to have one made")
    request = coordinator_pb2.StartSagaRequest(
        saga_id=new_saga_id() if saga_id is None else saga_id,
        input=None if input is None else pack(input),
        step_inputs={step: pack(value) for step, value in (step_inputs or {}).items()},
        labels=labels,
    )
    if isinstance(definition, str):
        request.definition_name = definition
    else:
        request.definition.CopyFrom(definition.to_proto())
        for step, input_from in definition.inputs_from.items():
            if step not in request.step_inputs:
                request.step_inputs[step].CopyFrom(pack(input_from(input)))
    return request


def list_sagas(
    *,
    states: Iterable[SagaState | str] = (),
    definition: str = "",
    labels: Mapping[str, str] | None = None,
    created_from: datetime | None = None,
    created_before: datetime | None = None,
    needs_attention: bool = False,
) -> coordinator_pb2.ListSagasRequest:
    """Makes a request for the first page.

    Raises ``ValueError`` for an unknown state or a time without its zone.
    """
    return coordinator_pb2.ListSagasRequest(
        states=[saga_pb2.Saga.State.Value(SagaState(state).name) for state in states],
        definition_name=definition,
        labels=labels,
        created_from=_timestamp(created_from),
        created_before=_timestamp(created_before),
        needs_attention=needs_attention,
        page_size=PAGE_SIZE,
    )


def resolve(
    saga_id: str, step: str, resolution: Resolution | str, *, reason: str, result: object
) -> coordinator_pb2.ResolveStepRequest:
    """Makes a request. Raises ``ValueError`` for an unknown resolution, ``PayloadError`` for a result."""
    return coordinator_pb2.ResolveStepRequest(
        saga_id=saga_id,
        step=step,
        resolution=event_pb2.StepResolved.Resolution.Value(Resolution(resolution).name),
        reason=reason,
        result=None if result is None else pack(result),
    )


def _timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone, and sagas are created in all of them")
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp
