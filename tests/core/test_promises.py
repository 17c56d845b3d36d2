"""The promises, at the level of the machine: what it decides, and what it never does."""

from amends_coordinator.core import facts as f
from tests.core.core_story import Story

ORDER = ["step reserve", "step charge", "step ship", "start"]


def told(*plot: str) -> Story:
    """A story up to this point."""
    story = Story()
    for command in plot:
        story.run(command)
    return story


def kinds(story: Story) -> list[type[f.Fact]]:
    return [type(event.fact) for event in story.events]


def test_p2_every_state_that_is_not_an_end_has_something_that_moves_it() -> None:
    """While a saga runs or compensates, a call is in flight or a time is due; parked it tells why."""
    story = told(*ORDER)
    for command in ["reply reserve succeeded", "reply charge unknown UNAVAILABLE", "cancel", "crash"]:
        story.run(command)
        in_flight = any(run.in_flight for run in story.saga.runs)
        assert in_flight or story.saga.wake_time() is not None
    for command in ["reply charge compensated", "reply reserve refused NO"]:
        story.run(command)
    assert story.state == "PARKED"
    assert story.saga.needs_attention


def test_p3_a_completed_saga_has_no_compensated_step() -> None:
    """Completion is decided once every step has succeeded, and nothing is compensated after it."""
    story = told(*ORDER, "reply reserve succeeded", "reply charge succeeded", "reply ship succeeded")
    story.run("reply ship rejected LATE")
    story.run("time +1000s")
    assert kinds(story)[-1] is f.SagaCompleted
    assert f.StepCompensated not in kinds(story)


def test_p3_a_step_that_may_have_happened_is_compensated() -> None:
    """A saga is COMPENSATED only once a step in doubt is compensated too, not merely rejected."""
    story = told(
        *ORDER[:1],
        "start",
        "reply reserve unknown DEADLINE_EXCEEDED",
        "time +1s",
        "reply reserve rejected NO",
    )
    assert story.state == "COMPENSATING"
    story.run("reply reserve compensated")
    assert story.state == "COMPENSATED"


def test_p6_a_step_is_tried_after_all_it_needs() -> None:
    """Two of three are not enough."""
    story = told("step a needs=", "step b needs=", "step c needs=", "step d needs=a,b,c", "start")
    assert "call d Try 1" not in story.run("reply b succeeded") + story.run("reply a succeeded")
    assert "call d Try 1" in story.run("reply c succeeded")


def test_p6_a_step_is_compensated_after_all_that_need_it() -> None:
    """A step whose result others used stays until the last of them is settled."""
    story = told("step a", "step b needs=a", "step c needs=a", "step d needs=b,c", "start")
    for name in "abc":
        story.run(f"reply {name} succeeded")
    story.run("reply d rejected NO")
    assert "call a Compensate 1" not in story.run("reply b compensated")
    assert "call a Compensate 1" in story.run("reply c compensated")


def test_p7_a_call_comes_with_the_fact_that_makes_it_legal_or_after_it() -> None:
    """In the trace of each decision, facts come before calls; what a crash loses is never the permission."""
    story = Story()
    for command in [
        *ORDER,
        "reply reserve succeeded",
        "reply charge rejected NO",
        "reply reserve compensated",
    ]:
        trace = [line.split()[0] for line in story.run(command) if line.startswith(("fact", "call"))]
        assert trace == sorted(trace, key=["fact", "call"].index)
        if "call" in trace:
            assert trace[0] == "fact"


def test_p7_a_repeated_attempt_needs_no_new_fact() -> None:
    """The first attempt's permission holds for its repetitions; the wait between them was recorded."""
    story = told(*ORDER, "reply reserve unknown UNAVAILABLE")
    assert kinds(story)[-1] is f.AttemptFailed
    assert story.run("time +1s")[:2] == ["at 1s", "call reserve Try 2"]


def test_p8_nothing_turns_a_saga_back_after_its_pivot() -> None:
    """Neither a cancel, nor the deadline, nor a rejection, nor a crash, nor an operator."""
    story = told("step pay kind=pivot", "step ship kind=retriable max_attempts=1", "timeout 5s", "start")
    for command in [
        "reply pay succeeded",
        "cancel",
        "time +100s",
        "reply ship unknown UNAVAILABLE",
        "crash +100s",
        "reply ship rejected NO",
        "resolve ship as no_effect",
        "resolve pay as compensated",
        "retry",
        "reply ship rejected NO",
    ]:
        story.run(command)
        assert f.CompensationStarted not in kinds(story)
    assert story.state == "PARKED"


def test_p8_a_cancel_waits_for_the_pivot_in_doubt() -> None:
    """While nobody knows whether the pivot happened, a cancel is recorded and turns nothing back."""
    story = told("step pay kind=pivot", "step ship kind=retriable", "start", "cancel")
    assert kinds(story)[-1] is f.CancelRequested
    story.run("reply pay succeeded")
    story.run("reply ship succeeded")
    assert story.state == "COMPLETED"


def test_p11_the_deadline_is_a_time_to_wake_at_even_while_a_call_is_in_flight() -> None:
    """No reply and no retry has to come along for a deadline to be seen."""
    story = told(*ORDER[:-1], "timeout 30s", "start")
    assert story.saga.wake_time() == story.saga.deadline
    assert "fact CompensationStarted DEADLINE_PASSED DEADLINE_PASSED" in story.run("time +30s")


def test_p11_attempt_and_deadline_are_woken_for_in_turn() -> None:
    """The earlier of the next attempt and the deadline sets the wake time."""
    story = told("step a backoff=8s", "timeout 30s", "start")
    assert "wakes at 4s" in story.run("reply a unknown UNAVAILABLE")
    story.run("time +4s")
    assert "wakes at 30s" in story.run("reply a unknown UNAVAILABLE retry_after=100s")


def test_p12_a_refused_compensation_is_flagged_at_once_and_the_others_go_on() -> None:
    """Nobody waits for the other compensations, which may take for ever, to hear of one that failed."""
    story = told("step a needs=", "step b needs=", "step c needs=a,b", "start")
    for command in [
        "reply a succeeded",
        "reply b succeeded",
        "reply c rejected NO",
        "reply a refused SETTLED",
    ]:
        story.run(command)
    assert "SETTLED" in story.saga.needs_attention
    assert story.state == "COMPENSATING"
    story.run("reply b unknown UNAVAILABLE")
    assert "call b Compensate 2" in story.run("time +1s")
    story.run("reply b compensated")
    assert story.state == "PARKED"


def test_p12_the_tenth_failed_compensation_is_flagged_and_an_eleventh_follows() -> None:
    """A compensation that fails is repeated for ever, and from the tenth failure on an operator is told."""
    story = told("step a max_attempts=1", "step b", "start", "reply a succeeded", "reply b rejected NO")
    for number in range(1, 11):
        assert not story.saga.needs_attention
        assert story.calls["a"].attempt == number
        story.run("reply a unknown UNAVAILABLE")
        story.run("time +60s")
    assert "failed in 10 attempts" in story.saga.needs_attention
    assert story.calls["a"].attempt == 11


def test_p12_the_flag_goes_once_the_step_is_through() -> None:
    """Where a failing compensation succeeds at last, nobody is called any more."""
    story = told("step z", "step a", "step b", "start", "reply z succeeded", "reply a succeeded")
    story.run("reply b rejected NO")
    for _ in range(10):
        story.run("reply a unknown UNAVAILABLE")
        story.run("time +60s")
    assert story.saga.needs_attention
    story.run("reply a compensated")
    assert not story.saga.needs_attention
