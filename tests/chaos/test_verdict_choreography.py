"""The verdict on services that coordinate by events can be guilty: one thing wrong, and what it says."""

import json
from dataclasses import replace
from typing import Any

import pytest

from amends import SagaState
from amends._bus.interface import Message
from amends.v1 import choreography_pb2
from tests.chaos.choreography.caretaker import Dead
from tests.chaos.choreography.evidence import Evidence
from tests.chaos.choreography.shapes import FAN, LINE, Shape
from tests.chaos.choreography.verdict import LETTER, ends_of, violations
from tests.chaos.notebook import Note, Told
from tests.promises.choreography import Part
from tests.promises.ledgers import Line, Trace

APPLIED, UNDONE, REJECTED = "TRIED", "COMPENSATED", "REJECTED"


def asked(shape: str, **wishes: Any) -> Note:
    return Note(told=Told.ASKED, saga="s", content=1, what=json.dumps({"shape": shape, "wishes": wishes}))


BEGUN = Note(told=Told.ACCEPTED, saga="s", content=1, what="begun")


def trace(place: int, fence: str) -> Trace:
    """Steps are applied in the order of the shape, and undone in reverse."""
    lines = [] if fence == REJECTED else [Line("applied", f"d{place}", 10 + place)]
    lines += [Line("undone", f"d{place}", 90 - place)] if fence == UNDONE else []
    return Trace(fence=fence, lines=tuple(lines), moves=(fence,))


def parts(shape: Shape, fences: dict[str, str]) -> dict[str, dict[str, Part]]:
    found: dict[str, dict[str, Part]] = {step.service: {} for step in shape.values()}
    for place, (name, step) in enumerate(shape.items()):
        if name in fences:
            found[step.service].setdefault("s", Part()).traces[name] = trace(place, fences[name])
    return found


def evidence(shape: Shape, fences: dict[str, str], *notes: Note, **more: Any) -> Evidence:
    return replace(
        Evidence(
            parts=parts(shape, fences),
            contents={"s": 1},
            messages=(),
            families={},
            outboxes={},
            dead=(),
            shown={},
            notes=notes,
            broken=(),
        ),
        **more,
    )


def told(*arguments: Any, **more: Any) -> list[str]:
    return list(violations(evidence(*arguments, **more)))


COMPLETED = dict.fromkeys(FAN, APPLIED)
LINE_UNDONE = {"ask": UNDONE, "hold": UNDONE, "pay": UNDONE, "deliver": REJECTED}
BACK = asked("line", deliver={"reject": True})


def test_what_agrees_is_not_told() -> None:
    """A saga that completed, and one that was undone down the line."""
    assert told(FAN, COMPLETED, asked("fan"), BEGUN) == []
    assert told(LINE, LINE_UNDONE, BACK, BEGUN) == []


def test_sagas_are_counted_by_how_they_ended() -> None:
    """Completed, compensated, or turned away at the door."""
    assert ends_of(evidence(FAN, COMPLETED)) == {"completed": 1}
    assert ends_of(evidence(LINE, LINE_UNDONE)) == {"compensated": 1}
    assert ends_of(evidence(LINE, {"ask": REJECTED})) == {"turned away": 1}


def test_a_step_that_never_came_about_is_told() -> None:
    """Nothing was to be rejected, and the last event was lost."""
    fences = {name: APPLIED for name in FAN if name != "close"}
    assert told(FAN, fences, asked("fan"), BEGUN) == [
        "P2: nothing was to be rejected, and 'close' is None, saga s"
    ]


def test_an_effect_that_was_left_is_told() -> None:
    """One step was rejected, and another never heard of it."""
    [violation] = told(LINE, {**LINE_UNDONE, "ask": APPLIED}, BACK, BEGUN)
    assert violation == "P3: a step was to be rejected, and 'ask' is TRIED, saga s"


def test_a_saga_that_nobody_asked_for_is_told() -> None:
    """It is at the services, and in no customer's notebook."""
    assert told(FAN, COMPLETED) == ["P10: nobody asked for it, saga s"]


def test_a_step_of_another_shape_is_told() -> None:
    """What has a fence has to be part of the saga."""
    found = told({**FAN, **LINE}, {**COMPLETED, "hold": APPLIED}, asked("fan"), BEGUN)
    assert "P7: 'hold' has a fence, and is no step of it, saga s" in found


def moved(step: str, shape: Shape, fences: dict[str, str], lines: tuple[Line, ...]) -> dict[str, Any]:
    found = parts(shape, fences)
    traces = found[shape[step].service]["s"].traces
    traces[step] = replace(traces[step], lines=lines)
    return {"parts": found}


def test_an_effect_before_what_it_needs_is_told() -> None:
    """P6 forward: shipped before the branches met."""
    [*found] = told(
        FAN, COMPLETED, asked("fan"), BEGUN, **moved("ship", FAN, COMPLETED, (Line("applied", "d", 1),))
    )
    assert "P6: 'ship' was applied before 'meet_stock', which it needs, saga s" in found


def test_a_compensation_out_of_its_chain_is_told() -> None:
    """P6 backward: the first of the line undone before the second."""
    lines = (Line("applied", "d", 10), Line("undone", "d", 11))
    [violation] = told(LINE, LINE_UNDONE, BACK, BEGUN, **moved("ask", LINE, LINE_UNDONE, lines))
    assert violation == "P6: 'ask' was undone before 'hold', which it waits for, saga s"


def test_something_undone_after_the_pivot_is_told() -> None:
    """P8: once shipped nothing turns back."""
    fences = {**COMPLETED, "charge": UNDONE}
    assert "P8: the pivot was applied, and ['charge'] undone, saga s" in told(
        FAN, fences, asked("fan"), BEGUN
    )


@pytest.mark.parametrize(
    ("fence", "content", "note", "violation"),
    [
        (None, None, BEGUN, "P1: it was begun, and its entry is None"),
        (APPLIED, 2, BEGUN, "P10: content 1 was begun, and the desk has 2"),
        (
            None,
            None,
            replace(BEGUN, told=Told.EXISTS),
            "P1: it was said to exist, and the desk does not know it",
        ),
        (
            APPLIED,
            1,
            replace(BEGUN, told=Told.EXISTS),
            "P10: content 1 was refused as another, and is what the desk has",
        ),
        (
            APPLIED,
            1,
            replace(BEGUN, told=Told.ENDED, what="rejected"),
            "P1: it was told to be rejected, and its entry is TRIED",
        ),
        (
            APPLIED,
            1,
            replace(BEGUN, told=Told.ENDED, what="late"),
            "P1: it was told to be compensated, and its entry is TRIED",
        ),
    ],
)
def test_what_a_customer_was_told_has_to_be_so(
    fence: str | None, content: int | None, note: Note, violation: str
) -> None:
    """P1 and P10, from outside."""
    fences = {} if fence is None else {"open": fence}
    contents = {} if content is None else {"s": content}
    assert f"{violation}, saga s" in told(FAN, fences, asked("fan"), note, contents=contents)


# The bus


def message(event: str, kind: str = "chaos.v1.Opened", data: bytes = b"") -> Message:
    source, _, event_id = event.partition("/")
    headers = {"ce-source": source, "ce-id": event_id, "ce-type": kind}
    return Message(id=event, key="s", subject=kind.replace(".v1", ""), headers=headers, data=data)


SHOWN = {"s": SagaState.COMPLETED}


def on_bus(*messages: Message, **more: Any) -> list[str]:
    return told(FAN, COMPLETED, asked("fan"), BEGUN, **{"messages": messages, "shown": SHOWN, **more})


def test_an_event_that_a_service_never_received_is_told() -> None:
    """It asked for the subject, and its inbox does not know the event."""
    families = {"stock": frozenset({"chaos.Opened"}), "gate": frozenset({"chaos.Ready"})}
    assert on_bus(message("desk/1"), families=families) == [
        "P2: desk/1 is on the bus, and at stock it is None, saga s"
    ]


def test_an_event_that_never_reached_the_bus_is_told() -> None:
    """It is in the outbox alone."""
    assert on_bus(message("desk/1"), outboxes={"desk": [("s", "desk/1"), ("s", "desk/2")]}) == [
        "P2: desk/2 of desk is not on the bus, saga s"
    ]


def test_events_of_a_saga_out_of_order_are_told() -> None:
    """The later row of an outbox is on the bus before the earlier one."""
    outboxes = {"desk": [("s", "desk/1"), ("s", "desk/2")]}
    assert on_bus(message("desk/2"), message("desk/1"), outboxes=outboxes) == [
        "P6: desk/2 of desk was published before an earlier one, saga s"
    ]
    # What is published again later was there before.
    assert on_bus(*map(message, ("desk/1", "desk/2", "desk/1")), outboxes=outboxes) == []


def letter(service: str, event: str, reference: str = "gate/9") -> Message:
    data = choreography_pb2.DeadLetter(consumer=service, event_id=event).SerializeToString()
    return message(reference, LETTER, data)


def test_what_was_dead_has_to_be_told_by_a_letter_and_to_be_wished_for() -> None:
    """P12: dead where a handler was to be broken, and there is a letter."""
    broken = asked("fan", ship={"break": "raise"})
    dead = (Dead("gate", "s", "gate/1"),)
    good = evidence(
        FAN, COMPLETED, broken, BEGUN, dead=dead, messages=(letter("gate", "gate/1"),), shown=SHOWN
    )
    assert list(violations(good)) == []
    assert list(violations(replace(good, messages=()))) == [
        "P12: gate/1 was dead at gate, and no letter says so, saga s"
    ]
    assert list(violations(replace(good, notes=(asked("fan"), BEGUN)))) == [
        "P12: gate/1 was dead at gate, and the errand breaks None, saga s"
    ]


def test_an_event_that_died_twice_is_told() -> None:
    """P12: its inbox remembers it, so that there is one letter; the bus may hold that twice."""
    letters = [letter("gate", "gate/1"), letter("gate", "gate/1", "gate/10")]
    assert on_bus(*letters) == ["P12: gate/1 has died 2 times at gate"]
    assert on_bus(letters[0], letters[0]) == []


def test_what_the_tracker_shows_has_to_be_so() -> None:
    """Every saga that has events is shown as what it came to."""
    assert on_bus(message("desk/1"), shown={"s": SagaState.COMPENSATED}) == [
        "P2: it ended COMPLETED, and the tracker shows COMPENSATED, saga s"
    ]
