"""Whether there is room for another saga."""

from collections.abc import Mapping

from amends_coordinator.calls.caller import Caller
from amends_coordinator.core.definition import Definition
from amends_coordinator.runtime.errors import OverloadedError

MAX_WAITING = 20_000
"""Attempts waiting for one participant beyond which no saga that needs it is accepted: a participant that
hangs must not fill the room that all sagas share."""

OVERLOAD_DELAY = 1.0
"""Seconds after which a client that was turned away should come again."""


def check_room(live: int, most: int, participants: Mapping[str, Caller], definition: Definition) -> None:
    """Checks that a saga of a definition can be taken in, where so many are live already.

    Raises:
        OverloadedError: there is no room.
    """
    if live >= most:
        raise OverloadedError(
            "TOO_MANY_SAGAS",
            f"{live} sagas are under way, as many as this coordinator holds",
            OVERLOAD_DELAY,
        )
    for name in definition.participants:
        participant = participants.get(name)
        if participant is not None and participant.waiting >= MAX_WAITING:
            raise OverloadedError(
                "PARTICIPANT_BEHIND",
                f"{participant.waiting} calls are waiting for participant {name!r}",
                OVERLOAD_DELAY,
            )
