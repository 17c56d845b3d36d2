"""The methods that steps name, found among the types."""

from google.protobuf.descriptor import MethodDescriptor

from amends_coordinator.core.checks import Violation
from amends_coordinator.core.definition import MethodCall
from amends_coordinator.descriptors.types import Types


class WrongStepError(Exception):
    """A step that cannot be called as it is written; says of each field what is wrong with it."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(f"{each.field} {each.description}" for each in violations))
        self.violations = violations


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
