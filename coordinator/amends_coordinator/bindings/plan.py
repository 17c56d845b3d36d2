"""How the steps of a definition call methods: with which requests, and what their responses are."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import EncodeError, Message

from amends_coordinator.bindings.expressions import (
    Environment,
    Expression,
    FailedExpressionError,
    WrongExpressionError,
)
from amends_coordinator.bindings.text import mentions, results_in
from amends_coordinator.bindings.variables import UNTYPED, Variables, read
from amends_coordinator.bindings.wanted import texts_of
from amends_coordinator.contract.recent import Recent
from amends_coordinator.core.checks import Violation
from amends_coordinator.core.definition import Definition, OutcomeRule
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import Direction, Payload
from amends_coordinator.descriptors.methods import WrongStepError, find_method
from amends_coordinator.descriptors.settling import reaches_any, settle
from amends_coordinator.descriptors.types import LINKED, Types, WrongPayloadError, message_of, types_of

MAX_PLANNED = 128 << 20
"""Bytes, about, that plans in memory may take; others are made anew when they are needed."""

_METHOD_BYTES = 8 << 10
"""Bytes of a method with its expressions, about."""

_NO_KEY = re.compile(r'Key not found in map : "(.*)"')

_NEVER_LEARNED = (
    "it is made of the response of the Try, which was never learned; find out what became of that call, undo "
    "it if need be, and resolve the step"
)


class BindingFailedError(Exception):
    """What cannot be made of the values of a saga; the message says why."""


@dataclass(frozen=True, slots=True)
class _Bound:
    """A method, with what makes its request and reads its answer."""

    method: MethodDescriptor
    request: Expression | None
    """None: by the defaults of the contract."""
    conditions: tuple[tuple[OutcomeRule, Expression], ...]
    """Of the rules for OK, in their order."""
    reaches_any: bool
    """Whether there may be an Any in the request."""


class Plan:
    """How the steps of one definition call methods. Each step is worked out when it is first asked for."""

    def __init__(self, definition: Definition, types: Types) -> None:
        """Plans a definition that was admitted, of these types."""
        self._definition = definition
        self._types = types
        self._variables = Variables(definition, types)
        self._bound: dict[tuple[int, Direction], _Bound] = {}

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
        gives = self._bind(place, Direction.FORWARD).method.output_type
        yield from self._payload_faults("result", result, gives.full_name)

    @cached_property
    def _uses_input(self) -> bool:
        """Whether any expression speaks of the input."""
        texts = (text for step in self._definition.steps for text in texts_of(step))
        return any(mentions(text, "input") for text in texts)

    def _payload_faults(self, field: str, payload: Payload, kind: str) -> Iterator[Violation]:
        try:
            read(self._types, payload, kind)
        except WrongPayloadError as error:
            yield Violation(field, str(error) if kind else f"{error}; name its type as the input_type")

    def request(self, saga: Saga, place: int, direction: Direction) -> bytes:
        """Makes the request of a call, the same bytes each time.

        Raises:
            BindingFailedError: it cannot be made.
            NoCelError: CEL is not installed any more.
        """
        message = self._request(saga, place, direction)
        if self._bind(place, direction).reaches_any:
            settle(message, self._types)
        try:
            return message.SerializeToString(deterministic=True)
        except EncodeError as error:  # of proto2, where fields can be required
            missing = ", ".join(message.FindInitializationErrors())  # type: ignore[attr-defined] # not in the stubs
            raise BindingFailedError(
                f"it has no {missing}, which {message.DESCRIPTOR.full_name} requires"
            ) from error

    def _request(self, saga: Saga, place: int, direction: Direction) -> Message:
        try:
            bound = self._bind(place, direction)
            if bound.request is None:
                return self._default(saga, place, direction, bound.method.input_type)
            values = self._variables.values(saga, place, bound.request.text)
            if direction is Direction.BACKWARD:
                values |= self._tried(saga, place, bound.request.text)
            try:
                return bound.request.message(values)
            except FailedExpressionError as error:
                raise BindingFailedError(_why(error, values, bound.request)) from error
        except (WrongStepError, WrongExpressionError, WrongPayloadError) as error:
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
            values = self._variables.values(saga, place, text)
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
            return self._request(saga, place, Direction.FORWARD)
        payload = saga.step_input(place)
        if payload is None:
            raise BindingFailedError("the saga has no input")
        return read(self._types, payload, takes.full_name)

    def _tried(self, saga: Saga, place: int, text: str) -> dict[str, Any]:
        """What expressions about a Compensate know of the step's Try, as far as the text mentions it."""
        result = saga.runs[place].result
        found: dict[str, Any] = {"responded": result is not None}
        if mentions(text, "request"):
            found["request"] = self._request(saga, place, Direction.FORWARD)
        if result is not None and mentions(text, "response"):
            gives = self._bind(place, Direction.FORWARD).method.output_type
            found["response"] = self._types.read(result, gives.full_name)
        return found

    def _bind(self, place: int, direction: Direction) -> _Bound:
        """Works out a method. Raises WrongStepError, WrongExpressionError and NoCelError."""
        found = self._bound.get((place, direction))
        if found is not None:
            return found
        step = self._definition.steps[place]
        call = step.method(direction)
        assert call is not None, "Invariant: what has no method is never called"
        method = find_method(self._types, f"steps[{place}]", call)
        package = method.containing_service.file.package
        request, conditions = None, []
        if call.request:
            request = _environment(self._types, package).compile(call.request, method.input_type)
        for rule in step.rules(direction):
            if rule.condition:
                condition = _environment(self._types, package).compile(rule.condition, None)
                conditions.append((rule, condition))
        found = _Bound(method, request, tuple(conditions), reaches_any(method.input_type))
        self._bound[place, direction] = found
        return found


def _why(error: FailedExpressionError, values: Mapping[str, Any], expression: Expression) -> str:
    """Why an expression came to nothing, in words of its variables."""
    words = str(error)
    if words == "there is no value of response" and "responded" in values:
        return _NEVER_LEARNED
    key = _NO_KEY.fullmatch(words)
    if key is not None and key[1] in results_in(expression.text).keys() - values["results"].keys():
        return f"there is no value of results.{key[1]}"
    return words


@lru_cache(maxsize=64)
def _environment(types: Types, package: str) -> Environment:
    return Environment(types, UNTYPED, package=package)


_plans: Recent[Definition, Plan] = Recent(MAX_PLANNED)


def plan_of(definition: Definition) -> Plan:
    """The plan of a definition that was admitted, by the descriptors that it keeps.

    Raises:
        UnusableDescriptorsError: those are damaged.
    """
    return _plans.get(
        definition,
        lambda: Plan(definition, types_of(definition.descriptors)),
        lambda _: 2 * _METHOD_BYTES * len(definition.steps) + LINKED * len(definition.descriptors),
    )
