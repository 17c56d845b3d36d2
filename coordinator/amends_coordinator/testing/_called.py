"""Whom steps call in a test: participants of Amends, and plain services, which know nothing of it."""

from collections.abc import Iterable
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from amends import Participant
from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls.attempt import Attempt, fill_compensate, fill_try
from amends_coordinator.calls.methods import Methods
from amends_coordinator.calls.reading import read_compensate, read_try
from amends_coordinator.core.outcomes import Outcome
from amends_coordinator.core.values import Direction
from amends_coordinator.testing._contexts import Ending
from amends_coordinator.testing._plain import PlainService, files_of

Called: TypeAlias = Participant | PlainService

Request: TypeAlias = pb.TryRequest | pb.CompensateRequest


def request_of(attempt: Attempt) -> Request:
    """Makes the message that calls an action."""
    if attempt.direction is Direction.FORWARD:
        request = pb.TryRequest()
        fill_try(request, attempt)
        return request
    undo = pb.CompensateRequest()
    fill_compensate(undo, attempt)
    return undo


async def call_action(called: Called, request: Request, timeout: float) -> Outcome:
    """Has an action tried or compensated.

    Raises:
        Fault: the participant fails the call.
        UsageError: it was stopped.
        grpc.aio.AioRpcError: it has no actions.
    """
    if isinstance(called, PlainService):
        raise _unimplemented(f"{called.name} is a plain service, which has no actions")
    if isinstance(request, pb.TryRequest):
        return read_try(await called.handle_try(request, timeout=timeout))
    return read_compensate(await called.handle_compensate(request, timeout=timeout))


async def call_method(called: Called, attempt: Attempt) -> Outcome:
    """Has a method called as over a channel, and its response read. Raises grpc.aio.AioRpcError."""
    if isinstance(called, Participant):
        raise _unimplemented(f"{called.name} is a participant with actions, which has no plain methods")
    traceparent = attempt.saga.traceparent
    metadata = (("traceparent", traceparent),) if traceparent else ()
    return await Methods(cast(Any, called)).outcome(attempt, metadata)


def describe(called: Called) -> pb.DescribeResponse:
    """Lists the actions. Raises grpc.aio.AioRpcError where there can be none."""
    if isinstance(called, PlainService):
        raise _unimplemented(f"{called.name} is a plain service, which has no actions")
    return called.describe()


def reflect(called: Called, symbols: Iterable[str]) -> FileDescriptorSet:
    """Finds what describes services and messages; of services, only those that are there to be called."""
    if isinstance(called, PlainService):
        symbols = called.known(symbols)
    return files_of(symbols)


def _unimplemented(why: str) -> grpc.aio.AioRpcError:
    return Ending(grpc.StatusCode.UNIMPLEMENTED, why).error()
