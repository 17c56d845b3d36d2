"""What requests must look like: each is read once, at the door, and every fault of it is named."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from google.protobuf import any_pb2

from amends._ids import new_saga_id
from amends.v1 import coordinator_pb2 as pb
from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.api import limits
from amends_coordinator.bindings.plan import plan_of
from amends_coordinator.contract.definitions import check_counts, shared_definition
from amends_coordinator.contract.values import duration_from_proto, optional_moment, payload_from_proto
from amends_coordinator.core.checks import Violation, check_name, first_faults
from amends_coordinator.core.definition import Definition
from amends_coordinator.core.limits import MAX_STEPS
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Payload, Resolution
from amends_coordinator.runtime.errors import InvalidRequestError
from amends_coordinator.store.interface import Cursor, Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A request to start a saga, read and found well-formed. Its definition is yet to be admitted."""

    saga_id: str
    definition: Definition | None  # None: to be looked up by name
    definition_name: str
    input: Payload | None
    step_inputs: Mapping[str, Payload]
    labels: Mapping[str, str]
    wait: float  # seconds; 0 does not wait
    traceparent: str


def read_start(request: pb.StartSagaRequest) -> Start:
    """Reads a start. Raises InvalidRequestError."""
    found: list[Violation] = []
    if request.saga_id:
        found += check_name("saga_id", request.saga_id)
    definition = None
    source = request.WhichOneof("source")
    if source == "definition":
        definition = _read_inline(request, found)
    elif source == "definition_name":
        found += check_name("definition_name", request.definition_name)
    else:
        found.append(Violation("definition_name", "is missing: name a definition, or send one"))
    _check_payloads(request, found)
    if request.labels:
        _check_labels(request.labels, found)
    wait = duration_from_proto(request.wait) if request.HasField("wait") else 0.0
    if found:
        raise InvalidRequestError(found)
    return Start(
        saga_id=request.saga_id or new_saga_id(),
        definition=definition,
        definition_name=request.definition_name if definition is None else definition.name,
        input=payload_from_proto(request.input) if request.HasField("input") else None,
        step_inputs={name: payload_from_proto(each) for name, each in request.step_inputs.items()},
        labels=dict(request.labels),
        wait=min(max(wait, 0.0), limits.MAX_WAIT),
        traceparent=request.traceparent,
    )


def _read_inline(request: pb.StartSagaRequest, found: list[Violation]) -> Definition | None:
    try:
        return read_definition(request.definition)
    except InvalidRequestError as error:
        found += error.violations
        return None


def read_definition(message: saga_pb2.Definition) -> Definition:
    """Reads the definition in a request, which is yet to be admitted. Raises InvalidRequestError."""
    found = check_counts(message)
    if found:
        raise InvalidRequestError(found).within("definition")
    try:
        definition = shared_definition(message)
    except ValueError as error:
        raise InvalidRequestError([Violation("definition.steps", f"cannot be read: {error}")]) from error
    # It is none of the registered versions, whatever number it carries.
    return definition if definition.version == 0 else replace(definition, version=0)


def check_step_inputs(start: Start, definition: Definition) -> None:
    """Checks that every step input is that of a step. Raises InvalidRequestError."""
    found = first_faults(
        Violation(f"step_inputs[{name!r}]", "is for no step of the definition")
        for name in start.step_inputs
        if name not in definition.position
    )
    if found:
        raise InvalidRequestError(found)


def check_inputs(start: Start, definition: Definition) -> None:
    """Checks that inputs are of the types that the definition takes. Raises InvalidRequestError."""
    found = first_faults(plan_of(definition).input_faults(start.input, start.step_inputs))
    if found:
        raise InvalidRequestError(found)


def check_result(result: Payload, definition: Definition, place: int) -> None:
    """Checks that a step may have given what an operator says. Raises InvalidRequestError."""
    if definition.steps[place].try_method is not None:
        found = list(plan_of(definition).result_faults(place, result))
        if found:
            raise InvalidRequestError(found)


def _check_payloads(request: pb.StartSagaRequest, found: list[Violation]) -> None:
    _check_payload("input", request.input, found)
    if len(request.step_inputs) > MAX_STEPS:
        found.append(Violation("step_inputs", f"are {len(request.step_inputs)}, but may be {MAX_STEPS}"))
        return
    total = 0
    for name, payload in request.step_inputs.items():
        _check_payload(f"step_inputs[{name!r}]", payload, found)
        total += len(payload.value)
    if total > limits.MAX_STEP_INPUTS:
        found.append(
            Violation("step_inputs", f"take {total} bytes in all, but may take {limits.MAX_STEP_INPUTS}")
        )


def _check_payload(field: str, payload: any_pb2.Any, found: list[Violation]) -> None:
    if len(payload.type_url) > limits.MAX_TYPE_URL:
        message = f"has {len(payload.type_url)} characters, but may have {limits.MAX_TYPE_URL}"
        found.append(Violation(f"{field}.type_url", message))
    size = len(payload.value)
    if size > limits.MAX_PAYLOAD:
        found.append(Violation(field, f"takes {size} bytes, but may take {limits.MAX_PAYLOAD}"))


def _check_labels(labels: Mapping[str, str], found: list[Violation]) -> None:
    if len(labels) > limits.MAX_LABELS:
        found.append(Violation("labels", f"are {len(labels)}, but may be {limits.MAX_LABELS}"))
        return
    for key, value in labels.items():
        found += check_name(f"labels key {key[:40]!r}", key)
        if not value.isprintable():
            found.append(Violation(f"labels[{key[:40]!r}]", "has characters that cannot be printed"))
        if len(value) > limits.MAX_LABEL_VALUE:
            found.append(
                Violation(
                    f"labels[{key[:40]!r}]",
                    f"has {len(value)} characters, but may have {limits.MAX_LABEL_VALUE}",
                )
            )


def check_saga_id(saga_id: str) -> None:
    """Checks the id in a request. Raises InvalidRequestError."""
    found = check_name("saga_id", saga_id)
    if found:
        raise InvalidRequestError(found)


def is_shown_id(saga_id: str) -> bool:
    """Whether a saga may have this id: those that others begin may have ids that we would not give out."""
    return 0 < len(saga_id) <= limits.MAX_SHOWN_ID and saga_id.isprintable()


def check_definition_name(name: str) -> None:
    """Checks the name of a definition in a request. Raises InvalidRequestError."""
    found = check_name("name", name)
    if found:
        raise InvalidRequestError(found)


def check_words(field: str, words: str, *, required: bool = False) -> None:
    """Checks what somebody says for the log. Raises InvalidRequestError."""
    if len(words) > limits.MAX_WORDS:
        message = f"has {len(words)} characters, but may have {limits.MAX_WORDS}"
        raise InvalidRequestError([Violation(field, message)])
    if required and not words.strip():
        raise InvalidRequestError([Violation(field, "is empty: say how you know; it is kept in the log")])


def read_resolution(request: pb.ResolveStepRequest) -> tuple[Resolution, Payload | None]:
    """Reads what an operator states. Raises InvalidRequestError."""
    check_saga_id(request.saga_id)
    check_words("reason", request.reason, required=True)
    try:
        resolution = Resolution(request.resolution)
    except ValueError:
        choices = ", ".join(each.name for each in Resolution)
        raise InvalidRequestError([Violation("resolution", f"must be one of {choices}")]) from None
    if not request.HasField("result"):
        return resolution, None
    found: list[Violation] = []
    _check_payload("result", request.result, found)
    if request.resolution != event_pb2.StepResolved.SUCCEEDED:
        found.append(Violation("result", "goes only with the resolution SUCCEEDED"))
    if found:
        raise InvalidRequestError(found)
    return resolution, payload_from_proto(request.result)


# Lists


def read_page_size(size: int) -> int:
    """Reads a page size. Raises InvalidRequestError."""
    if size < 0:
        raise InvalidRequestError([Violation("page_size", f"is {size}, but must not be negative")])
    return min(size or limits.DEFAULT_PAGE, limits.MAX_PAGE)


def read_filter(request: pb.ListSagasRequest) -> Filter:
    """Reads the conditions of a list. Raises InvalidRequestError."""
    found: list[Violation] = []
    states = _read_states(request, found)
    if request.definition_name:
        found += check_name("definition_name", request.definition_name)
    _check_labels(request.labels, found)
    for field in ("created_from", "created_before"):
        if request.HasField(field) and not _is_moment(getattr(request, field).seconds):
            found.append(Violation(field, "is no moment of the years 1 to 9999"))
    if found:
        raise InvalidRequestError(found)
    return Filter(
        states=states,
        definition_name=request.definition_name,
        labels=dict(request.labels),
        created_from=optional_moment(request, "created_from"),
        created_before=optional_moment(request, "created_before"),
        needs_attention=request.needs_attention,
        stalled=saga_pb2.Saga.STALLED in request.states,
    )


def _read_states(request: pb.ListSagasRequest, found: list[Violation]) -> tuple[SagaState, ...]:
    states: list[SagaState] = []
    if len(request.states) > limits.MAX_STATES:
        found.append(Violation("states", f"are {len(request.states)}, but may be {limits.MAX_STATES}"))
        return ()
    for number, state in enumerate(request.states):
        if state == saga_pb2.Saga.STALLED:
            continue  # in none of the sagas that the machine drives; it has a condition of its own
        try:
            states.append(SagaState(state))
        except ValueError:
            found.append(Violation(f"states[{number}]", f"is {state}, which is no state of a saga"))
    return tuple(states)


def _is_moment(seconds: float) -> bool:
    return limits.FIRST_MOMENT <= seconds <= limits.LAST_MOMENT


def write_token(condition: Filter, last: Cursor) -> str:
    """Makes the token of the page after this place, good for the same conditions only."""
    content = json.dumps([_digest(condition), last.create_time, last.saga_id])
    return base64.urlsafe_b64encode(content.encode()).decode()


def read_token(condition: Filter, token: str) -> Cursor | None:
    """Reads a page token; None for the first page. Raises InvalidRequestError."""
    if not token:
        return None
    try:
        digest, create_time, saga_id = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        cursor = Cursor(float(create_time), str(saga_id))
        # Anybody can forge one; what it says must be something that the store can look for.
        if not _is_moment(cursor.create_time) or not is_shown_id(cursor.saga_id):
            raise ValueError("it names no place")
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidRequestError(
            [Violation("page_token", "is not one that this coordinator gave out")]
        ) from None
    if digest != _digest(condition):
        raise InvalidRequestError([Violation("page_token", "belongs to a list with other conditions")])
    return cursor


def _digest(condition: Filter) -> str:
    """Tells conditions apart; the order of labels and states, which is none of them, makes no difference."""
    content = [
        sorted(set(condition.states)),
        condition.definition_name,
        sorted(condition.labels.items()),
        condition.created_from,
        condition.created_before,
        condition.needs_attention,
        condition.stalled,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
