"""Whether a definition can run here: checked once, at the door, against what its participants offer."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf

from amends_coordinator.calls.caller import Caller
from amends_coordinator.core.checks import Violation, check, first_faults
from amends_coordinator.core.definition import Definition, Kind
from amends_coordinator.runtime.binder import Binder
from amends_coordinator.runtime.descriptions import PATIENCE, UNDESCRIBED, Actions, Descriptions
from amends_coordinator.runtime.errors import InvalidRequestError, UnavailableError
from amends_coordinator.timers import Timers

log = logging.getLogger(__name__)

MAX_REMEMBERED = 10_000
"""Definitions remembered as admitted: clients may send each saga with a definition of its own, and a check
costs little."""

MAX_REMEMBERED_BYTES = 64 << 20
"""Bytes, about, of these definitions, for the same reason: one may have a thousand steps, and descriptors."""

REFLECTED_FOR = 60.0
"""Seconds for which what participants said of their methods is good for definitions that come with each
start: then they are asked again, so that such sagas follow a service that has changed."""

MAX_RENEWED = 16
"""Definitions for which participants are asked again at a time: what hangs must not hold up the others, and
many must not be a burden."""


@dataclass(slots=True)
class _Admitted:
    """A definition as sagas are started with it."""

    definition: Definition
    weight: int  # bytes
    until: float  # moment from which it is to be renewed
    doubtful: bool  # a participant may be another by now: nothing is started before it was asked


class Admission:
    """Remembers which definitions have been checked against the participants as they are now."""

    def __init__(self, participants: Mapping[str, Caller], timers: Timers) -> None:
        """Checks against these participants."""
        self._participants = participants
        self._timers = timers
        self._descriptions = Descriptions(participants, timers)
        self._binder = Binder(participants, timers)
        # By the digests of definitions as they were sent: their descriptors may be many times what is kept.
        self._admitted: OrderedDict[bytes, _Admitted] = OrderedDict()  # the last that was used is the last
        self._weight = 0
        self._renewing: dict[bytes, asyncio.Task[None]] = {}
        self._changed_at: dict[str, float] = {}  # moments, by participants

    @property
    def renewing(self) -> int:
        """Definitions about which participants are being asked again."""
        return len(self._renewing)

    def admitted(self, definition: Definition) -> Definition | None:
        """What sagas are started with if this definition was admitted already; None if it was not.

        What was found out too long ago is good enough once more, and is found out anew meanwhile, so that
        nobody waits for a participant that has answered before.
        """
        found = self._admitted.get(definition.digest)
        if found is None or found.doubtful:
            return None
        self._admitted.move_to_end(definition.digest)
        if found.until <= self._timers.now():
            self._renew(definition)
        return found.definition

    def participant_changed(self, name: str) -> None:
        """Believes no more what a participant offered: it may have been replaced by another version."""
        self._descriptions.forget(name)
        self._binder.forget(name)
        self._changed_at[name] = self._timers.now()
        for admitted in self._admitted.values():
            if name in admitted.definition.participants:
                admitted.doubtful = True

    async def close(self) -> None:
        """Asks nobody any more."""
        tasks = list(self._renewing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        try:
            offers = await self._offers(definition)
            try:
                return await self._bound(definition, offers, begun)
            except InvalidRequestError:
                # Perhaps it does not fit what participants said long ago, and they say something else now.
                if not self._descriptions.forget_before(offers, begun):
                    raise
            return await self._bound(definition, await self._offers(definition), begun)
        except InvalidRequestError:
            self._forget(definition.digest)
            raise

    def _renew(self, definition: Definition) -> None:
        key = definition.digest
        if key in self._renewing or len(self._renewing) >= MAX_RENEWED:
            return
        task = asyncio.get_running_loop().create_task(self._renewed(definition))
        self._renewing[key] = task
        task.add_done_callback(lambda _task: self._renewing.pop(key))

    async def _renewed(self, definition: Definition) -> None:
        try:
            await self.admit(definition)
        except Exception as error:  # nobody waits for a renewal, so nobody would be told
            # The next start waits for its definition again, and is told what is wrong.
            self._forget(definition.digest)
            log.debug(
                "definition %s is not admitted any more: %s",
                definition.name,
                error,
                extra={"action": "admission_withdrawn"},
            )

    def _remember(self, definition: Definition, bound: Definition, until: float, *, doubtful: bool) -> None:
        self._forget(definition.digest)
        weight = len(repr(bound.steps)) + len(bound.descriptors)
        self._admitted[definition.digest] = _Admitted(bound, weight, until, doubtful)
        self._weight += weight
        while len(self._admitted) > MAX_REMEMBERED or self._weight > MAX_REMEMBERED_BYTES:
            self._forget(next(iter(self._admitted)))

    def _forget(self, digest: bytes) -> None:
        forgotten = self._admitted.pop(digest, None)
        if forgotten is not None:
            self._weight -= forgotten.weight

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

    async def _bound(
        self, definition: Definition, offers: Mapping[str, Actions | None], begun: float
    ) -> Definition:
        """Gives a definition its descriptors, and remembers it with them."""
        bound, until = definition, inf
        silent = {name for name, actions in offers.items() if actions is None}
        if definition.calls_methods or definition.input_type:
            try:
                bound = await self._binder.bind(definition, _results(definition, offers), silent)
            except UnavailableError:
                remembered = self._admitted.get(definition.digest)
                if remembered is None:
                    raise
                # Old news of a service that is down are better than none.
                remembered.doubtful, remembered.until = False, self._timers.now() + PATIENCE
                return remembered.definition
            if not definition.descriptors:
                until = self._timers.now() + REFLECTED_FOR
        elif definition.descriptors:
            bound = replace(definition, descriptors=b"")
        if silent:
            until = min(until, self._timers.now() + PATIENCE)
        doubtful = any(self._changed_at.get(name, -inf) >= begun for name in bound.participants)
        self._remember(definition, bound, until, doubtful=doubtful)
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
    if actions is UNDESCRIBED:
        return
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
            described = None if actions is None else actions.get(step.action)
            found[step.name] = None if described is None else described.result_type
    return found
