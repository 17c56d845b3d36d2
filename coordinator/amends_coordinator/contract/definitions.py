"""Definitions.

Written with every field explicit, so that a default which changes later cannot change a saga that runs.
"""

import hashlib
from typing import cast
from weakref import WeakValueDictionary

from google.rpc import code_pb2

from amends.v1 import saga_pb2
from amends_coordinator.contract.recent import Recent
from amends_coordinator.contract.values import duration_from_proto, duration_to_proto
from amends_coordinator.core.checks import Violation, check_step_count, first_faults
from amends_coordinator.core.definition import (
    DEFAULT_TIMEOUT,
    Definition,
    Kind,
    MethodCall,
    OutcomeKind,
    OutcomeRule,
    Retry,
    Step,
)
from amends_coordinator.core.limits import MAX_DESCRIPTORS, MAX_RULES

_RULES = ("try_outcomes", "compensate_outcomes")
_OUTCOMES = frozenset(OutcomeKind)


def definition_to_proto(definition: Definition) -> saga_pb2.Definition:
    """Turns a definition into its message."""
    message = saga_pb2.Definition(
        name=definition.name,
        version=definition.version,
        steps=[_step_to_proto(step) for step in definition.steps],
        input_type=definition.input_type,
    )
    if definition.timeout is not None:
        message.timeout.CopyFrom(duration_to_proto(definition.timeout))
    if definition.descriptors:
        message.descriptors.MergeFromString(definition.descriptors)
    return message


def _step_to_proto(step: Step) -> saga_pb2.Step:
    return saga_pb2.Step(
        name=step.name,
        participant=step.participant,
        action=step.action,
        needs=saga_pb2.Step.Needs(steps=step.needs),
        kind=saga_pb2.Step.Kind.ValueType(step.kind),
        effect_free=step.effect_free,
        timeout=duration_to_proto(step.timeout),
        retry=saga_pb2.RetryPolicy(
            max_attempts=step.retry.max_attempts,
            initial_backoff=duration_to_proto(step.retry.initial_backoff),
            backoff_multiplier=step.retry.backoff_multiplier,
            max_backoff=duration_to_proto(step.retry.max_backoff),
        ),
        try_method=_call_to_proto(step.try_method),
        compensate_method=_call_to_proto(step.compensate_method),
        try_outcomes=map(_rule_to_proto, step.try_outcomes),
        compensate_outcomes=map(_rule_to_proto, step.compensate_outcomes),
    )


def _call_to_proto(call: MethodCall | None) -> saga_pb2.MethodCall | None:
    return None if call is None else saga_pb2.MethodCall(method=call.method, request=call.request)


def _rule_to_proto(rule: OutcomeRule) -> saga_pb2.OutcomeRule:
    return saga_pb2.OutcomeRule(
        code=cast("code_pb2.Code", rule.code),
        condition=rule.condition,
        outcome=saga_pb2.OutcomeRule.Outcome.ValueType(rule.outcome),
        reason=rule.reason,
    )


def check_counts(message: saga_pb2.Definition) -> list[Violation]:
    """Checks how long the lists of a definition are, and that its rules come to something that is known: the
    rest is worth reading only if they are sane.

    Reading makes an object of every step, which takes many times the bytes that the step took in the message.
    """
    most = len(message.steps)
    return (
        check_step_count(most)
        or first_faults(
            Violation(f"steps[{place}].needs", f"names {len(step.needs.steps)} steps of {most}")
            for place, step in enumerate(message.steps)
            if len(step.needs.steps) > most
        )
        or first_faults(
            Violation(
                f"steps[{place}].{field}", f"has {len(getattr(step, field))} rules, but may have {MAX_RULES}"
            )
            for place, step in enumerate(message.steps)
            for field in _RULES
            if len(getattr(step, field)) > MAX_RULES
        )
        or first_faults(
            Violation(
                f"steps[{place}].{field}[{number}].outcome",
                f"is {rule.outcome or 'missing'}, but must say what such an attempt came to",
            )
            for place, step in enumerate(message.steps)
            for field in _RULES
            for number, rule in enumerate(getattr(step, field))
            if rule.outcome not in _OUTCOMES
        )
    )


def definition_from_proto(message: saga_pb2.Definition) -> Definition:
    """Reads a definition, with the defaults in place of what is unset. It is yet to be checked.

    Raises:
        ValueError: a step's kind, or what a rule says, is a number that the contracts do not know.
    """
    steps: list[Step] = []
    for step in message.steps:
        previous = (steps[-1].name,) if steps else ()
        steps.append(_step_from_proto(step, previous))
    return Definition(
        name=message.name,
        steps=tuple(steps),
        timeout=duration_from_proto(message.timeout) if message.HasField("timeout") else None,
        version=message.version,
        input_type=message.input_type,
        descriptors=_descriptors_from_proto(message),
    )


def _descriptors_from_proto(message: saga_pb2.Definition) -> bytes:
    if not message.HasField("descriptors"):
        return b""
    return shared_descriptors(message.descriptors.SerializeToString())


def _step_from_proto(message: saga_pb2.Step, previous: tuple[str, ...]) -> Step:
    timeout = duration_from_proto(message.timeout) if message.HasField("timeout") else DEFAULT_TIMEOUT
    return Step(
        name=message.name,
        participant=message.participant,
        action=message.action,
        needs=tuple(message.needs.steps) if message.HasField("needs") else previous,
        kind=Kind(message.kind or Kind.COMPENSATABLE),
        effect_free=message.effect_free,
        timeout=timeout,
        retry=_retry_from_proto(message.retry),
        try_method=_call_from_proto(message, "try_method"),
        compensate_method=_call_from_proto(message, "compensate_method"),
        try_outcomes=tuple(map(_rule_from_proto, message.try_outcomes)),
        compensate_outcomes=tuple(map(_rule_from_proto, message.compensate_outcomes)),
    )


def _call_from_proto(message: saga_pb2.Step, field: str) -> MethodCall | None:
    if not message.HasField(field):  # type: ignore[arg-type] # the caller names a field of this message
        return None
    call: saga_pb2.MethodCall = getattr(message, field)
    return MethodCall(call.method, call.request)


def _rule_from_proto(message: saga_pb2.OutcomeRule) -> OutcomeRule:
    return OutcomeRule(
        code=message.code,
        outcome=OutcomeKind(message.outcome),
        condition=message.condition,
        reason=message.reason,
    )


def _retry_from_proto(message: saga_pb2.RetryPolicy) -> Retry:
    default = Retry()
    initial = default.initial_backoff
    if message.HasField("initial_backoff"):
        initial = duration_from_proto(message.initial_backoff)
    longest = max(default.max_backoff, initial)
    if message.HasField("max_backoff"):
        longest = duration_from_proto(message.max_backoff)
    return Retry(
        max_attempts=message.max_attempts or default.max_attempts,
        initial_backoff=initial,
        backoff_multiplier=message.backoff_multiplier or default.backoff_multiplier,
        max_backoff=longest,
    )


MAX_RECENT = 16 << 20
"""Bytes of definitions that are remembered beyond what sagas hold, in each of four forms: as read, as
written, and descriptors alone, of a size that sagas keep and larger. Clients may make up definitions at will.
Most take a few KiB, so that thousands fit, and of the largest descriptors that sagas keep 64."""

_STEP = 1 << 10
"""Bytes that a step takes as an object, beside the bytes of its message."""

_AS_MESSAGE = 10
"""Bytes in memory for each encoded byte of a message: 3 to 12 as measured, most where its parts are small."""

_live: WeakValueDictionary[bytes, Definition] = WeakValueDictionary()
_read: Recent[bytes, Definition] = Recent(MAX_RECENT)
_written: Recent[Definition, saga_pb2.Definition] = Recent(MAX_RECENT)
_descriptors: Recent[bytes, bytes] = Recent(MAX_RECENT)
_large_descriptors: Recent[bytes, bytes] = Recent(MAX_RECENT)


def shared_definition(message: saga_pb2.Definition) -> Definition:
    """Reads a definition as one object for all sagas that carry the same bytes, however many these are.

    Thousands of live sagas then hold one definition between them, and reading it is a look-up. It is shared
    for as long as anybody holds it, and for a while longer, so that the next start need not read it again.
    """
    data = message.SerializeToString(deterministic=True)
    key = hashlib.blake2b(data, digest_size=32).digest()

    def read() -> Definition:
        found = _live.get(key)
        return _live.setdefault(key, definition_from_proto(message)) if found is None else found

    return _read.get(key, read, lambda definition: len(data) + _STEP * len(definition.steps))


def shared_descriptors(descriptors: bytes) -> bytes:
    """Returns these descriptors as one object for all definitions that have them.

    Some differ in no more than a timeout, and descriptors are most of what they take. Larger ones than sagas
    keep, as they may be sent, drive out none that are kept.
    """
    recent = _descriptors if len(descriptors) <= MAX_DESCRIPTORS else _large_descriptors
    return recent.get(descriptors, lambda: descriptors, len)


def shared_message(definition: Definition) -> saga_pb2.Definition:
    """Turns a definition into a message that is shared, and so must not be changed."""
    return _written.get(
        definition, lambda: definition_to_proto(definition), lambda message: _AS_MESSAGE * message.ByteSize()
    )
