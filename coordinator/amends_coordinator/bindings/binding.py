"""One method of a step, bound: found among the types, its request and its conditions compiled."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, MethodDescriptor

from amends_coordinator.bindings.expressions import BOOL, Expression, WrongExpressionError, compiled
from amends_coordinator.bindings.scope import Scope
from amends_coordinator.bindings.types import EMPTY_TYPE, JSON_TYPE, Types
from amends_coordinator.core.checks import Violation
from amends_coordinator.core.definition import Definition, MethodCall, OutcomeRule, Step
from amends_coordinator.core.values import Direction


class WrongStepError(Exception):
    """A step that cannot be called as it is written."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(f"{each.field} {each.description}" for each in violations))
        self.violations = violations


@dataclass(frozen=True, slots=True)
class Bound:
    """A method, with what makes its request and reads its answer."""

    method: MethodDescriptor
    request: Expression | None
    """None: by the defaults of the contract."""
    conditions: tuple[tuple[OutcomeRule, Expression], ...]
    """Of the rules for OK, in their order."""


def find_method(types: Types, field: str, call: MethodCall) -> MethodDescriptor:
    """Finds the method that a field names. Raises WrongStepError."""
    method = types.method(call.method)
    if method is None:
        service, offered = call.method.partition("/")[0], types.methods(call.method)
        if offered is None:
            why = f"names a method of {service}, which is no service that the descriptors know"
        else:
            why = f"names no method of {service}; it has: {', '.join(offered)}"
        raise WrongStepError([Violation(f"{field}.method", why)])
    if method.client_streaming or method.server_streaming:
        why = f"names {call.method}, which streams, but only unary methods can be steps"
        raise WrongStepError([Violation(f"{field}.method", why)])
    return method


def bind(definition: Definition, place: int, direction: Direction, types: Types, scope: Scope) -> Bound:
    """Binds the method that a step calls in a direction.

    Raises:
        WrongStepError: it cannot be called so; says of each field what is wrong with it.
        NoCelError: CEL is not installed.
    """
    return _Binding(definition, definition.steps[place], place, direction, types, scope).bound()


class _Binding:
    """The binding of one method, on its way."""

    def __init__(
        self,
        definition: Definition,
        step: Step,
        place: int,
        direction: Direction,
        types: Types,
        scope: Scope,
    ) -> None:
        self._definition = definition
        self._step = step
        self._types = types
        self._scope = scope
        self._forward = direction is Direction.FORWARD
        self._rules = step.rules(direction)
        self._at = f"steps[{place}]"
        self._name = "try" if self._forward else "compensate"
        self._faults: list[Violation] = []

    def bound(self) -> Bound:
        """Binds it. Raises WrongStepError."""
        assert self._step.try_method is not None, "only steps that call methods are bound"
        tried = find_method(self._types, f"{self._at}.try_method", self._step.try_method)
        call, method = self._step.try_method, tried
        if not self._forward:
            assert self._step.compensate_method is not None, "only a method that there is is bound"
            call = self._step.compensate_method
            method = find_method(self._types, f"{self._at}.compensate_method", call)
        request = self._request(call, method, tried)
        conditions = tuple(self._conditions(method, tried))
        if self._faults:
            raise WrongStepError(self._faults)
        return Bound(method, request, conditions)

    def _request(
        self, call: MethodCall, method: MethodDescriptor, tried: MethodDescriptor
    ) -> Expression | None:
        field, takes = f"{self._at}.{self._name}_method.request", method.input_type
        if call.request:
            if takes.full_name.startswith("google.protobuf.") and takes.full_name not in (
                EMPTY_TYPE,
                JSON_TYPE,
            ):
                why = f"is set, but {call.method} takes a {takes.full_name}, which no expression gives"
                self._faults.append(Violation(field, why))
                return None
            return self._compile(field, call.request, method, tried, takes)
        given = self._definition.input_type if self._forward else tried.input_type.full_name
        if takes.fields and given and given != takes.full_name:
            what = "the input is" if self._forward else "the request of the Try is"
            why = f"is empty, but {call.method} takes a {takes.full_name}, and {what} a {given}"
            self._faults.append(Violation(field, f"{why}; say how its request is made"))
        return None

    def _conditions(
        self, method: MethodDescriptor, tried: MethodDescriptor
    ) -> Iterator[tuple[OutcomeRule, Expression]]:
        for number, rule in enumerate(self._rules):
            if rule.condition:
                field = f"{self._at}.{self._name}_outcomes[{number}].condition"
                condition = self._compile(field, rule.condition, method, tried, None)
                if condition is not None:
                    yield rule, condition

    def _compile(
        self,
        field: str,
        text: str,
        method: MethodDescriptor,
        tried: MethodDescriptor,
        wanted: Descriptor | None,
    ) -> Expression | None:
        variables = self._scope.variables(text)
        if not self._forward:
            variables |= {"request": tried.input_type.full_name, "responded": BOOL}
            variables["response"] = tried.output_type.full_name
        if wanted is None:
            variables["response"] = method.output_type.full_name
        package = method.containing_service.file.package
        try:
            return compiled(text, self._types, variables, package=package, wanted=wanted)
        except WrongExpressionError as error:
            self._faults.append(Violation(field, self._scope.explain(str(error))))
            return None
