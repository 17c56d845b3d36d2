"""Definitions, steps and retry policies as frozen values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from os import PathLike
from typing import Any, Generic, Self

from typing_extensions import TypeVar

from amends._definition import _checks as checks
from amends._definition import _fields as fields
from amends.errors import DefinitionError, Problem
from amends.v1 import saga_pb2

# Without them, a step or a definition is one of any type: whoever does not care need not write any.
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
class Retry:
    """How attempts that end unknown are repeated: exponential backoff with full jitter.

    What is left out takes the coordinator's default.

    Raises ``DefinitionError`` for a value out of its range.
    """

    max_attempts: int | None
    """Attempts of a Try before the saga turns back; 1 to 1,000,000. Default 20."""
    initial_backoff: float | None
    """Seconds that bound the first wait; 1 ms to 1 h. Default 0.1."""
    backoff_multiplier: float | None
    """Growth of the bound from wait to wait; 1 to 100. Default 2."""
    max_backoff: float | None
    """Seconds that bound every wait; from initial_backoff up to 24 h. Default 10."""

    def __init__(
        self,
        max_attempts: int | None = None,
        initial_backoff: float | timedelta | None = None,
        backoff_multiplier: float | None = None,
        max_backoff: float | timedelta | None = None,
    ) -> None:
        problems: list[Problem] = []
        if max_attempts is not None and not fields.is_whole(max_attempts):
            problems.append(
                Problem(description=f"is {max_attempts!r}, but must be a whole number", field="max_attempts")
            )
            max_attempts = None
        initial = fields.seconds_of("initial_backoff", initial_backoff, problems)
        multiplier = fields.number("backoff_multiplier", backoff_multiplier, problems)
        greatest = fields.seconds_of("max_backoff", max_backoff, problems)
        problems += checks.check_retry(max_attempts, initial, multiplier, greatest)
        if problems:
            raise DefinitionError(problems)
        fields.fill(
            self,
            max_attempts=max_attempts,
            initial_backoff=initial,
            backoff_multiplier=multiplier,
            max_backoff=greatest,
        )

    def to_proto(self) -> saga_pb2.RetryPolicy:
        """Returns the policy as the contracts have it."""
        return saga_pb2.RetryPolicy(
            max_attempts=self.max_attempts or 0,
            initial_backoff=fields.to_duration(self.initial_backoff),
            backoff_multiplier=self.backoff_multiplier or 0.0,
            max_backoff=fields.to_duration(self.max_backoff),
        )

    @classmethod
    def from_proto(cls, proto: saga_pb2.RetryPolicy) -> Self:
        """Reads a policy that the coordinator has checked."""
        return fields.fill(
            cls.__new__(cls),
            max_attempts=proto.max_attempts or None,
            initial_backoff=fields.from_duration(proto, "initial_backoff"),
            backoff_multiplier=proto.backoff_multiplier or None,
            max_backoff=fields.from_duration(proto, "max_backoff"),
        )


@dataclass(frozen=True, slots=True, init=False)
class Step(Generic[InputT, ResultT]):
    """One place in a saga: which action of which participant, after which steps, under which policy.

    A ``Step[Order, Receipt]`` is one for sagas whose input is an ``Order``, and its result is a ``Receipt``.
    A ``DeclaredAction`` makes such steps; one that is written without types fits into any saga.

    Raises ``DefinitionError`` that lists everything wrong with the step by itself.
    """

    name: str
    """Unique within its definition."""
    participant: str
    """One that the coordinator is configured with."""
    action: str
    """An action of the participant."""
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
    input_from: Callable[[InputT], object] | None = field(compare=False, repr=False)
    """Makes the step's own input from the saga's, when one is started. None: it takes the saga's."""
    result_type: type[ResultT] | None = field(compare=False, repr=False)
    """What the step's result is read as. None: not known here."""

    def __init__(
        self,
        name: str,
        participant: str,
        action: str,
        *,
        needs: Sequence[str] | None = None,
        kind: Kind | str = Kind.COMPENSATABLE,
        effect_free: bool = False,
        timeout: float | timedelta | None = None,
        retry: Retry | None = None,
        input_from: Callable[[InputT], object] | None = None,
        result_type: type[ResultT] | None = None,
    ) -> None:
        problems = [
            *checks.check_name("name", name),
            *checks.check_name("participant", participant),
            *checks.check_name("action", action),
            *fields.check_needs(needs),
            *_check_kind(kind),
        ]
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
        )

    @classmethod
    def from_proto(cls, proto: saga_pb2.Step) -> Self:
        """Reads a step that the coordinator has checked."""
        return fields.fill(
            cls.__new__(cls),
            name=proto.name,
            participant=proto.participant,
            action=proto.action,
            needs=tuple(proto.needs.steps) if proto.HasField("needs") else None,
            kind=Kind[saga_pb2.Step.Kind.Name(proto.kind or saga_pb2.Step.COMPENSATABLE)],
            effect_free=proto.effect_free,
            timeout=fields.from_duration(proto, "timeout"),
            retry=Retry.from_proto(proto.retry) if proto.HasField("retry") else None,
            input_from=None,
            result_type=None,
        )


@dataclass(frozen=True, init=False)
class Definition(Generic[InputT]):
    """A named list of steps with their policies; sagas run it.

    ::

        order = Definition(
            "order",
            [
                Step("reserve", "inventory", "reserve"),
                Step("charge", "payments", "charge"),
                Step("ship", "shipping", "ship", kind=Kind.PIVOT),
            ],
            timeout=60,
        )
        order = Definition.from_yaml("order.yaml")

    A ``Definition[Order]`` runs sagas whose input is an ``Order``, which a type checker then sees to.

    Raises ``DefinitionError`` that lists everything wrong with the whole.
    """

    name: str
    """The form of every name: 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':', '~' and '-'."""
    steps: tuple[Step, ...]
    """1 to 1,000 steps."""
    timeout: float | None
    """Seconds a saga may go forward before it turns back; 1 ms to 366 days. None: no limit."""
    version: int = field(compare=False)
    """Numbers the content registered under the name, from 1. 0: not registered."""

    def __init__(
        self, name: str, steps: Sequence[Step[InputT]], timeout: float | timedelta | None = None
    ) -> None:
        problems = [*checks.check_name("name", name), *_check_steps(steps)]
        seconds = fields.seconds_of("timeout", timeout, problems)
        low, high = checks.MIN_DURATION, checks.MAX_SAGA_TIMEOUT
        problems += checks.check_range("timeout", seconds, low, high, " s")
        if problems:
            raise DefinitionError(problems)
        fields.fill(self, name=name, steps=tuple(steps), timeout=seconds, version=0)

    def __getitem__(self, name: str) -> Step:
        """Returns the step of this name. Raises ``KeyError`` if there is none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def to_proto(self) -> saga_pb2.Definition:
        """Returns the definition as the contracts have it, a new message each time."""
        return saga_pb2.Definition.FromString(self._serialized)

    @cached_property
    def inputs_from(self) -> Mapping[str, Callable[[InputT], object]]:
        """What makes the inputs of the steps that have their own, by step name."""
        return {step.name: step.input_from for step in self.steps if step.input_from is not None}

    @cached_property
    def _serialized(self) -> bytes:
        # Parsing is several times faster than building step by step, and sagas start by the thousand.
        return saga_pb2.Definition(
            name=self.name,
            steps=[step.to_proto() for step in self.steps],
            timeout=fields.to_duration(self.timeout),
        ).SerializeToString()

    @classmethod
    def from_proto(cls, proto: saga_pb2.Definition) -> Self:
        """Reads a definition that the coordinator has checked; what it accepted is not judged again."""
        return fields.fill(
            cls.__new__(cls),
            name=proto.name,
            steps=tuple(map(Step.from_proto, proto.steps)),
            timeout=fields.from_duration(proto, "timeout"),
            version=proto.version,
        )

    @classmethod
    def from_yaml(cls, path: str | PathLike[str]) -> Self:
        """Reads a definition from a YAML file.

        Raises ``DefinitionError`` that lists every mistake with its line, ``OSError`` if the file cannot be
        read.
        """
        from amends._definition import _yaml

        parts = _yaml.read_file(path)
        return cls(parts.name, parts.steps, parts.timeout)

    @classmethod
    def from_yaml_text(cls, text: str, source: str = "<text>") -> Self:
        """Reads a definition from YAML; ``source`` is what messages call it.

        Raises ``DefinitionError`` that lists every mistake with its line.
        """
        from amends._definition import _yaml

        parts = _yaml.read_text(text, source)
        return cls(parts.name, parts.steps, parts.timeout)


def _check_kind(kind: object) -> list[Problem]:
    if kind in set(Kind):
        return []
    return [Problem(description=f"is {kind!r}, but must be one of {', '.join(Kind)}", field="kind")]


def _check_steps(steps: Sequence[Step[Any]]) -> list[Problem]:
    if not all(isinstance(step, Step) for step in steps):
        return [Problem(description="must be a list of Step", field="steps")]
    places = [checks.Place(step.name, step.needs, step.kind) for step in steps]
    return [finding.problem for finding in checks.check_places(places)]
