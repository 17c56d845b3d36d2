"""Whether a definition can run here: checked once, at the door, against what its participants offer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf

from amends_coordinator.calls.caller import Caller
from amends_coordinator.core.checks import Violation, check, first_faults
from amends_coordinator.core.definition import Definition, Kind
from amends_coordinator.runtime.binder import Binder
from amends_coordinator.runtime.descriptions import Actions, Descriptions
from amends_coordinator.runtime.errors import InvalidRequestError, UnavailableError
from amends_coordinator.timers import Timers

MAX_REMEMBERED = 10_000
"""Definitions remembered as admitted: clients may send each saga with a definition of its own, and a check
costs little."""

REFLECTED_FOR = 60.0
"""Seconds for which what participants said of their methods is good for definitions that come with each
start: then they are asked again, so that such sagas follow a service that has changed."""


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
        self._descriptions = Descriptions(participants, timers)
        self._binder = Binder(participants)
        self._admitted: dict[Definition, _Admitted] = {}

    def admitted(self, definition: Definition) -> Definition | None:
        """What sagas are started with if this definition was admitted already; None if it was not."""
        found = self._admitted.get(definition)
        if found is None or found.until < self._timers.now():
            return None
        return found.definition

    def participant_changed(self, name: str) -> None:
        """Believes no more what a participant offered: it may have been replaced by another version."""
        self._descriptions.forget(name)
        for admitted in self._admitted.values():
            if name in admitted.definition.participants:
                admitted.until = -inf

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
        begun = self._timers.now()
        offers = await self._offers(definition)
        try:
            return await self._bound(definition, offers)
        except InvalidRequestError:
            # Perhaps it does not fit what participants said long ago, and they would say something else now.
            if not self._descriptions.forget_before(offers, begun):
                raise
        return await self._bound(definition, await self._offers(definition))

    async def _offers(self, definition: Definition) -> dict[str, Actions | None]:
        """What the participants of the steps that perform actions offer. Raises InvalidRequestError."""
        names = sorted({step.participant for step in definition.steps if step.try_method is None})
        offers = await self._descriptions.of(
            names, lambda name, actions: not any(_check_actions(definition, name, actions))
        )
        found: list[Violation] = []
        for name, actions in offers.items():
            if actions is not None:
                found += first_faults(_check_actions(definition, name, actions))
        if found:
            raise InvalidRequestError(found)
        return offers

    async def _bound(self, definition: Definition, offers: Mapping[str, Actions | None]) -> Definition:
        """Gives a definition its descriptors, and remembers it with them if nobody was silent."""
        bound, until = definition, inf
        if definition.calls_methods or definition.input_type:
            try:
                bound = await self._binder.bind(definition, _results(definition, offers))
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

    def _check_participants(self, definition: Definition) -> Iterator[Violation]:
        known = ", ".join(sorted(self._participants)) or "none"
        for place, step in enumerate(definition.steps):
            if step.participant not in self._participants:
                yield Violation(
                    f"steps[{place}].participant",
                    f"names {step.participant!r}, which is not configured here; known participants: {known}",
                )


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
