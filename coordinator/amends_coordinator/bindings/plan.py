"""How the steps of a definition call methods: with which requests, and what their responses are."""

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from amends_coordinator.bindings.binding import Bound, WrongStepError, bind
from amends_coordinator.bindings.expressions import FailedExpressionError
from amends_coordinator.bindings.scope import Scope, words_in
from amends_coordinator.bindings.types import Types, WrongPayloadError, message_of, types_of
from amends_coordinator.bindings.wanted import texts_of
from amends_coordinator.core.checks import Violation
from amends_coordinator.core.definition import Definition, OutcomeRule
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import Direction, Payload

_NEVER_LEARNED = (
    "it is made of the response of the Try, which was never learned; find out what became of that call, undo "
    "it if need be, and resolve the step"
)


class BindingFailedError(Exception):
    """What cannot be made of the values of a saga; the message says why."""


class Plan:
    """How the steps of one definition call methods. Each step is worked out when it is first asked for."""

    def __init__(self, definition: Definition, types: Types, results: Mapping[str, str]) -> None:
        """Plans a definition.

        Args:
            definition: has passed the checks.
            types: what it can speak of.
            results: the types of the results of steps that perform actions, by name, as far as known.
        """
        self._definition = definition
        self._types = types
        self._results = {**results, **_results_of_methods(definition, types)}
        self._scopes: dict[int, Scope] = {}
        self._bound: dict[tuple[int, Direction], Bound] = {}

    def faults(self) -> Iterator[Violation]:
        """Finds what is wrong with the methods and expressions of all steps. Raises NoCelError."""
        for place, step in enumerate(self._definition.steps):
            found: list[Violation] = []
            for direction in Direction:
                if step.method(direction) is not None:
                    try:
                        self._bind(place, direction)
                    except WrongStepError as error:
                        # What is wrong with a Try is found again with its Compensate.
                        found += (each for each in error.violations if each not in found)
            yield from found

    def input_faults(self, given: Payload | None, own: Mapping[str, Payload]) -> Iterator[Violation]:
        """Finds what is wrong with the input of a saga, and with the inputs of single steps."""
        kind = self._definition.input_type
        if kind and given is None:
            yield Violation("input", f"is missing, but must be a {kind}")
        elif given is not None and (kind or self._uses_input):
            yield from self._payload_faults("input", given, kind)
        for place, step in enumerate(self._definition.steps):
            if step.try_method is None:
                continue
            if step.try_method.request:
                if step.name in own:
                    yield Violation(f"step_inputs[{step.name!r}]", "is for a step that makes its own request")
                continue
            takes = self._bind(place, Direction.FORWARD).method.input_type
            payload = own.get(step.name, given)
            if not takes.fields or (kind and step.name not in own):
                continue
            field = f"step_inputs[{step.name!r}]" if step.name in own else "input"
            if payload is None:
                yield Violation(
                    field, f"is missing, but step {step.name!r} calls with it as a {takes.full_name}"
                )
            else:
                yield from self._payload_faults(field, payload, takes.full_name)

    def result_faults(self, place: int, result: Payload) -> Iterator[Violation]:
        """Finds what is wrong with what an operator says that a method has answered."""
        yield from self._payload_faults("result", result, self._results[self._definition.steps[place].name])

    @cached_property
    def _uses_input(self) -> bool:
        """Whether any expression speaks of the input."""
        return "input" in words_in(text for step in self._definition.steps for text in texts_of(step))

    def _payload_faults(self, field: str, payload: Payload, kind: str) -> Iterator[Violation]:
        try:
            self._types.read(payload, kind)
        except WrongPayloadError as error:
            yield Violation(field, str(error) if kind else f"{error}; name its type as the input_type")

    def request(self, saga: Saga, place: int, direction: Direction) -> Message:
        """Makes the request of a call.

        Raises:
            BindingFailedError: it cannot be made.
            NoCelError: CEL is not installed any more.
        """
        try:
            bound = self._bind(place, direction)
            if bound.request is not None:
                values = self._scope(place).values(saga, bound.request.text)
                if direction is Direction.BACKWARD:
                    values |= self._tried(saga, place, bound.request.text)
                return bound.request.message(values)
            return self._default(saga, place, direction, bound.method.input_type)
        except FailedExpressionError as error:
            lost = direction is Direction.BACKWARD and str(error) == "there is no value of response"
            raise BindingFailedError(_NEVER_LEARNED if lost else str(error)) from error
        except (WrongStepError, WrongPayloadError) as error:
            raise BindingFailedError(str(error)) from error

    def response(self, place: int, direction: Direction, value: bytes) -> Message:
        """Reads the response of a call. Raises WrongPayloadError."""
        return self._types.parse(self._bind(place, direction).method.output_type.full_name, value)

    def rule(self, saga: Saga, place: int, direction: Direction, response: Message) -> OutcomeRule | None:
        """Finds the first rule that a response fits. Raises BindingFailedError: one cannot be evaluated."""
        conditions = self._bind(place, direction).conditions
        if not conditions:
            return None
        text = "\n".join(condition.text for _, condition in conditions)
        try:
            values = self._scope(place).values(saga, text)
            if direction is Direction.BACKWARD:
                values |= self._tried(saga, place, text)
            values["response"] = response
            return next((rule for rule, condition in conditions if condition.truth(values)), None)
        except (FailedExpressionError, WrongPayloadError) as error:
            raise BindingFailedError(str(error)) from error

    def _default(self, saga: Saga, place: int, direction: Direction, takes: Descriptor) -> Message:
        if not takes.fields:
            return message_of(takes)
        if direction is Direction.BACKWARD:
            return self.request(saga, place, Direction.FORWARD)
        payload = saga.step_input(place)
        if payload is None:
            raise BindingFailedError("the saga has no input")
        return self._types.read(payload, takes.full_name)

    def _tried(self, saga: Saga, place: int, text: str) -> dict[str, Any]:
        """What expressions about a Compensate know of the step's Try, as far as the text mentions it."""
        result = saga.runs[place].result
        found: dict[str, Any] = {"responded": result is not None}
        if "request" in text:
            found["request"] = self.request(saga, place, Direction.FORWARD)
        if result is not None and "response" in text:
            gives = self._bind(place, Direction.FORWARD).method.output_type
            found["response"] = self._types.read(result, gives.full_name)
        return found

    def _bind(self, place: int, direction: Direction) -> Bound:
        found = self._bound.get((place, direction))
        if found is None:
            found = bind(self._definition, place, direction, self._types, self._scope(place))
            self._bound[place, direction] = found
        return found

    def _scope(self, place: int) -> Scope:
        found = self._scopes.get(place)
        if found is None:
            found = self._scopes[place] = Scope(self._definition, place, self._types, self._results)
        return found


def _results_of_methods(definition: Definition, types: Types) -> dict[str, str]:
    """The types of the results of steps that call methods."""
    found = {}
    for step in definition.steps:
        method = None if step.try_method is None else types.method(step.try_method.method)
        if method is not None:
            found[step.name] = method.output_type.full_name
    return found


@lru_cache(maxsize=256)
def plan_of(definition: Definition) -> Plan:
    """The plan of a definition that was admitted, by the descriptors that it keeps.

    Raises:
        UnusableDescriptorsError: those are damaged.
    """
    return Plan(definition, types_of(definition.descriptors), {})
