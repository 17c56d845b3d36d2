"""The machine: a saga, a stimulus, the time and a chance give facts to record and calls to make.

What is decided here: what an outcome means for the saga, when a step is called again, when the saga turns
back, and when it ends or is parked. What follows from a fact by itself is decided in the fold.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from amends_coordinator.core import facts as f
from amends_coordinator.core import limits, outcomes, words
from amends_coordinator.core.definition import Kind
from amends_coordinator.core.fold import apply, begin
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.stimuli import (
    Call,
    CancelWished,
    Decision,
    Recovered,
    Replied,
    ResolveWished,
    RetryWished,
    Stimulus,
    TimePassed,
    WishRefusedError,
)
from amends_coordinator.core.transitions import SETTLED, SagaState, StepState
from amends_coordinator.core.values import (
    Cause,
    Direction,
    Resolution,
    TurnBack,
    microseconds,
)

CODE_UNKNOWN = 2  # google.rpc.Code
CODE_UNAVAILABLE = 14  # google.rpc.Code


def start(saga_id: str, fact: f.SagaStarted, now: float) -> tuple[Saga, Decision]:
    """Begins a saga. Its definition must have passed the checks."""
    saga, ready = begin(saga_id, fact, now)
    turn = _Turn(saga, now, 0.0)
    turn.decision.facts.append(fact)
    turn.call_each(ready)
    return saga, turn.decision


def advance(saga: Saga, stimulus: Stimulus, now: float, chance: float) -> Decision:
    """Decides what a stimulus means for a saga, and applies the facts to it.

    Args:
        saga: changed in place, by the fold of the facts returned and nothing else.
        stimulus: what happened. A reply to a call that the saga no longer waits for is ignored.
        now: the present moment, whole microseconds.
        chance: drawn evenly from [0, 1), for the jitter of a retry.

    Raises:
        WishRefusedError: an operator's or a client's wish that the saga's state does not allow.
    """
    turn, flagged = _Turn(saga, now, chance), saga.needs_attention != ""
    _ADVANCE[type(stimulus)](turn, stimulus)
    if turn.decision.facts:
        turn.conclude()
        # Whoever retries a saga has seen what is stuck, and waits for what comes of it.
        if flagged and not isinstance(stimulus, RetryWished):
            turn.flag_again()
    return turn.decision


class _Turn:
    """One decision in the making."""

    __slots__ = ("chance", "decision", "now", "saga")

    def __init__(self, saga: Saga, now: float, chance: float) -> None:
        self.saga = saga
        self.now = now
        self.chance = chance
        self.decision = Decision()

    def record(self, fact: f.Fact) -> None:
        """Applies a fact and calls the steps that it made ready."""
        self.decision.facts.append(fact)
        self.call_each(apply(self.saga, fact, self.now))

    def call_each(self, places: Iterable[int]) -> None:
        """Names the calls that ready steps need; an effect-free step is compensated without one."""
        # A list of what is left, not recursion: a thousand effect-free steps may follow from one another.
        left = deque(places)
        while left:
            place = left.popleft()
            run, step = self.saga.runs[place], self.saga.step(place)
            direction = run.direction
            if run.in_flight or direction is None:
                continue
            if direction is Direction.BACKWARD and step.effect_free:
                fact = f.StepCompensated(step.name, attempt=0)
                self.decision.facts.append(fact)
                left.extend(apply(self.saga, fact, self.now))
                continue
            run.in_flight = True
            self.decision.calls.append(Call(place, direction, run.attempt))

    def call_due(self) -> None:
        """Names the calls whose time has come."""
        self.call_each(
            place
            for place, run in enumerate(self.saga.runs)
            if run.next_attempt_time is not None and run.next_attempt_time <= self.now
        )

    def conclude(self) -> None:
        """Ends the saga, or parks it, where nothing else is left to do."""
        saga = self.saga
        if saga.state is SagaState.RUNNING:
            if saga.succeeded == len(saga.runs):
                self.record(f.SagaCompleted())
            elif saga.trying == 0:
                self.record(f.SagaParked(words.why_parked_forward(saga)))
        elif saga.state is SagaState.COMPENSATING and saga.trying == 0 and saga.compensating == 0:
            if all(run.state in SETTLED for run in saga.runs):
                self.record(f.SagaCompensated())
            else:
                self.record(f.SagaParked(words.why_parked_backward(saga)))

    def flag_again(self) -> None:
        """Flags what is still stuck, once the step that was flagged is through and the flag is gone (P12).

        Call it once the turn is concluded: a saga that is parked says so for all its steps.
        """
        saga = self.saga
        if saga.needs_attention or saga.state not in (SagaState.RUNNING, SagaState.COMPENSATING):
            return
        for place in range(len(saga.runs)):
            stuck = words.why_stuck(saga, place)
            if stuck is not None:
                self.record(stuck)
                return

    def turn_back(self, turn_back: TurnBack) -> None:
        """Turns the saga back: no new attempt starts, and what is not in flight is given up."""
        saga = self.saga
        self.record(f.CompensationStarted(turn_back))
        for place, run in enumerate(saga.runs):
            if run.state is not StepState.TRYING:
                continue
            if run.in_flight:
                self.decision.withdrawals.append(place)
            else:
                self.record(f.StepGivenUp(saga.step(place).name))


# Replies


def _on_replied(turn: _Turn, stimulus: Replied) -> None:
    run = turn.saga.runs[stimulus.place]
    expected = run.in_flight and run.direction is stimulus.direction and run.attempt == stimulus.attempt
    if not expected:
        return
    run.in_flight = False
    _OUTCOMES[type(stimulus.outcome)](turn, stimulus, stimulus.outcome)


def _on_succeeded(turn: _Turn, reply: Replied, outcome: outcomes.Succeeded) -> None:
    turn.record(f.StepSucceeded(turn.saga.step(reply.place).name, reply.attempt, outcome.result))


def _on_rejected(turn: _Turn, reply: Replied, outcome: outcomes.Rejected) -> None:
    saga, step, rejection = turn.saga, turn.saga.step(reply.place), outcome.rejection
    run = saga.runs[reply.place]
    if step.kind is Kind.PIVOT and (run.in_doubt or run.pending) and not outcome.stated:
        # A status may come from anything on the way, an expired certificate for instance. It says nothing of
        # the earlier attempt, and turning back could contradict a pivot that has succeeded (P8).
        message = f"{rejection.reason}: {rejection.message}; an earlier attempt is still in doubt"
        _on_unknown(turn, reply, outcomes.Unknown(CODE_UNKNOWN, message))
        return
    if run.pending and not outcome.stated:
        # The participant was at work on it, and has not said itself what came of that.
        message = "it was pending before a status rejected it, and may still come about"
        fact = f.AttemptFailed(step.name, Direction.FORWARD, reply.attempt, CODE_UNKNOWN, message, None)
        turn.record(fact)
    turn.record(f.StepRejected(step.name, reply.attempt, rejection))
    if saga.state is not SagaState.RUNNING:
        return
    if not saga.after_pivot(reply.place):
        turn.turn_back(
            TurnBack(Cause.STEP_REJECTED, step.name, rejection.reason, rejection.message, rejection.metadata)
        )
    elif saga.trying:
        # As with a refused compensation: nobody shall wait for the others to hear of it (P12).
        turn.record(words.rejected_after_pivot(step.name, rejection))


def _on_pending(turn: _Turn, reply: Replied, outcome: outcomes.Pending) -> None:
    saga, step = turn.saga, turn.saga.step(reply.place)
    if saga.state is SagaState.COMPENSATING and reply.direction is Direction.FORWARD:
        turn.record(f.StepGivenUp(step.name))
        return
    wait = outcome.retry_after if outcome.retry_after > 0 else limits.DEFAULT_PENDING
    at = microseconds(turn.now + wait)
    turn.record(f.AttemptPending(step.name, reply.direction, reply.attempt, at))


def _on_unknown(turn: _Turn, reply: Replied, outcome: outcomes.Unknown) -> None:
    step = turn.saga.step(reply.place)
    cap = step.retry.max_backoff
    if reply.direction is Direction.BACKWARD:
        cap = max(cap, limits.COMPENSATION_MAX_BACKOFF)
    delay = max(step.retry.delay(reply.attempt, turn.chance, cap), outcome.retry_after)
    _attempt_failed(turn, reply.place, outcome, microseconds(turn.now + delay))


def _attempt_failed(
    turn: _Turn, place: int, outcome: outcomes.Unknown, again: float, *, last: bool = True
) -> None:
    """Records a failed attempt, and whether there is another, an operator should know, or it is given up.

    ``last`` says whether it may be the last Try that the step has; of a Compensate there is no last.
    """
    saga, step, run = turn.saga, turn.saga.step(place), turn.saga.runs[place]
    direction, attempt = run.direction, run.attempt
    assert direction is not None, "only a step that is being called can fail"
    forward = direction is Direction.FORWARD
    exhausted = attempt >= (step.retry.max_attempts if forward else limits.COMPENSATION_ATTENTION)
    turned_back = forward and saga.state is SagaState.COMPENSATING
    gives_up = turned_back or (last and forward and exhausted and step.kind is Kind.COMPENSATABLE)
    turn.record(
        f.AttemptFailed(
            step.name, direction, attempt, outcome.code, outcome.message, None if gives_up else again
        )
    )
    if turned_back:
        turn.record(f.StepGivenUp(step.name))
    elif gives_up:
        turn.turn_back(
            TurnBack(
                Cause.ATTEMPTS_EXHAUSTED,
                step.name,
                "ATTEMPTS_EXHAUSTED",
                f"step {step.name!r} failed in {words.times(attempt)}, the last time with: {outcome.message}",
            )
        )
    elif exhausted and (last or not forward) and not saga.needs_attention:
        turn.record(words.keeps_failing(step.name, direction, attempt, outcome.message))


def _on_compensated(turn: _Turn, reply: Replied, _outcome: outcomes.Compensated) -> None:
    turn.record(f.StepCompensated(turn.saga.step(reply.place).name, reply.attempt))


def _on_refused(turn: _Turn, reply: Replied, outcome: outcomes.Refused) -> None:
    step, refusal = turn.saga.step(reply.place).name, outcome.refusal
    turn.record(f.CompensationRefused(step, reply.attempt, refusal))
    if turn.saga.compensating:
        # The others go on, perhaps for very long. Nobody shall wait for them to hear of this one (P12).
        turn.record(words.compensation_refused(step, refusal))


_OUTCOMES: dict[type[Any], Callable[[_Turn, Replied, Any], None]] = {
    outcomes.Succeeded: _on_succeeded,
    outcomes.Rejected: _on_rejected,
    outcomes.Pending: _on_pending,
    outcomes.Unknown: _on_unknown,
    outcomes.Compensated: _on_compensated,
    outcomes.Refused: _on_refused,
}


# Time and crashes


def _check_deadline(turn: _Turn) -> None:
    saga, now = turn.saga, turn.now
    if saga.deadline is not None and saga.deadline <= now and saga.may_turn_back():
        turn.turn_back(
            TurnBack(
                Cause.DEADLINE_PASSED, "", "DEADLINE_PASSED", "the saga did not complete within its timeout"
            )
        )


def _on_time_passed(turn: _Turn, _stimulus: TimePassed) -> None:
    _check_deadline(turn)
    turn.call_due()


def _on_recovered(turn: _Turn, _stimulus: Recovered) -> None:
    """Counts every attempt that may have been in flight as ended unknown, and so repeats it at once."""
    _check_deadline(turn)
    interrupted = outcomes.Unknown(
        CODE_UNAVAILABLE, "the coordinator stopped while this attempt was under way"
    )
    for place, run in enumerate(turn.saga.runs):
        due = run.next_attempt_time is None or run.next_attempt_time <= turn.now
        # In a saga that turned back, what is being tried is in flight, however the clock was set meanwhile.
        awaited = run.state is StepState.TRYING and turn.saga.state is SagaState.COMPENSATING
        if run.direction is not None and not run.in_flight and (due or awaited):
            # Being asked again after 'pending' counts no attempt, and so uses none up.
            _attempt_failed(turn, place, interrupted, turn.now, last=not run.pending)
    # Only now: any of these failures may have turned the saga back, and then none is called again.
    turn.call_due()


# Wishes


def _on_cancel_wished(turn: _Turn, stimulus: CancelWished) -> None:
    saga = turn.saga
    if saga.state is SagaState.COMPLETED:
        raise WishRefusedError(
            "SAGA_COMPLETED", f"saga {saga.id!r} has completed; there is nothing left to cancel"
        )
    if saga.past_pivot:
        raise WishRefusedError(
            "PIVOT_PASSED", f"the pivot of saga {saga.id!r} has succeeded; it can only go forward from there"
        )
    if saga.turn_back or saga.cancel_requested:
        return
    turn.record(f.CancelRequested(stimulus.reason))
    if saga.may_turn_back():
        turn.turn_back(TurnBack(Cause.CANCELLED, "", "CANCELLED", stimulus.reason or "cancelled"))


def _on_retry_wished(turn: _Turn, stimulus: RetryWished) -> None:
    _refuse_if_ended(turn.saga)
    turn.record(f.SagaRetried(stimulus.reason))


def _on_resolve_wished(turn: _Turn, stimulus: ResolveWished) -> None:
    saga, run, step = turn.saga, turn.saga.runs[stimulus.place], turn.saga.step(stimulus.place)
    _refuse_if_ended(saga)
    if run.in_flight:
        raise WishRefusedError(
            "CALL_IN_FLIGHT", f"a call of step {step.name!r} is under way; resolve it once that has ended"
        )
    if not _can_resolve(saga, stimulus.place, stimulus.resolution):
        raise WishRefusedError(
            "STEP_NOT_RESOLVABLE",
            f"step {step.name!r} is {run.state.name} in a {saga.state.name} saga, "
            f"and cannot be resolved as {stimulus.resolution.name}",
        )
    turn.record(f.StepResolved(step.name, stimulus.resolution, stimulus.reason, stimulus.result))
    if stimulus.resolution is Resolution.NO_EFFECT and saga.state is SagaState.RUNNING:
        message = f"an operator stated that step {step.name!r} has no effect: {stimulus.reason}"
        turn.turn_back(TurnBack(Cause.STEP_REJECTED, step.name, "RESOLVED_NO_EFFECT", message))


def _can_resolve(saga: Saga, place: int, resolution: Resolution) -> bool:
    """Whether what an operator states can be true, and does not contradict the saga's direction."""
    state, backward = saga.runs[place].state, saga.turn_back is not None
    if resolution is Resolution.COMPENSATED:
        return backward and state in (
            StepState.SUCCEEDED,
            StepState.UNKNOWN,
            StepState.COMPENSATING,
            StepState.REFUSED,
        )
    if resolution is Resolution.NO_EFFECT:
        tried = state is StepState.TRYING or (state is StepState.UNKNOWN and backward)
        return tried and not saga.after_pivot(place)
    return not backward and state in (StepState.TRYING, StepState.REJECTED, StepState.UNKNOWN)


def _refuse_if_ended(saga: Saga) -> None:
    if saga.state.ended:
        raise WishRefusedError("SAGA_ENDED", f"saga {saga.id!r} has ended: it is {saga.state.name}")


_ADVANCE: dict[type[Any], Callable[[_Turn, Any], None]] = {
    Replied: _on_replied,
    TimePassed: _on_time_passed,
    Recovered: _on_recovered,
    CancelWished: _on_cancel_wished,
    RetryWished: _on_retry_wished,
    ResolveWished: _on_resolve_wished,
}
