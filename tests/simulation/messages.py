"""What messages to and from participants say, read from their bytes and, of plain methods, their metadata."""

from dataclasses import dataclass
from typing import Any

from amends.v1 import participant_pb2
from amends_coordinator.core.values import Direction
from tests.simulation import interface
from tests.simulation.rpc import Rpc

_PARTICIPANT = "/amends.v1.Participant/"
_DEPOT = f"/{interface.SERVICE}/"

_SAID = {
    Direction.FORWARD: {interface.DONE: "succeeded", interface.NEVER: "rejected", interface.LATER: "pending"},
    Direction.BACKWARD: {
        interface.DONE: "compensated",
        interface.NEVER: "refused",
        interface.LATER: "pending",
    },
}
"""What the depot's answers come to."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call asks of whom it is made to."""

    saga_id: str
    step: str
    direction: Direction
    attempt: int
    method: Any = None  # the request, where a plain method is called

    @property
    def word(self) -> str:
        """What such a call is called."""
        return "Try" if self.direction is Direction.FORWARD else "Compensate"


def calls(rpc: Rpc, data: bytes) -> dict[int, Asked]:
    """What a message asks, by the numbers under which it is answered."""
    match rpc.path.removeprefix(_PARTICIPANT):
        case "Try":
            return {0: _asked(participant_pb2.TryRequest.FromString(data))}
        case "Compensate":
            return {0: _asked(participant_pb2.CompensateRequest.FromString(data))}
        case "Exchange":
            calls = participant_pb2.ExchangeRequest.FromString(data).calls
            return {call.number: _asked(getattr(call, call.WhichOneof("request"))) for call in calls}
    return {0: _method_asked(rpc, data)} if rpc.path.startswith(_DEPOT) else {}


def _asked(request: Any) -> Asked:
    forward = isinstance(request, participant_pb2.TryRequest)
    direction = Direction.FORWARD if forward else Direction.BACKWARD
    return Asked(request.saga_id, request.step, direction, request.attempt)


def _method_asked(rpc: Rpc, data: bytes) -> Asked:
    said = dict(rpc.metadata)
    kind = "TakeRequest" if rpc.path.endswith("/Take") else "PutRequest"
    return Asked(
        saga_id=said["amends-saga-id"],
        step=said["amends-step"],
        direction=Direction.FORWARD if said["amends-direction"] == "forward" else Direction.BACKWARD,
        attempt=int(said["amends-attempt"]),
        method=interface.kind(kind).FromString(data),
    )


def replies(path: str, data: bytes) -> list[tuple[int, str]]:
    """What an answer of a participant says, by the same numbers; nothing of other answers."""
    match path.removeprefix(_PARTICIPANT):
        case "Try":
            return [(0, _outcome(participant_pb2.TryResponse.FromString(data)))]
        case "Compensate":
            return [(0, _outcome(participant_pb2.CompensateResponse.FromString(data)))]
        case "Exchange":
            replies = participant_pb2.ExchangeResponse.FromString(data).replies
            return [(reply.number, _response(reply)) for reply in replies]
    if not path.startswith(_DEPOT):
        return []
    forward = path.endswith("/Put")
    answer = interface.kind("Deposit" if forward else "Taken").FromString(data)
    return [(0, _SAID[Direction.FORWARD if forward else Direction.BACKWARD][answer.state])]


def _response(reply: participant_pb2.ExchangeResponse.Reply) -> str:
    kind = reply.WhichOneof("result")
    return "an error" if kind in (None, "error") else _outcome(getattr(reply, kind))


def _outcome(response: Any) -> str:
    return str(response.WhichOneof("outcome"))
