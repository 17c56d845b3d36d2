"""Calls of methods of a service that knows nothing of Amends: plain messages, and the saga as metadata."""

import logging
from typing import Any

import grpc
from google.rpc.code_pb2 import Code

from amends._linking import UnusableDescriptorsError
from amends_coordinator.bindings.expressions import NoCelError
from amends_coordinator.bindings.plan import BindingFailedError, Plan, plan_of
from amends_coordinator.calls.attempt import MAX_REQUEST, Attempt
from amends_coordinator.calls.reading import broken, not_done, read_response, too_large
from amends_coordinator.core.outcomes import Outcome, Unknown
from amends_coordinator.core.values import Direction, Payload
from amends_coordinator.descriptors.types import WrongPayloadError

log = logging.getLogger(__name__)

TYPE_PREFIX = "type.googleapis.com/"

_NOTHING_UNDOES = (
    "an earlier attempt of the step is in doubt, and it has no method that would undo it; find out what "
    "became of that attempt, undo it if need be, and resolve the step"
)

Metadata = tuple[tuple[str, str], ...]


class Methods:
    """Calls the methods of one service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Calls over a channel."""
        self._channel = channel
        self._callables: dict[str, Any] = {}

    async def outcome(self, attempt: Attempt, metadata: Metadata) -> Outcome:
        """Makes a call, and says what it came to.

        Raises:
            grpc.aio.AioRpcError: it ended with a status that is not OK.
        """
        saga, place, direction = attempt.saga, attempt.place, attempt.direction
        call = attempt.step.method(direction)
        if call is None:  # of a pivot that was rejected, while an earlier attempt of it is in doubt
            return not_done(direction, "NOT_COMPENSATABLE", _NOTHING_UNDOES)
        try:
            plan = plan_of(saga.definition)
            request = plan.request(saga, place, direction)
        except (BindingFailedError, UnusableDescriptorsError) as error:
            why = f"the request cannot be made: {error}"
            return not_done(direction, "BINDING_FAILED", why, stated=False)
        except NoCelError:
            # Whoever starts the daemon without it has not decided anything about the sagas of the day before.
            return Unknown(
                Code.UNAVAILABLE, "CEL is not installed here any more: pip install 'amends[bindings]'"
            )
        if len(request) > MAX_REQUEST:
            return too_large(direction, len(request))
        response = await self._callable(call.method)(
            request, timeout=attempt.step.timeout, metadata=(*_saga_metadata(attempt), *metadata)
        )
        return _read(plan, attempt, response)

    def _callable(self, method: str) -> Any:
        found = self._callables.get(method)
        if found is None:
            # Bytes both ways: the plan knows the messages, and what is no message shall not look like a
            # failure of the transport.
            found = self._callables[method] = self._channel.unary_unary(f"/{method}")
        return found


def _read(plan: Plan, attempt: Attempt, response: bytes) -> Outcome:
    saga, place, direction = attempt.saga, attempt.place, attempt.direction
    try:
        message = plan.response(place, direction, response)
    except WrongPayloadError as error:
        fields = {"action": "wrong_reply", "saga_id": saga.id, "step": attempt.step.name}
        log.warning("a reply that %s", error, extra=fields)
        return broken(f"a reply that {error}")
    try:
        rule = plan.rule(saga, place, direction, message)
    except BindingFailedError as error:
        return broken(f"a response that a rule makes nothing of: {error}")
    return read_response(direction, Payload(TYPE_PREFIX + message.DESCRIPTOR.full_name, response), rule)


def _saga_metadata(attempt: Attempt) -> Metadata:
    saga_id, step = attempt.saga.id, attempt.step.name
    forward = attempt.direction is Direction.FORWARD
    key = f"{saga_id}/{step}"
    return (
        ("amends-saga-id", saga_id),
        ("amends-step", step),
        ("amends-direction", "forward" if forward else "backward"),
        ("amends-attempt", str(attempt.number)),
        # Another one for each direction: who remembers keys without methods would take one for the other.
        ("idempotency-key", key if forward else f"{key}/compensate"),
    )
