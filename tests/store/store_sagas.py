"""Short ways to say what happens to a saga, for the tests of the stores."""

from collections.abc import Mapping

from amends_coordinator.core.definition import Definition, Step
from amends_coordinator.core.facts import Fact, SagaCompensated, SagaCompleted, SagaStarted, StepSucceeded
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Payload
from amends_coordinator.store.interface import Append, SagaRow

NOW = 1_790_000_000.123456
PAYLOAD = Payload("type.googleapis.com/google.protobuf.StringValue", b"\n\x03a\x00b")
NO_LABELS: Mapping[str, str] = {}


def definition(name: str = "order", steps: int = 2) -> Definition:
    """A sequence of steps s0, s1, ..."""
    names = [f"s{place}" for place in range(steps)]
    return Definition(
        name=name,
        steps=tuple(
            Step(name=step, participant="shop", action="sell", needs=tuple(names[place - 1 : place]))
            for place, step in enumerate(names)
        ),
    )


def row(
    saga_id: str,
    time: float = NOW,
    state: SagaState = SagaState.RUNNING,
    *,
    name: str = "order",
    labels: Mapping[str, str] = NO_LABELS,
    end_time: float | None = None,
    needs_attention: str = "",
) -> SagaRow:
    return SagaRow(
        id=saga_id,
        definition_name=name,
        state=state,
        create_time=time,
        end_time=(time + 1 if end_time is None else end_time) if state.ended else None,
        labels=labels,
        needs_attention=needs_attention,
    )


def started(name: str = "order", labels: Mapping[str, str] = NO_LABELS) -> SagaStarted:
    return SagaStarted(definition=definition(name), input=PAYLOAD, step_inputs={}, labels=labels)


def start(
    saga_id: str, time: float = NOW, *, name: str = "order", labels: Mapping[str, str] = NO_LABELS
) -> Append:
    """The saga is accepted: event 1."""
    return Append(
        saga_id=saga_id,
        first_sequence=1,
        time=time,
        facts=[started(name, labels)],
        row=row(saga_id, time, name=name, labels=labels),
    )


def more(
    saga_id: str, sequence: int, *facts: Fact, time: float = NOW, renewed: SagaRow | None = None
) -> Append:
    """Something happens to the saga, from event ``sequence`` on."""
    return Append(
        saga_id=saga_id,
        first_sequence=sequence,
        time=time,
        facts=facts or [StepSucceeded("s0", 1, PAYLOAD)],
        row=renewed,
    )


def whole(stored: SagaRow) -> list[Append]:
    """Everything that leads to this row."""
    begun = start(stored.id, stored.create_time, name=stored.definition_name, labels=stored.labels)
    fact = SagaCompleted() if stored.state is SagaState.COMPLETED else SagaCompensated()
    return [begun, more(stored.id, 2, fact, time=stored.end_time or stored.create_time, renewed=stored)]
