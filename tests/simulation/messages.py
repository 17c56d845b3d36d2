"""What the messages to and from participants say, read from their bytes."""

from typing import Any

from amends.v1 import participant_pb2
from tests.simulation.rpc import Rpc


def calls(rpc: Rpc, data: bytes) -> dict[int, Any]:
    """What a message asks of a participant, by the numbers under which it is answered."""
    match rpc.path:
        case "/amends.v1.Participant/Try":
            return {0: participant_pb2.TryRequest.FromString(data)}
        case "/amends.v1.Participant/Compensate":
            return {0: participant_pb2.CompensateRequest.FromString(data)}
        case "/amends.v1.Participant/Exchange":
            calls = participant_pb2.ExchangeRequest.FromString(data).calls
            return {call.number: getattr(call, call.WhichOneof("request")) for call in calls}
    return {}


def replies(method: str, data: bytes) -> list[tuple[int, Any]]:
    """What a message of a participant answers, by the same numbers."""
    match method:
        case "Try":
            return [(0, participant_pb2.TryResponse.FromString(data))]
        case "Compensate":
            return [(0, participant_pb2.CompensateResponse.FromString(data))]
        case "Exchange":
            replies = participant_pb2.ExchangeResponse.FromString(data).replies
            return [(reply.number, _response(reply)) for reply in replies]
    return []


def _response(reply: participant_pb2.ExchangeResponse.Reply) -> Any:
    kind = reply.WhichOneof("result")
    return None if kind in (None, "error") else getattr(reply, kind)
