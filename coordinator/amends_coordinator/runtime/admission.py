"""Whether a definition can run here: checked once, at the door, against what its participants offer."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf

import grpc

from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls.caller import Caller
from amends_coordinator.core.checks import Violation, check, first_faults
from amends_coordinator.core.definition import Definition, Kind
from amends_coordinator.runtime.binder import Binder
from amends_coordinator.runtime.errors import InvalidRequestError, RequestError, UnavailableError
from amends_coordinator.timers import Timers

log = logging.getLogger(__name__)

MAX_REMEMBERED = 10_000
"""Definitions remembered as admitted: clients may send each saga with a definition of its own, and a check
costs little."""

PATIENCE = 5.0
"""Seconds for which a participant that gave no description is not asked again."""

REFLECTED_FOR = 60.0
"""Seconds for which what participants said of their methods is good for definitions that come with each
start: then they are asked again, so that such sagas follow a service that has changed."""

Actions = Mapping[str, pb.ActionDescription]


@dataclass(slots=True)
class _Admitted:
    """A definition as sagas are started with it."""

    definition: Definition
    until: float  # moment; inf while its participants are the same


class Admission:
    """Remembers which definitions have been checked against the participants as they are now."""

    def __init__(self, participants: Mapping[str, Caller], timers: Timers) -> None:
        """Checks against these participants."""
        self._participants = participants
        self._timers = timers
        self._binder = Binder(participants)
        self._admitted: dict[Definition, _Admitted] = {}
        self._actions: dict[str, Actions] = {}
        self._silent_until: dict[str, float] = {}
        self._asking: dict[str, asyncio.Future[Actions | None]] = {}
        self._binding: dict[Definition, asyncio.Future[Definition]] = {}

    def admitted(self, definition: Definition) -> Definition | None:
        """What sagas are started with if this definition was admitted already; None if it was not."""
        found = self._admitted.get(definition)
        if found is None or found.until < self._timers.now():
            return None
        return found.definition

    def participant_changed(self, name: str) -> None:
        """Forgets what a participant offered: it may have been replaced by another version."""
        self._actions.pop(name, None)
        self._silent_until.pop(name, None)
        self._asking.pop(name, None)
        self._admitted.clear()

    async def admit(self, definition: Definition) -> Definition:
        """Checks a definition, and returns it as sagas are started with it: with its descriptors.

        A participant that is down, or does not describe itself, is no obstacle, unless it alone could say of
        what types the methods and expressions of a step are.

        Raises:
            InvalidRequestError: the definition is malformed, names a participant that is not configured, an
                action that its participant does not offer, one that cannot be undone where it would have to
                be, a method that cannot be called, or an expression that cannot be evaluated.
            UnavailableError: a participant is down that would have to say what it offers.
        """
        found = check(definition) or first_faults(self._check_participants(definition))
        if found:
            raise InvalidRequestError(found)
        names = sorted({step.participant for step in definition.steps if step.try_method is None})
        offers = dict(
            zip(
                names,
                await asyncio.gather(*(self._describe(name, definition) for name in names)),
                strict=True,
            )
        )
        for name, actions in offers.items():
            if actions is not None:
                found += first_faults(_check_actions(definition, name, actions))
        if found:
            raise InvalidRequestError(found)
        return await self._bound(definition, offers)

    async def _bound(self, definition: Definition, offers: Mapping[str, Actions | None]) -> Definition:
        """Gives a definition its descriptors, and remembers it with them if nobody was silent."""
        bound, until = definition, inf
        if definition.calls_methods or definition.input_type:
            try:
                bound = await self._bind(definition, _results(definition, offers))
            except UnavailableError:
                remembered = self._admitted.get(definition)
                if remembered is None:
                    raise
                return remembered.definition  # old news of a service that is down are better than none
            if not definition.descriptors:
                until = self._timers.now() + REFLECTED_FOR
        elif definition.descriptors:
            bound = replace(definition, descriptors=b"")
        if None not in offers.values():
            if len(self._admitted) >= MAX_REMEMBERED:
                self._admitted.clear()
            self._admitted[definition] = _Admitted(bound, until)
        return bound

    async def _bind(self, definition: Definition, results: Mapping[str, str | None]) -> Definition:
        """Binds a definition, once for all who start sagas with it meanwhile."""
        while True:
            binding = self._binding.get(definition)
            if binding is None:
                return await self._bind_for_all(definition, results)
            await asyncio.wait([binding])
            if not binding.cancelled():
                return binding.result()

    async def _bind_for_all(self, definition: Definition, results: Mapping[str, str | None]) -> Definition:
        binding = self._binding[definition] = asyncio.get_running_loop().create_future()
        try:
            bound = await self._binder.bind(definition, results)
            binding.set_result(bound)
            return bound
        except RequestError as error:
            binding.set_exception(error)
            binding.exception()  # it is raised here, whether or not anybody else waits for it
            raise
        finally:
            binding.cancel()  # of no effect once it is bound; if not, somebody else has to
            del self._binding[definition]

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
        if step.participant != name or step.try_method is not None:
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


def _results(definition: Definition, offers: Mapping[str, Actions | None]) -> dict[str, str | None]:
    """The types of the results of steps that perform actions; None: the participant gives no description."""
    found: dict[str, str | None] = {}
    for step in definition.steps:
        if step.try_method is None:
            actions = offers[step.participant]
            found[step.name] = None if actions is None else actions[step.action].result_type
    return found
