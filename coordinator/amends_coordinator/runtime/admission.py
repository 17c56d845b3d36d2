"""Whether a definition can run here: checked once, at the door, against what its participants offer."""

import asyncio
import logging
from collections.abc import Iterator, Mapping

import grpc

from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls.caller import Caller
from amends_coordinator.core.definition import Definition, Kind, Violation, check, first_faults
from amends_coordinator.runtime.errors import InvalidRequestError
from amends_coordinator.timers import Timers

log = logging.getLogger(__name__)

MAX_REMEMBERED = 10_000
"""Definitions remembered as admitted: clients may send each saga with a definition of its own, and a check
costs little."""

PATIENCE = 5.0
"""Seconds for which a participant that gave no description is not asked again."""

Actions = Mapping[str, pb.ActionDescription]


class Admission:
    """Remembers which definitions have been checked against the participants as they are now."""

    def __init__(self, participants: Mapping[str, Caller], timers: Timers) -> None:
        """Checks against these participants."""
        self._participants = participants
        self._timers = timers
        self._admitted: set[Definition] = set()
        self._actions: dict[str, Actions] = {}
        self._silent_until: dict[str, float] = {}
        self._asking: dict[str, asyncio.Future[Actions | None]] = {}

    def knows(self, definition: Definition) -> bool:
        """Whether this definition was admitted already."""
        return definition in self._admitted

    def participant_changed(self, name: str) -> None:
        """Forgets what a participant offered: it may have been replaced by another version."""
        self._actions.pop(name, None)
        self._silent_until.pop(name, None)
        self._asking.pop(name, None)
        self._admitted.clear()

    async def admit(self, definition: Definition) -> None:
        """Checks a definition. A participant that is down, or does not describe itself, is no obstacle.

        Raises:
            InvalidRequestError: the definition is malformed, names a participant that is not configured, an
                action that its participant does not offer, or one that cannot be undone where it would have
                to be.
        """
        found = check(definition) or first_faults(self._check_participants(definition))
        if found:
            raise InvalidRequestError(found)
        complete = True
        names = sorted(definition.participants)
        offers = await asyncio.gather(*(self._describe(name, definition) for name in names))
        for name, actions in zip(names, offers, strict=True):
            if actions is None:
                complete = False
            else:
                found += first_faults(_check_actions(definition, name, actions))
        if found:
            raise InvalidRequestError(found)
        if complete:
            if len(self._admitted) >= MAX_REMEMBERED:
                self._admitted.clear()
            self._admitted.add(definition)

    def _check_participants(self, definition: Definition) -> Iterator[Violation]:
        known = ", ".join(sorted(self._participants)) or "none"
        for place, step in enumerate(definition.steps):
            if step.participant not in self._participants:
                yield Violation(
                    f"steps[{place}].participant",
                    f"names {step.participant!r}, which is not configured here; known participants: {known}",
                )

    async def _describe(self, name: str, definition: Definition) -> Actions | None:
        """The actions of a participant, asked anew if what is remembered would not do."""
        while True:
            actions = self._actions.get(name)
            if actions is not None and next(_check_actions(definition, name, actions), None) is None:
                return actions
            if self._silent_until.get(name, 0.0) > self._timers.now():
                return actions
            asking = self._asking.get(name)
            if asking is None:
                return await self._ask(name)
            # What somebody else was told while we waited is new enough, whatever it says.
            await asyncio.wait([asking])
            if not asking.cancelled():
                return asking.result()

    async def _ask(self, name: str) -> Actions | None:
        """Asks a participant, once for all who want to know meanwhile."""
        asking = self._asking[name] = asyncio.get_running_loop().create_future()
        try:
            actions = await self._call(name)
            asking.set_result(actions)
            return actions
        finally:
            asking.cancel()  # of no effect once there is an answer; without one, somebody else has to ask
            if self._asking.get(name) is asking:
                del self._asking[name]

    async def _call(self, name: str) -> Actions | None:
        try:
            description: pb.DescribeResponse | None = await self._participants[name].describe()
        except grpc.RpcError as error:
            self._silent_until[name] = self._timers.now() + PATIENCE
            log.debug("participant %s gives no description: %s", name, error, extra={"action": "describe"})
            return None
        if description is None:  # what gRPC's client makes of bytes that are no message
            self._silent_until[name] = self._timers.now() + PATIENCE
            return None
        actions = self._actions[name] = {action.name: action for action in description.actions}
        return actions


def _check_actions(definition: Definition, name: str, actions: Actions) -> Iterator[Violation]:
    for place, step in enumerate(definition.steps):
        if step.participant != name:
            continue
        action = actions.get(step.action)
        if action is None:
            offered = ", ".join(sorted(actions)) or "none"
            yield Violation(
                f"steps[{place}].action",
                f"names {step.action!r}, which participant {name!r} does not offer; it offers: {offered}",
            )
        elif step.kind is Kind.COMPENSATABLE and not step.effect_free and not action.compensatable:
            yield Violation(
                f"steps[{place}].action",
                f"names {step.action!r}, which participant {name!r} cannot compensate; give it a "
                "compensation, make the step the PIVOT or RETRIABLE, or declare it effect_free",
            )
