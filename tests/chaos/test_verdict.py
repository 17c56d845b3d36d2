"""The comparison can fail: evidence in which one thing is wrong, and the violation that is told of it."""

from collections.abc import Sequence
from dataclasses import replace

from google.protobuf.struct_pb2 import Struct

from amends_coordinator.core import facts as f
from amends_coordinator.core.definition import Definition, Kind, Step
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Cause, Direction, Payload, Refusal, Rejection, TurnBack
from amends_coordinator.store.interface import SagaRow
from tests.chaos.evidence import Evidence, Record
from tests.chaos.notebook import Note, Told
from tests.chaos.verdict import violations
from tests.promises.ledgers import Line, Trace

TWO_STEPS = Definition(
    name="two",
    steps=(
        Step(name="first", participant="alpha", action="plain"),
        Step(name="second", participant="alpha", action="plain", needs=("first",)),
    ),
)
SIDE_BY_SIDE = Definition(name="two", steps=tuple(replace(step, needs=()) for step in TWO_STEPS.steps))
REJECTED = TurnBack(Cause.STEP_REJECTED, "second", "NO", "")

ASKED = Note(told=Told.ASKED, saga="s", content=1)
ACCEPTED = Note(told=Told.ACCEPTED, saga="s", content=1)

CONSEQUENCES = (f.CompensationStarted, f.SagaCompleted, f.SagaCompensated)
"""What is decided together with the fact before it, and so has its time."""


def started(definition: Definition = TWO_STEPS, deadline: float | None = None) -> f.SagaStarted:
    content = Struct()
    content.update({"content": 1})
    payload = Payload("type.googleapis.com/google.protobuf.Struct", content.SerializeToString())
    return f.SagaStarted(definition=definition, input=payload, step_inputs={}, labels={}, deadline=deadline)


def log(state: SagaState, *facts: f.Fact, attention: str = "") -> Record:
    """A log with a decision a second, and the row that goes with it."""
    events, now = [], 0.0
    for number, fact in enumerate(facts, start=1):
        now += not isinstance(fact, CONSEQUENCES)
        events.append(f.Event(number, now, fact))
    end = now if state.ended else None
    row = SagaRow(
        id="s", definition_name="two", state=state, create_time=1.0, end_time=end, needs_attention=attention
    )
    return Record(row=row, events=tuple(events))


COMPLETED = log(
    SagaState.COMPLETED,
    started(),
    f.StepSucceeded("first", 1, None),
    f.StepSucceeded("second", 1, None),
    f.SagaCompleted(),
)
COMPENSATED = log(
    SagaState.COMPENSATED,
    started(),
    f.StepSucceeded("first", 1, None),
    f.StepRejected("second", 1, Rejection("NO")),
    f.CompensationStarted(REJECTED),
    f.StepCompensated("first", 1),
    f.SagaCompensated(),
)

APPLIED = Trace(fence="TRIED", lines=(Line("applied", "d", 10),))
APPLIED_LATER = Trace(fence="TRIED", lines=(Line("applied", "d", 20),))
UNDONE = Trace(fence="COMPENSATED", lines=(Line("applied", "d", 10), Line("undone", "d", 30)))
REFUSED = Trace(fence="REJECTED")


def told(record: Record, first: Trace, second: Trace, notes: Sequence[Note] = (ASKED, ACCEPTED)) -> list[str]:
    traces = {("s", name): trace for name, trace in (("first", first), ("second", second))}
    return list(violations(Evidence(records={"s": record}, traces={"alpha": traces}, notes=tuple(notes))))


def promises(found: Sequence[str]) -> set[str]:
    return {violation.partition(":")[0] for violation in found}


def test_what_agrees_is_no_violation() -> None:
    """A completed and a compensated saga, as they should be."""
    assert told(COMPLETED, APPLIED, APPLIED_LATER) == []
    assert told(COMPENSATED, UNDONE, REFUSED) == []


def test_p1_a_start_that_was_answered_and_is_not_in_the_log() -> None:
    """The customer was told of a saga of which nobody knows anything."""
    lost = Evidence(records={}, traces={}, notes=(ASKED, ACCEPTED))
    assert list(violations(lost)) == ["P1: its start was answered, and it is not in the log, saga s"]


def test_p1_an_end_a_wish_or_an_event_that_was_told_and_is_not_so() -> None:
    """Whatever was told of a saga must be in its log."""
    for note in (
        Note(told=Told.ENDED, saga="s", what="COMPENSATED"),
        Note(told=Told.GRANTED, saga="s", what="cancel"),
        Note(told=Told.GRANTED, saga="s", what="resolve first"),
        Note(told=Told.SEEN, saga="s", content=2, what="STEP_REJECTED"),
        Note(told=Told.SEEN, saga="s", content=9, what="SAGA_COMPLETED"),
        Note(told=Told.MISSING, saga="s"),
    ):
        found = told(COMPLETED, APPLIED, APPLIED_LATER, [ASKED, ACCEPTED, note])
        assert promises(found) == {"P1"}, note


def test_what_was_told_and_is_so_is_no_violation() -> None:
    """The same notes, true."""
    notes = [
        ASKED,
        ACCEPTED,
        Note(told=Told.ENDED, saga="s", what="COMPLETED"),
        Note(told=Told.SEEN, saga="s", content=1, what="SAGA_STARTED"),
        Note(told=Told.EXISTS, saga="s", content=2),
    ]
    assert told(COMPLETED, APPLIED, APPLIED_LATER, notes) == []


def test_p2_a_saga_that_has_not_ended() -> None:
    """It is still running when everything has come to rest."""
    running = log(SagaState.RUNNING, started(), f.StepSucceeded("first", 1, None))
    assert "P2: it has not ended, it is RUNNING, saga s" in told(running, APPLIED, Trace())


def test_p3_a_completed_saga_without_an_effect() -> None:
    """The log says that the second step succeeded, and its participant knows nothing of it."""
    assert "P3" in promises(told(COMPLETED, APPLIED, Trace()))


def test_p3_a_compensated_saga_with_an_effect_left() -> None:
    """The log says that the first step was compensated, and its effect is there."""
    assert "P3" in promises(told(COMPENSATED, APPLIED, REFUSED))


def test_p4_an_effect_that_was_applied_twice() -> None:
    """The ledger has it twice, and the fence knows of one."""
    doubled = replace(APPLIED, lines=(*APPLIED.lines, Line("applied", "d", 11)))
    assert "P4" in promises(told(COMPLETED, doubled, APPLIED_LATER))


def test_p4_an_effect_that_was_undone_twice() -> None:
    """The ledger has its undoing twice."""
    doubled = replace(UNDONE, lines=(*UNDONE.lines, Line("undone", "d", 31)))
    assert "P4" in promises(told(COMPENSATED, doubled, REFUSED))


def test_p4_another_effect_was_undone_than_was_applied() -> None:
    """The compensation got the result of another Try."""
    mistaken = Trace(fence="COMPENSATED", lines=(Line("applied", "d", 10), Line("undone", "other", 30)))
    assert promises(told(COMPENSATED, mistaken, REFUSED)) == {"P4"}


def test_p4_a_fence_that_disagrees_with_its_ledger() -> None:
    """The fence says that the step was rejected, and its effect is in the ledger, and undone."""
    assert promises(told(COMPENSATED, replace(UNDONE, fence="REJECTED"), REFUSED)) == {"P4"}


def test_p5_an_effect_after_its_compensation() -> None:
    """A late Try had its effect although the Compensate was answered."""
    late = replace(UNDONE, lines=(*UNDONE.lines, Line("applied", "d", 40)))
    assert "P5" in promises(told(COMPENSATED, late, REFUSED))


def test_p5_an_effect_behind_a_tombstone() -> None:
    """The Compensate came first, and the Try that followed had its effect."""
    assert "P5" in promises(told(COMPENSATED, replace(APPLIED, fence="TOMBSTONE"), REFUSED))


def test_p5_a_late_effect_that_was_undone_again() -> None:
    """Behind the tombstone an effect came and went; only the moves of the fence tell."""
    late = replace(UNDONE, moves=("TOMBSTONE", "TRIED", "COMPENSATED"))
    found = told(COMPENSATED, late, REFUSED)
    assert found[0] == "P5: the fence went from TOMBSTONE to TRIED, step 'first', saga s"


def test_moves_that_a_fence_may_make_are_no_violation() -> None:
    """Applied, and undone."""
    assert told(COMPENSATED, replace(UNDONE, moves=("TRIED", "COMPENSATED")), REFUSED) == []


def test_p5_a_provider_that_was_asked_too_late() -> None:
    """The handler of an external action ran after its compensation."""
    lines = (Line("applied", "d", 10), Line("undone", "d", 30), Line("too late", "e", 40))
    asked = Trace(fence="COMPENSATED", external=True, lines=lines)
    assert promises(told(COMPENSATED, asked, REFUSED)) == {"P5"}


def test_an_external_compensation_that_found_nothing_is_no_violation() -> None:
    """The intent was there, the effect was not; the provider lets none come later."""
    barred = Trace(fence="COMPENSATED", external=True, lines=(Line("barred", "", 30),))
    assert told(COMPENSATED, barred, REFUSED) == []


def test_p6_a_step_that_took_effect_before_what_it_needs() -> None:
    """By the clock that all participants share."""
    assert promises(told(COMPLETED, APPLIED_LATER, APPLIED)) == {"P6"}


def test_p6_a_step_that_was_undone_before_what_needs_it() -> None:
    """The log has the right order; the participants saw another."""
    both = log(
        SagaState.COMPENSATED,
        started(),
        f.StepSucceeded("first", 1, None),
        f.AttemptFailed("second", Direction.FORWARD, 1, 14, "gone", None),
        f.CompensationStarted(TurnBack(Cause.ATTEMPTS_EXHAUSTED, "second", "", "")),
        f.StepGivenUp("second"),
        f.StepCompensated("second", 1),
        f.StepCompensated("first", 1),
        f.SagaCompensated(),
    )
    second = Trace(fence="COMPENSATED", lines=(Line("applied", "e", 20), Line("undone", "e", 40)))
    assert promises(told(both, UNDONE, second)) == {"P6"}


def test_p7_an_effect_of_a_saga_that_is_in_no_log() -> None:
    """A participant was called before the saga was durable, and then the coordinator died."""
    stranger = Evidence(records={}, traces={"alpha": {("ghost", "first"): APPLIED}}, notes=())
    assert promises(list(violations(stranger))) == {"P7"}


def test_p9_a_log_with_a_hole() -> None:
    """An event in the middle is missing."""
    holed = replace(COMPLETED, events=(*COMPLETED.events[:1], *COMPLETED.events[2:]))
    assert promises(told(holed, APPLIED, APPLIED_LATER)) == {"P9"}


def test_p9_a_row_that_differs_from_its_log() -> None:
    """Lists show another state than the log has."""
    shown = replace(COMPLETED, row=replace(COMPLETED.row, state=SagaState.COMPENSATED))
    assert promises(told(shown, APPLIED, APPLIED_LATER)) == {"P9"}


def test_p10_the_log_has_other_content_than_was_accepted() -> None:
    """Two starts of one id were both accepted, with different contents."""
    other = [Note(told=kind, saga="s", content=2) for kind in (Told.ASKED, Told.ACCEPTED)]
    assert promises(told(COMPLETED, APPLIED, APPLIED_LATER, [ASKED, ACCEPTED, *other])) == {"P10"}


def test_p10_the_same_content_was_refused_as_another() -> None:
    """ALREADY_EXISTS for the very content that the saga has."""
    refused = Note(told=Told.EXISTS, saga="s", content=1)
    assert promises(told(COMPLETED, APPLIED, APPLIED_LATER, [ASKED, refused])) == {"P10"}


def test_p11_a_deadline_that_passed_early() -> None:
    """The saga turned back for a deadline that lay ahead."""
    early = log(
        SagaState.COMPENSATED,
        started(deadline=60.0),
        f.CompensationStarted(TurnBack(Cause.DEADLINE_PASSED, "", "DEADLINE_PASSED", "")),
        f.StepGivenUp("first"),
        f.StepCompensated("first", 1),
        f.SagaCompensated(),
    )
    assert promises(told(early, Trace(fence="TOMBSTONE"), Trace())) == {"P11"}


def test_p12_a_refusal_that_is_not_flagged() -> None:
    """A compensation is refused while another goes on, and nothing says so."""
    silent = log(
        SagaState.COMPENSATING,
        started(SIDE_BY_SIDE),
        f.StepSucceeded("first", 1, None),
        f.CompensationStarted(TurnBack(Cause.CANCELLED, "", "", "")),
        f.StepSucceeded("second", 1, None),
        f.CompensationRefused("first", 1, Refusal("NO")),
        f.AttemptFailed("second", Direction.BACKWARD, 1, 14, "gone", 60.0),
    )
    assert "P12" in promises(told(silent, APPLIED, APPLIED_LATER))


def test_p12_a_rejection_after_the_pivot_that_is_not_flagged() -> None:
    """A step that should be retried for ever is rejected while another goes on, and nothing says so."""
    after = [
        Step(name=name, participant="alpha", action="plain", needs=("first",), kind=Kind.RETRIABLE)
        for name in ("second", "third")
    ]
    pivot = replace(TWO_STEPS.steps[0], kind=Kind.PIVOT)
    silent = log(
        SagaState.RUNNING,
        started(replace(TWO_STEPS, steps=(pivot, *after))),
        f.StepSucceeded("first", 1, None),
        f.StepRejected("second", 1, Rejection("NO")),
        f.AttemptFailed("third", Direction.FORWARD, 1, 14, "gone", 60.0),
    )
    assert "P12" in promises(told(silent, APPLIED, REFUSED))
