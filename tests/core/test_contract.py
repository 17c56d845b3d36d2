"""Between messages and values: nothing is lost on the way to the log and back."""

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.contract.definitions import definition_from_proto, definition_to_proto
from amends_coordinator.contract.facts import decode_event, encode_fact, event_to_proto
from amends_coordinator.contract.sagas import saga_to_proto
from amends_coordinator.contract.values import (
    duration_from_proto,
    duration_to_proto,
    moment_from_proto,
    moment_to_proto,
)
from amends_coordinator.core import facts as f
from amends_coordinator.core import limits, machine, outcomes, stimuli
from amends_coordinator.core.definition import (
    Definition,
    Kind,
    MethodCall,
    OutcomeKind,
    OutcomeRule,
    Retry,
    Step,
)
from amends_coordinator.core.fold import BrokenLogError, rebuild
from amends_coordinator.core.values import (
    Cause,
    Direction,
    Payload,
    Refusal,
    Rejection,
    Resolution,
    TurnBack,
    microseconds,
)

PROFILE = settings(max_examples=200, derandomize=True, deadline=None, database=None)
RESULT = Payload("type.googleapis.com/a.B", b"\x00\xff")
REJECTION = Rejection("NO", "says the service", {"account": "7"})
STEPS = (
    Step(name="a", participant="p", action="do", effect_free=True, timeout=2.5),
    Step(name="b", participant="p", action="do", needs=("a",), kind=Kind.PIVOT),
    Step(
        name="c",
        participant="q",
        action="do",
        needs=("a", "b"),
        kind=Kind.RETRIABLE,
        retry=Retry(max_attempts=3, initial_backoff=0.3, backoff_multiplier=1.7, max_backoff=7.7),
    ),
    Step(
        name="d",
        participant="q",
        try_method=MethodCall("shop.v1.Shop/Do", "DoRequest{}"),
        compensate_method=MethodCall("shop.v1.Shop/Undo"),
        try_outcomes=(
            OutcomeRule(code=0, condition="x", outcome=OutcomeKind.REJECTED, reason="NO"),
            OutcomeRule(code=5, outcome=OutcomeKind.PENDING),
        ),
        compensate_outcomes=(OutcomeRule(code=5, outcome=OutcomeKind.SUCCEEDED),),
    ),
)
FILES = descriptor_pb2.FileDescriptorSet(file=[descriptor_pb2.FileDescriptorProto(name="shop.proto")])
DEFINITION = Definition(
    name="order",
    steps=STEPS,
    timeout=86_400.123456,
    version=7,
    input_type="shop.v1.Order",
    descriptors=FILES.SerializeToString(),
)

FACTS: list[f.Fact] = [
    f.SagaStarted(definition=DEFINITION, step_inputs={}, labels={}),
    f.SagaStarted(
        definition=DEFINITION,
        input=RESULT,
        step_inputs={"a": RESULT},
        labels={"shop": "7"},
        deadline=1_700_000_000.123456,
        traceparent="00-1-2-01",
        definition_by_name=True,
    ),
    f.StepSucceeded("a", 3, RESULT),
    f.StepSucceeded("a", 3, None),
    f.StepSucceeded("a", 3, Payload("", b"")),
    f.StepRejected("a", 1, REJECTION),
    f.AttemptFailed("a", Direction.FORWARD, 2, 14, "gone", 1.5),
    f.AttemptFailed("a", Direction.BACKWARD, 2, 4, "", None),
    f.AttemptPending("a", Direction.BACKWARD, 2, 1_700_000_000.000001),
    f.StepGivenUp("a"),
    f.CancelRequested("words"),
    f.CompensationStarted(TurnBack(Cause.STEP_REJECTED, "a", "NO", "words", {"account": "7"})),
    f.CompensationStarted(TurnBack(Cause.CANCELLED, "", "CANCELLED", "words")),
    f.StepCompensated("a", 0),
    f.CompensationRefused("a", 1, Refusal("NO", "words")),
    f.AttentionNeeded("a", "words"),
    f.SagaParked("words"),
    f.SagaRetried("words"),
    f.StepResolved("a", Resolution.SUCCEEDED, "words", RESULT),
    f.StepResolved("a", Resolution.COMPENSATED, "words"),
    f.SagaCompleted(),
    f.SagaCompensated(),
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_survives_the_log(fact: f.Fact) -> None:
    """What is read is what was written, and when."""
    time = 1_700_000_000.654321
    assert decode_event("s", 5, encode_fact(fact, time)) == f.Event(5, time, fact)


def test_every_fact_is_among_them() -> None:
    """A fact added to the core is added here."""
    assert {type(fact) for fact in FACTS} == set(f.Fact.__args__)


def test_watchers_get_the_fact_with_its_place() -> None:
    """An event tells of which saga it is, and its number."""
    message = event_to_proto("s", f.Event(5, 1.5, f.StepGivenUp("a")))
    assert (message.saga_id, message.sequence, message.step_given_up.step) == ("s", 5, "a")
    assert message.time.ToMicroseconds() == 1_500_000


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"",
        event_pb2.Event(sequence=1).SerializeToString(),
        event_pb2.Event(attempt_failed=event_pb2.AttemptFailed(step="a")).SerializeToString(),
        event_pb2.Event(step_resolved=event_pb2.StepResolved(step="a")).SerializeToString(),
        event_pb2.Event(compensation_started=event_pb2.CompensationStarted()).SerializeToString(),
    ],
    ids=["no message", "empty", "no fact", "no direction", "no resolution", "no cause"],
)
def test_an_event_that_cannot_be_read_is_a_broken_log(data: bytes) -> None:
    """The message tells the saga, the number, and what may be the matter."""
    with pytest.raises(BrokenLogError, match=r"saga s: event 5 cannot be read .*newer version"):
        decode_event("s", 5, data)


def started() -> f.Event:
    return f.Event(1, 0.0, FACTS[0])


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "the log is empty"),
        ([f.Event(1, 0.0, f.StepGivenUp("a"))], "begins with StepGivenUp"),
        ([started(), f.Event(3, 0.0, f.StepGivenUp("a"))], "event 2 is missing, the next one is 3"),
        ([started(), f.Event(2, 0.0, f.StepGivenUp("x"))], "event 2 contradicts"),
        ([started(), f.Event(2, 0.0, f.StepSucceeded("c", 1, None))], "a WAITING step cannot .* SUCCEED"),
        ([started(), f.Event(2, 0.0, f.SagaCompensated())], "a RUNNING saga cannot .* FINISH"),
    ],
)
def test_a_log_that_cannot_be_true_is_refused(events: list[f.Event], words: str) -> None:
    """Nothing is guessed: a gap, or a fact that contradicts those before it, is told with its number."""
    with pytest.raises(BrokenLogError, match=f"saga s: .*{words}"):
        rebuild("s", events)


def test_a_definition_survives_the_log() -> None:
    """Written with every field explicit, read as the same."""
    assert definition_from_proto(definition_to_proto(DEFINITION)) == DEFINITION


def test_defaults_stand_in_for_what_is_unset() -> None:
    """A step that says nothing needs the one before it, and has the policy of the docs."""
    message = saga_pb2.Definition(
        name="order",
        steps=[
            saga_pb2.Step(name="a", participant="p", action="do"),
            saga_pb2.Step(name="b", participant="p", action="do"),
            saga_pb2.Step(name="c", participant="p", action="do", needs=saga_pb2.Step.Needs()),
        ],
    )
    read = definition_from_proto(message)
    assert [step.needs for step in read.steps] == [(), ("a",), ()]
    assert read.steps[0] == Step(name="a", participant="p", action="do")
    assert read.timeout is None


def test_a_long_first_backoff_stretches_the_bound_that_is_not_set() -> None:
    """Whoever asks for a first wait of a minute need not know the default bound of ten seconds."""
    retry = saga_pb2.RetryPolicy()
    retry.initial_backoff.FromSeconds(60)
    step = saga_pb2.Step(name="a", participant="p", action="do", retry=retry)
    read = definition_from_proto(saga_pb2.Definition(name="order", steps=[step]))
    assert read.steps[0].retry.max_backoff == 60.0


@PROFILE
@given(st.floats(min_value=0, max_value=4e9))
def test_a_moment_survives_the_log(moment: float) -> None:
    """To the last bit, once it is whole microseconds."""
    rounded = microseconds(moment)
    assert moment_from_proto(moment_to_proto(rounded)) == rounded


@PROFILE
@given(
    seconds=st.integers(min_value=0, max_value=int(limits.MAX_TIMEOUT_SAGA)),
    nanos=st.integers(min_value=0, max_value=999_999_999),
)
@example(seconds=11_622_431, nanos=919_861_665)  # more digits than a float has
def test_p10_a_duration_read_once_is_read_alike_ever_after(seconds: int, nanos: int) -> None:
    """A definition read from a request equals the one that a restart reads from the log."""
    message = duration_to_proto(0)
    message.seconds, message.nanos = seconds, nanos
    read = duration_from_proto(message)
    assert duration_from_proto(duration_to_proto(read)) == read


def test_a_saga_is_shown_with_its_attempts_under_way() -> None:
    """The attempt in flight is counted, the next one has a time only while it is awaited."""
    fact = f.SagaStarted(definition=DEFINITION, input=RESULT, step_inputs={}, labels={"shop": "7"})
    saga, _ = machine.start("s", fact, 100.0)
    shown = saga_to_proto(saga).steps[0]
    assert (shown.attempts, shown.in_flight) == (1, True)
    failed = stimuli.Replied(0, Direction.FORWARD, 1, outcomes.Unknown(14, "gone", 5.0))
    machine.advance(saga, failed, 101.0, 0.5)
    shown = saga_to_proto(saga).steps[0]
    assert (shown.attempts, shown.in_flight) == (1, False)
    assert shown.next_attempt_time.ToSeconds() == 106
    assert (shown.last_failure.code, shown.last_failure.message) == (14, "gone")
    assert shown.last_failure.time.ToSeconds() == 101


def test_a_log_whose_definition_contradicts_itself_is_broken() -> None:
    """A need that names no step, as a damaged letter makes it, is told of this saga and ends no recovery."""
    damaged = Definition(name="d", steps=(Step(name="a", participant="p", action="a", needs=("zz",)),))
    started = f.SagaStarted(definition=damaged, step_inputs={}, labels={})
    with pytest.raises(BrokenLogError, match="event 1 contradicts"):
        rebuild("s", [f.Event(1, 0.0, started)])
