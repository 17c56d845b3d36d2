"""Steps, as frozen values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Generic, Self

from typing_extensions import TypeVar

from amends._definition import _checks as checks
from amends._definition import _fields as fields
from amends._definition import _method_checks as method_checks
from amends._definition import _methods as methods
from amends._definition._methods import MethodCall, OutcomeRule
from amends._definition._retry import Retry
from amends.errors import DefinitionError, Problem
from amends.v1 import saga_pb2

# Without them, a step is one of any type: whoever does not care need not write any.
InputT = TypeVar("InputT", contravariant=True, default=Any)
ResultT = TypeVar("ResultT", covariant=True, default=Any)


class Kind(StrEnum):
    """Which way out of a saga a step leaves open."""

    COMPENSATABLE = checks.COMPENSATABLE
    """Can be undone. Comes before the pivot, if there is one."""
    PIVOT = checks.PIVOT
    """Decides: once it has succeeded, the saga only goes forward. At most one."""
    RETRIABLE = checks.RETRIABLE
    """Comes after the pivot, and is retried for ever."""


@dataclass(frozen=True, slots=True, init=False)
class Step(Generic[InputT, ResultT]):
    """One place in a saga: which action of which participant, after which steps, under which policy.

    ::

        Step("charge", "payments", "charge", timeout=5)
        Step("ship", "carrier", try_method="acme.v1.Carrier/Book", compensate_method="acme.v1.Carrier/Cancel")

    The second calls methods of a gRPC service that knows nothing of Amends.

    A ``Step[Order, Receipt]`` is one for sagas whose input is an ``Order``, and its result is a ``Receipt``.
    A ``DeclaredAction`` makes such steps; one that is written without types fits into any saga.

    Raises ``DefinitionError`` that lists everything wrong with the step by itself.
    """

    name: str
    """Unique within its definition."""
    participant: str
    """One that the coordinator is configured with."""
    action: str
    """An action of the participant. Empty: the step calls methods."""
    needs: tuple[str, ...] | None
    """Steps that must have succeeded before. None: the step listed before; empty: none."""
    kind: Kind
    """Which way out of the saga this step leaves open."""
    effect_free: bool
    """Whether there is nothing to undo; such a step is never compensated."""
    timeout: float | None
    """Seconds for one attempt; 1 ms to 1 h. None: 10 s."""
    retry: Retry | None
    """How attempts that end unknown are repeated. None: by the defaults."""
    try_method: MethodCall | None
    """The method to call as the step's Try. None: the step calls an action."""
    compensate_method: MethodCall | None
    """The method to call as its Compensate. None: there is an action, or nothing can be undone."""
    try_outcomes: tuple[OutcomeRule, ...]
    """What certain ends of a Try come to; the first rule that fits decides. At most 32."""
    compensate_outcomes: tuple[OutcomeRule, ...]
    """The same of a Compensate."""
    input_from: Callable[[InputT], object] | None = field(compare=False, repr=False)
    """Makes the step's own input from the saga's, when one is started. None: it takes the saga's, as
    the request of a ``try_method`` always does."""
    result_type: type[ResultT] | None = field(compare=False, repr=False)
    """What the step's result is read as. None: not known here."""

    def __init__(
        self,
        name: str,
        participant: str,
        action: str = "",
        *,
        needs: Sequence[str] | None = None,
        kind: Kind | str = Kind.COMPENSATABLE,
        effect_free: bool = False,
        timeout: float | timedelta | None = None,
        retry: Retry | None = None,
        try_method: MethodCall | str | None = None,
        compensate_method: MethodCall | str | None = None,
        try_outcomes: Sequence[OutcomeRule] = (),
        compensate_outcomes: Sequence[OutcomeRule] = (),
        input_from: Callable[[InputT], object] | None = None,
        result_type: type[ResultT] | None = None,
    ) -> None:
        problems = [
            *checks.check_name("name", name),
            *checks.check_name("participant", participant),
            *([] if action == "" else checks.check_name("action", action)),
            *fields.check_needs(needs),
            *_check_kind(kind),
        ]
        try_call = methods.call_of("try_method", try_method, problems)
        compensate_call = methods.call_of("compensate_method", compensate_method, problems)
        try_rules = methods.rules_of("try_outcomes", try_outcomes, problems)
        compensate_rules = methods.rules_of("compensate_outcomes", compensate_outcomes, problems)
        calls = method_checks.Calls(
            action=action,
            has_try=try_method is not None,
            has_request=try_call is not None and try_call.request != "",
            has_input=input_from is not None,
            has_compensate=compensate_method is not None,
            kind=kind,
            effect_free=effect_free,
            try_codes=[rule.code.name for rule in try_rules],
            compensate_codes=[rule.code.name for rule in compensate_rules],
        )
        problems += method_checks.check_calls(calls)
        if not isinstance(effect_free, bool):
            problems.append(Problem(description="must be True or False", field="effect_free"))
        if retry is not None and not isinstance(retry, Retry):
            problems.append(Problem(description="must be a Retry", field="retry"))
        seconds = fields.seconds_of("timeout", timeout, problems)
        low, high = checks.MIN_DURATION, checks.MAX_STEP_TIMEOUT
        problems += checks.check_range("timeout", seconds, low, high, " s")
        if problems:
            raise DefinitionError([replace(problem, step=str(name)) for problem in problems])
        fields.fill(
            self,
            name=name,
            participant=participant,
            action=action,
            try_method=try_call,
            compensate_method=compensate_call,
            try_outcomes=tuple(try_rules),
            compensate_outcomes=tuple(compensate_rules),
            needs=None if needs is None else tuple(needs),
            kind=Kind(kind),
            effect_free=effect_free,
            timeout=seconds,
            retry=retry,
            input_from=input_from,
            result_type=result_type,
        )

    def to_proto(self) -> saga_pb2.Step:
        """Returns the step as the contracts have it."""
        return saga_pb2.Step(
            name=self.name,
            participant=self.participant,
            action=self.action,
            needs=None if self.needs is None else saga_pb2.Step.Needs(steps=self.needs),
            kind=saga_pb2.Step.Kind.Value(self.kind.name),
            effect_free=self.effect_free,
            timeout=fields.to_duration(self.timeout),
            retry=None if self.retry is None else self.retry.to_proto(),
            try_method=None if self.try_method is None else self.try_method.to_proto(),
            compensate_method=None if self.compensate_method is None else self.compensate_method.to_proto(),
            try_outcomes=[rule.to_proto() for rule in self.try_outcomes],
            compensate_outcomes=[rule.to_proto() for rule in self.compensate_outcomes],
        )

    @classmethod
    def from_proto(cls, proto: saga_pb2.Step) -> Self:
        """Reads a step that the coordinator has checked."""
        return fields.fill(
            cls.__new__(cls),
            name=proto.name,
            participant=proto.participant,
            action=proto.action,
            try_method=MethodCall.from_proto(proto.try_method) if proto.HasField("try_method") else None,
            compensate_method=(
                MethodCall.from_proto(proto.compensate_method)
                if proto.HasField("compensate_method")
                else None
            ),
            try_outcomes=tuple(map(OutcomeRule.from_proto, proto.try_outcomes)),
            compensate_outcomes=tuple(map(OutcomeRule.from_proto, proto.compensate_outcomes)),
            needs=tuple(proto.needs.steps) if proto.HasField("needs") else None,
            kind=Kind[saga_pb2.Step.Kind.Name(proto.kind or saga_pb2.Step.COMPENSATABLE)],
            effect_free=proto.effect_free,
            timeout=fields.from_duration(proto, "timeout"),
            retry=Retry.from_proto(proto.retry) if proto.HasField("retry") else None,
            input_from=None,
            result_type=None,
        )


def _check_kind(kind: object) -> list[Problem]:
    if isinstance(kind, str) and kind in set(Kind):  # a list has no hash
        return []
    return [
        Problem(description=f"is {checks.shown(kind)}, but must be one of {', '.join(Kind)}", field="kind")
    ]
