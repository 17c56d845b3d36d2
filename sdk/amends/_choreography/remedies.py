"""What an operator has decided about an event that is dead: to try it again, or to have nobody deal with it.

Either is a message of ours that has the subject of the event, so that the service that has it hears of it.
Trackers, and whoever lists dead letters, know it by its type.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from google.protobuf.message import DecodeError

from amends._bus.interface import Message
from amends.v1 import choreography_pb2 as pb

Remedy: TypeAlias = pb.DeadLetterReplayed | pb.DeadLetterDiscarded

_KINDS: Final[dict[str, type[pb.DeadLetterReplayed] | type[pb.DeadLetterDiscarded]]] = {
    kind.DESCRIPTOR.full_name: kind for kind in (pb.DeadLetterReplayed, pb.DeadLetterDiscarded)
}


def remedy_in(message: Message) -> Remedy | None:
    """Reads what was decided; None from a message that tells of no such thing."""
    kind = _KINDS.get(message.headers.get("ce-type", ""))
    if kind is None:
        return None
    try:
        return kind.FromString(message.data)
    except DecodeError:
        return None
