"""What steps call where no action of a participant does it, and what their attempts come to."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

import grpc

from amends._definition import _fields as fields
from amends._definition import _method_checks as checks
from amends._definition._checks import shown
from amends.errors import DefinitionError, Problem
from amends.v1 import saga_pb2

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Outcome(StrEnum):
    """What an attempt came to, of a Try or of a Compensate."""

    SUCCEEDED = "succeeded"
    """The effect is applied, or for a Compensate: undone."""
    REJECTED = checks.REJECTED
    """It had no effect, and asking again would be answered alike; a Compensate is refused."""
    PENDING = "pending"
    """It is not decided yet, and is asked again later."""
    UNKNOWN = "unknown"
    """It may have happened, and is asked again."""


@dataclass(frozen=True, slots=True, init=False)
class MethodCall:
    """A unary method of any gRPC service, and how its request is made.

    ::

        MethodCall("shop.v1.Shipping/ShipOrder", "ShipOrderRequest{order_id: input.id}")

    The request is an expression in CEL. It knows the ``input`` of the saga, ``results.NAME`` of the steps
    that this one needs, ``saga`` and ``step``; in a Compensate also the ``request`` of the Try, its
    ``response``, and whether it ``responded``. The coordinator checks it against the types of the service.

    Raises ``DefinitionError`` for a name or an expression that cannot be one.
    """

    method: str
    """The full name of the service, a slash, and the name of the method."""
    request: str
    """Makes the request; up to 16 KiB. Empty: the saga's input, or in a Compensate the Try's request."""

    def __init__(self, method: str, request: str = "") -> None:
        problems = [*checks.check_method("method", method), *checks.check_expression("request", request)]
        if problems:
            raise DefinitionError(problems)
        fields.fill(self, method=method, request=request)

    def to_proto(self) -> saga_pb2.MethodCall:
        """Returns the call as the contracts have it."""
        return saga_pb2.MethodCall(method=self.method, request=self.request)

    @classmethod
    def from_proto(cls, proto: saga_pb2.MethodCall) -> Self:
        """Reads a call that the coordinator has checked."""
        return fields.fill(cls.__new__(cls), method=proto.method, request=proto.request)


@dataclass(frozen=True, slots=True, init=False)
class OutcomeRule:
    """Says what an attempt came to that ended in a certain way, where the contract says otherwise.

    ::

        OutcomeRule("NOT_FOUND", "succeeded")
        OutcomeRule("OK", Outcome.REJECTED, "response.status == Status.DECLINED", reason="CARD_DECLINED")

    Raises ``DefinitionError`` that lists everything wrong with the rule by itself.
    """

    code: grpc.StatusCode
    """The status code that the rule is for."""
    outcome: Outcome
    """What the attempt came to."""
    condition: str
    """An expression in CEL about the ``response``, up to 16 KiB; with OK, and only there."""
    reason: str
    """The reason of a rejection or refusal that is read from an OK. Empty: REJECTED_BY_RESPONSE."""

    def __init__(
        self, code: grpc.StatusCode | str, outcome: Outcome | str, condition: str = "", reason: str = ""
    ) -> None:
        problems: list[Problem] = []
        known_code = _code(code, problems)
        if not isinstance(outcome, str) or outcome not in set(Outcome):  # a list has no hash
            text = f"is {shown(outcome)}, but must be one of {', '.join(Outcome)}"
            problems.append(Problem(description=text, field="outcome"))
        problems += checks.check_expression("condition", condition)
        if not isinstance(reason, str):
            problems.append(Problem(description=f"is {shown(reason)}, but must be text", field="reason"))
        if known_code is not None and not problems:
            problems += checks.check_rule(known_code.name, outcome, condition, reason)
        if problems:
            raise DefinitionError(problems)
        fields.fill(self, code=known_code, outcome=Outcome(outcome), condition=condition, reason=reason)

    def to_proto(self) -> saga_pb2.OutcomeRule:
        """Returns the rule as the contracts have it."""
        return saga_pb2.OutcomeRule(
            code=self.code.value[0],
            condition=self.condition,
            outcome=saga_pb2.OutcomeRule.Outcome.Value(self.outcome.name),
            reason=self.reason,
        )

    @classmethod
    def from_proto(cls, proto: saga_pb2.OutcomeRule) -> Self:
        """Reads a rule that the coordinator has checked."""
        return fields.fill(
            cls.__new__(cls),
            code=_CODES[proto.code],
            outcome=Outcome[saga_pb2.OutcomeRule.Outcome.Name(proto.outcome)],
            condition=proto.condition,
            reason=proto.reason,
        )


def _code(code: object, problems: list[Problem]) -> grpc.StatusCode | None:
    """A status code, given as one or by its name; anything else becomes a problem."""
    if isinstance(code, grpc.StatusCode):
        return code
    names = grpc.StatusCode.__members__
    if isinstance(code, str) and code in names:
        return names[code]
    near = _near(str(code))
    hint = f"; did you mean {near}?" if near else ", such as NOT_FOUND"
    text = f"is {shown(code)}, but must be a status code of gRPC{hint}"
    problems.append(Problem(description=text, field="code"))
    return None


def _near(code: str) -> str:
    """The name that was meant by a number, or by a misspelt name; empty if nobody can tell."""
    numbers = {str(number): known.name for number, known in _CODES.items()}
    near = difflib.get_close_matches(code.upper(), numbers.values(), 1)
    return numbers.get(code) or (near[0] if near else "")


def call_of(field: str, value: object, problems: list[Problem]) -> MethodCall | None:
    """Passes a call on, and makes one of a method's name; anything else becomes a problem."""
    if value is None or isinstance(value, MethodCall):
        return value
    if not isinstance(value, str):
        text = "must be a MethodCall, or the name of a method"
        problems.append(Problem(description=text, field=field))
        return None
    try:
        return MethodCall(value)
    except DefinitionError as error:
        problems += [replace(problem, field=field) for problem in error.problems]
        return None


def rules_of(field: str, value: object, problems: list[Problem]) -> Sequence[OutcomeRule]:
    """Passes rules on; anything else becomes a problem."""
    if isinstance(value, list | tuple) and all(isinstance(rule, OutcomeRule) for rule in value):
        return value
    problems.append(Problem(description="must be a list of OutcomeRule", field=field))
    return ()
