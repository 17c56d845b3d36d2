"""What a seed draws of steps that call methods: which, with which requests, and how their ends are read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import grpc

from amends_coordinator.core import definition as core
from tests.simulation.interface import SERVICE, SPELLINGS, Spelling, files, kind

DEPOT = "depot"
"""The node whose methods are called."""

_CODES = {code.name: code.value[0] for code in grpc.StatusCode}

_RAISED = ("UNAVAILABLE", "INTERNAL", "UNKNOWN", "ABORTED")
"""What the depot answers in a bad mood. ABORTED says by contract that there is no effect and never will be; a
rule of the step says that the depot means no such thing."""

_ABORTED = core.OutcomeRule(code=_CODES["ABORTED"], outcome=core.OutcomeKind.UNKNOWN)

_BY_STATUS = (
    _ABORTED,
    core.OutcomeRule(code=_CODES["RESOURCE_EXHAUSTED"], outcome=core.OutcomeKind.PENDING),
)
"""How the depot's answers are read where it speaks by statuses."""

_NEVER = core.OutcomeRule(
    code=0, condition="response.state == Answer.NEVER", outcome=core.OutcomeKind.REJECTED, reason="NEVER"
)
_LATER = core.OutcomeRule(
    code=0, condition="response.state == Answer.LATER", outcome=core.OutcomeKind.PENDING
)
"""The same where it speaks by its responses."""


@dataclass(frozen=True, slots=True)
class Given:
    """The input of a saga that calls methods, and the requests of those steps that do not make their own."""

    typed: bool = False  # whether it travels as the message that it is, and not as JSON
    moods: Mapping[str, str] = field(default_factory=dict)  # by step, of those that look there
    requests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by step

    def input(self, odd: str) -> Any:
        """The saga's input; ``odd`` is what is different about it, if anything."""
        content = {"moods": dict(self.moods), **_odd(odd)}
        return kind("Order")(**content) if self.typed else content

    def step_inputs(self, odd: str) -> dict[str, dict[str, str]]:
        """The inputs of single steps."""
        return {step: {**request, **_odd(odd)} for step, request in self.requests.items()}


def _odd(odd: str) -> dict[str, str]:
    return {"odd": odd} if odd else {}


def with_methods(
    random: Random,
    saga_id: str,
    definition: core.Definition,
    moods: Mapping[str, Mapping[str, Any]],
    reflects: bool,
) -> tuple[core.Definition, Given]:
    """Has some steps of a definition call methods of the depot instead of what they did.

    Args:
        random: draws.
        saga_id: of the one saga that has the definition.
        definition: whose steps perform actions.
        moods: of the steps.
        reflects: whether the depot can be asked for its types; it mostly speaks of its first release.
    """
    chosen = {step.name for step in definition.steps if random.random() < 0.6}
    release = random.choice([1, 1, 2])
    way = random.choice(["message", "json", "untyped"])
    asked = reflects and release == 1 and random.random() < 0.7
    drawing = _Drawing(random, saga_id, definition, chosen, SPELLINGS[release], way == "untyped")
    steps = tuple(
        drawing.step(place, moods[step.name]) if step.name in chosen else step
        for place, step in enumerate(definition.steps)
    )
    definition = replace(
        definition,
        steps=steps,
        input_type="" if way == "untyped" else "depot.v1.Order",
        descriptors=b"" if asked else files(release).SerializeToString(deterministic=True),
    )
    return definition, Given(way == "message", drawing.moods, drawing.requests)


class _Drawing:
    """The steps of one definition, on their way."""

    def __init__(
        self,
        random: Random,
        saga_id: str,
        definition: core.Definition,
        chosen: set[str],
        spelling: Spelling,
        untyped: bool,
    ) -> None:
        self.moods: dict[str, str] = {}
        self.requests: dict[str, dict[str, str]] = {}
        self._random = random
        self._saga_id = saga_id
        self._definition = definition
        self._chosen = chosen
        self._spelling = spelling
        self._untyped = untyped

    def step(self, place: int, mood: Mapping[str, Any]) -> core.Step:
        """Turns a step into one that calls methods."""
        random, step = self._random, self._definition.steps[place]
        # A status says nothing of a pivot that is in doubt: one that is rejected so is asked again for ever.
        by_status = random.random() < 0.4 and step.kind is not core.Kind.PIVOT
        manner = {"by_status": by_status, "raises_as": random.choice(_RAISED)}
        written = json.dumps({**mood, **manner})
        final = step.kind is not core.Kind.COMPENSATABLE and random.random() < 0.5
        undo = None if final or step.effect_free else self._undo()
        undone = _BY_STATUS if by_status else _rules(mood["refuses"], mood["pends_undo"])
        if self._untyped and random.random() < 0.4:
            request = ""  # the step's own input, as it is
            key = f"{self._saga_id}/{step.name}"
            self.requests[step.name] = {"key": key, self._spelling.mood: written}
        else:
            self.moods[step.name] = written
            request = self._request(place)
        return replace(
            step,
            participant=DEPOT,
            action="",
            try_method=core.MethodCall(f"{SERVICE}/Put", request),
            compensate_method=undo,
            try_outcomes=_BY_STATUS if by_status else _rules(mood["rejects"], mood["pends"]),
            compensate_outcomes=undone if undo is not None else (),
        )

    def _request(self, place: int) -> str:
        """Takes the mood from the input, and words from results of steps before."""
        earlier = sorted(self._before(place))
        used = self._random.sample(earlier, min(len(earlier), self._random.randint(0, 2)))
        words = ["''", *(self._word(self._definition.steps[other].name) for other in used)]
        fields = (
            "key: step.idempotency_key",
            f"{self._spelling.mood}: input.moods[step.name]",
            f"after: {' + '.join(words)}",
        )
        return f"PutRequest{{{', '.join(fields)}}}"

    def _before(self, place: int) -> set[int]:
        """The places of all steps that have succeeded when a step is tried."""
        needed = self._definition.needs[place]
        return set(needed).union(*(self._before(other) for other in needed))

    def _word(self, step: str) -> str:
        return f"results.{step}.{self._spelling.ticket if step in self._chosen else 'by'}"

    def _undo(self) -> core.MethodCall:
        mood, ticket = self._spelling
        by_ticket = f"TakeRequest{{{ticket}: response.{ticket}, {mood}: request.{mood}}}"
        by_key = f"TakeRequest{{key: step.idempotency_key, {mood}: request.{mood}}}"
        by_request = f"TakeRequest{{key: request.key, {mood}: request.{mood}}}"
        either = f"responded ? {by_ticket} : {by_key}"
        method, request = self._random.choice(
            [*[("Take", either)] * 4, *[("Take", by_request)] * 2, *[("Cancel", "")] * 2, ("Take", by_ticket)]
        )
        return core.MethodCall(f"{SERVICE}/{method}", request)


def _rules(refuses: float, pends: float) -> tuple[core.OutcomeRule, ...]:
    """As many rules as are needed: conditions take most of the time that a definition takes."""
    return (_ABORTED, *([_NEVER] if refuses else []), *([_LATER] if pends else []))
