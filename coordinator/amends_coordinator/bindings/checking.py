"""What is wrong with the methods and expressions of a definition, before there is any saga."""

from collections.abc import Mapping

from google.protobuf.descriptor import Descriptor, MethodDescriptor

from amends_coordinator.bindings.expressions import BOOL, Environment, WrongExpressionError
from amends_coordinator.bindings.variables import Variables
from amends_coordinator.core.checks import Violation
from amends_coordinator.core.definition import Definition, MethodCall, Step
from amends_coordinator.core.values import Direction
from amends_coordinator.descriptors.methods import WrongStepError, find_method
from amends_coordinator.descriptors.types import Types


class Checker:
    """Checks the steps of one definition."""

    def __init__(self, definition: Definition, types: Types, results: Mapping[str, str]) -> None:
        """Checks a definition.

        Args:
            definition: has passed the checks of the core.
            types: what it can speak of.
            results: the types of the results of steps that perform actions, by name, as far as known.
        """
        self._definition = definition
        self._types = types
        self._variables = Variables(definition, types)
        self._typed = self._variables.typed({**results, **_results_of_methods(definition, types)})
        self._environments: dict[tuple[tuple[str, str], ...], Environment] = {}

    def step_faults(self, place: int) -> list[Violation]:
        """Finds what is wrong with a step. Raises NoCelError."""
        step, at = self._definition.steps[place], f"steps[{place}]"
        if step.try_method is None:
            return []
        try:
            tried = find_method(self._types, f"{at}.try_method", step.try_method)
        except WrongStepError as error:
            return error.violations
        found = self._method_faults(place, Direction.FORWARD, step.try_method, tried, tried)
        if step.compensate_method is not None:
            try:
                undone = find_method(self._types, f"{at}.compensate_method", step.compensate_method)
            except WrongStepError as error:
                return found + error.violations
            found += self._method_faults(place, Direction.BACKWARD, step.compensate_method, undone, tried)
        return found

    def _method_faults(
        self,
        place: int,
        direction: Direction,
        call: MethodCall,
        method: MethodDescriptor,
        tried: MethodDescriptor,
    ) -> list[Violation]:
        step, forward = self._definition.steps[place], direction is Direction.FORWARD
        at = f"steps[{place}].{'try' if forward else 'compensate'}"
        variables = {} if forward else _of_the_try(tried)
        if call.request:
            found = self._faults(
                place, f"{at}_method.request", call.request, variables, method, method.input_type
            )
        else:
            found = self._default_faults(f"{at}_method.request", method, forward, tried)
        variables = {**variables, "response": method.output_type.full_name}
        for number, rule in enumerate(step.rules(direction)):
            if rule.condition:
                field = f"{at}_outcomes[{number}].condition"
                found += self._faults(place, field, rule.condition, variables, method, None)
        return found

    def _default_faults(
        self, field: str, method: MethodDescriptor, forward: bool, tried: MethodDescriptor
    ) -> list[Violation]:
        """Whether a request that is not said how to make can be made."""
        takes = method.input_type
        given = self._definition.input_type if forward else tried.input_type.full_name
        if not takes.fields or not given or given == takes.full_name:
            return []
        what = "the input is" if forward else "the request of the Try is"
        name = f"{method.containing_service.full_name}/{method.name}"
        why = f"is empty, but {name} takes a {takes.full_name}, and {what} a {given}"
        return [Violation(field, f"{why}; say how its request is made")]

    def _faults(
        self,
        place: int,
        field: str,
        text: str,
        variables: Mapping[str, str],
        method: MethodDescriptor,
        wanted: Descriptor | None,
    ) -> list[Violation]:
        found = [Violation(field, fault) for fault in self._variables.faults(place, text)]
        if found:
            return found
        try:
            self._environment(method.containing_service.file.package, variables).compile(text, wanted)
        except WrongExpressionError as error:
            hint = "; write results.NAME" if "reference to 'results'" in str(error) else ""
            return [Violation(field, f"{error}{hint}")]
        return []

    def _environment(self, package: str, variables: Mapping[str, str]) -> Environment:
        """The environment of a package with these variables; steps that call the same methods share one."""
        key = (("package", package), *sorted(variables.items()))
        found = self._environments.get(key)
        if found is None:
            found = Environment(self._types, {**self._typed, **variables}, package=package)
            self._environments[key] = found
        return found


def _of_the_try(tried: MethodDescriptor) -> dict[str, str]:
    """What a Compensate knows of the step's Try."""
    return {
        "request": tried.input_type.full_name,
        "responded": BOOL,
        "response": tried.output_type.full_name,
    }


def _results_of_methods(definition: Definition, types: Types) -> dict[str, str]:
    """The types of the results of steps that call methods."""

    def result(step: Step) -> MethodDescriptor | None:
        return None if step.try_method is None else types.method(step.try_method.method)

    found = ((step.name, result(step)) for step in definition.steps)
    return {name: method.output_type.full_name for name, method in found if method is not None}
