"""The timeline says every kind of event in words."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from amends.v1 import event_pb2, participant_pb2, saga_pb2
from amends_coordinator.cli.timeline import Tone, describe
from tests.cli.cli_fakes import START, event, order


def at(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(START + timedelta(seconds=seconds))
    return stamp


REJECTED = participant_pb2.Rejected(reason="INSUFFICIENT_FUNDS", message="a-1 is short")
REFUSED = participant_pb2.CompensateResponse.Refused(reason="ALREADY_SHIPPED", message="it left the house")

CASES = {
    "saga_started": (
        event_pb2.SagaStarted(definition=order()),
        "-             saga started                      order version 2: reserve, charge, ship",
    ),
    "step_succeeded": (
        event_pb2.StepSucceeded(step="charge", attempt=2),
        "charge        succeeded             attempt 2",
    ),
    "step_rejected": (
        event_pb2.StepRejected(step="charge", attempt=1, rejection=REJECTED),
        "charge        rejected              attempt 1   INSUFFICIENT_FUNDS: a-1 is short",
    ),
    "attempt_failed": (
        event_pb2.AttemptFailed(
            step="charge",
            direction="FORWARD",
            attempt=1,
            code=14,
            message="refused",
            next_attempt_time=at(1.25),
        ),
        "charge        failed                attempt 1   UNAVAILABLE: refused; next attempt in 0.250 s",
    ),
    "attempt_pending": (
        event_pb2.AttemptPending(step="ship", direction="FORWARD", attempt=1, next_attempt_time=at(91)),
        "ship          pending               attempt 1   not decided yet; asked again in 1m 30s",
    ),
    "step_given_up": (
        event_pb2.StepGivenUp(step="charge"),
        "charge        given up                          it may have happened",
    ),
    "cancel_requested": (
        event_pb2.CancelRequested(reason="customer called"),
        "-             cancel requested                  customer called",
    ),
    "compensation_started": (
        event_pb2.CompensationStarted(
            turn_back=saga_pb2.TurnBack(
                cause="STEP_REJECTED",
                step="charge",
                reason="SHORT",
                message="no funds",
            )
        ),
        "-             turns back                        charge was rejected: SHORT: no funds",
    ),
    "step_compensated": (
        event_pb2.StepCompensated(step="reserve", attempt=1),
        "reserve       compensated           attempt 1",
    ),
    "compensation_refused": (
        event_pb2.CompensationRefused(step="ship", attempt=3, refusal=REFUSED),
        "ship          compensation refused  attempt 3   ALREADY_SHIPPED: it left the house",
    ),
    "attention_needed": (
        event_pb2.AttentionNeeded(step="reserve", message="fails again and again"),
        "reserve       needs attention                   fails again and again",
    ),
    "saga_parked": (
        event_pb2.SagaParked(message="compensation refused: ship"),
        "-             saga parked                       compensation refused: ship",
    ),
    "saga_retried": (
        event_pb2.SagaRetried(reason="mended"),
        "-             retried by operator               mended",
    ),
    "step_resolved": (
        event_pb2.StepResolved(step="ship", resolution="COMPENSATED", reason="fetched it back"),
        "ship          resolved by operator              COMPENSATED: fetched it back",
    ),
    "saga_completed": (event_pb2.SagaCompleted(), "-             saga completed"),
    "saga_compensated": (event_pb2.SagaCompensated(), "-             saga compensated"),
    "event_observed": (
        event_pb2.EventObserved(
            type="StockReserved",
            step="inventory.reserve",
            outcome="succeeded",
            cause=saga_pb2.EventReference(id="orders/1", type="OrderPlaced", step="shop.place"),
        ),
        "inventory.reserve  succeeded                         StockReserved, after OrderPlaced of shop.place",
    ),
    "saga_stalled": (
        event_pb2.SagaStalled(message="inventory has not reacted to OrderPlaced for 5m 00s"),
        "-             saga stalled                      inventory has not reacted to OrderPlaced for 5m 00s",
    ),
}


@pytest.mark.parametrize("kind", [field.name for field in event_pb2.Event.DESCRIPTOR.oneofs[0].fields])
def test_every_kind_of_event_has_its_line(kind: str) -> None:
    """Each fact that a log can hold is told with its time, step, attempt and reason."""
    fact, expected = CASES[kind]
    assert describe(event(1, 1.0, **{kind: fact})).plain(started=START) == "   1.000 s  " + expected


def test_a_failed_compensation_is_told_from_a_failed_try() -> None:
    """The direction is part of what happened."""
    failed = event_pb2.AttemptFailed(step="charge", direction="BACKWARD", attempt=1, code=14)
    pending = event_pb2.AttemptPending(
        step="charge", direction="BACKWARD", attempt=1, next_attempt_time=at(2)
    )
    assert describe(event(1, attempt_failed=failed)).what == "compensation failed"
    assert describe(event(1, attempt_pending=pending)).what == "compensation pending"


def observed(**fields: Any) -> str:
    return describe(event(1, event_observed=event_pb2.EventObserved(**fields))).plain(started=START)


def test_an_event_from_elsewhere_names_no_step() -> None:
    """It is told by its type, and its cause by its id where nothing else is known of it."""
    assert observed(type="Paid", cause=saga_pb2.EventReference(id="web/7")).endswith(
        "-             observed                          Paid, after web/7"
    )


def test_a_dead_letter_is_told_with_its_reason_and_what_became_of_it() -> None:
    """Who could not deal with what; and that it was sent again, or discarded."""
    letter = event_pb2.EventObserved.UnhandledEvent(
        consumer="payments",
        event=saga_pb2.EventReference(id="orders/1", type="OrderPlaced"),
        reason="HANDLER_FAILED",
        message="the bank said no",
    )
    assert observed(unhandled=letter).endswith(
        "dead letter                       payments could not deal with OrderPlaced: "
        "HANDLER_FAILED: the bank said no"
    )
    letter.replayed = True
    assert observed(unhandled=letter).endswith("sent again                        OrderPlaced, for payments")
    letter.replayed, letter.discarded, letter.message = False, True, "it came twice"
    assert observed(unhandled=letter).endswith(
        "discarded                         OrderPlaced, which payments deals with no more: it came twice"
    )
    again = observed(type="OrderPlaced", replay_of="payments/orders/1")
    assert again.endswith("OrderPlaced, again, for the dead letter payments/orders/1")


def test_a_step_without_effect_is_said_to_need_no_call() -> None:
    """Attempt 0 is no attempt."""
    line = describe(event(1, step_compensated=event_pb2.StepCompensated(step="look")))
    assert (line.attempt, line.reason) == (0, "has no effect to undo")


def test_an_event_of_a_newer_coordinator_is_shown_as_unknown() -> None:
    """A fact that this version does not know is no reason to stop."""
    assert describe(event(7)).what == "unknown event"


def test_a_participants_words_cannot_steer_the_terminal() -> None:
    """Control characters and line breaks do not reach the screen."""
    rejection = participant_pb2.Rejected(reason="X", message="a\x1b[2Jb\nc\x9b")
    line = describe(event(1, step_rejected=event_pb2.StepRejected(step="s", attempt=1, rejection=rejection)))
    assert line.reason == "X: a?[2Jb c?"


def test_a_deadline_is_told_at_the_start() -> None:
    """Whoever watches knows from the first line when the saga turns back by itself."""
    started = event_pb2.SagaStarted(definition=order(), deadline=at(3_600))
    assert "turns back in 1h 00m 00s" in describe(event(1, saga_started=started)).reason


def test_good_and_bad_news_differ_in_tone() -> None:
    """The colours of the two ends and of a parked saga are told apart."""
    ends = [
        describe(event(1, saga_completed=event_pb2.SagaCompleted())).tone,
        describe(event(1, saga_compensated=event_pb2.SagaCompensated())).tone,
        describe(event(1, saga_parked=event_pb2.SagaParked())).tone,
    ]
    assert ends == [Tone.ENDED_WELL, Tone.ENDED_BACK, Tone.STUCK]
