"""What an operator is advised to do is what the coordinator would accept."""

from typing import Any

import pytest

from amends.v1 import participant_pb2, saga_pb2
from amends_coordinator.cli._why import advice, why_step
from tests.cli.cli_fakes import START, saga

FAILURE = saga_pb2.AttemptFailure(attempt=2, direction="BACKWARD", code=13, message="boom")
BACK = saga_pb2.TurnBack(cause="CANCELLED", reason="CANCELLED")


def run(step: str, state: str, **fields: Any) -> saga_pb2.StepRun:
    return saga_pb2.StepRun(step=step, state=state, **fields)


def commands(made: saga_pb2.Saga) -> list[str]:
    """The advice, without what is the same in each."""
    return [
        found.command.removeprefix("amends ").removesuffix(' --reason "..."').replace(" s-1", "")
        for found in advice(made)
    ]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (saga("COMPLETED"), []),
        (saga("COMPENSATED"), []),
        (saga("RUNNING", steps=[run("reserve", "TRYING", in_flight=True)]), ["cancel"]),
        (
            saga("RUNNING", steps=[run("reserve", "TRYING", last_failure=FAILURE)]),
            ["cancel", "resolve reserve --as succeeded", "resolve reserve --as no-effect"],
        ),
        (
            saga("RUNNING", steps=[run("reserve", "TRYING", last_failure=FAILURE, in_flight=True)]),
            ["cancel"],
        ),
        (
            saga("RUNNING", steps=[run("charge", "SUCCEEDED"), run("ship", "TRYING", last_failure=FAILURE)]),
            ["resolve ship --as succeeded"],
        ),
        (
            saga("PARKED", steps=[run("charge", "SUCCEEDED"), run("ship", "REJECTED")]),
            ["retry", "resolve ship --as succeeded"],
        ),
        (
            saga("PARKED", turn_back=BACK, steps=[run("reserve", "REFUSED")]),
            ["retry", "resolve reserve --as compensated"],
        ),
        (
            saga(
                "COMPENSATING", turn_back=BACK, steps=[run("reserve", "COMPENSATING", last_failure=FAILURE)]
            ),
            ["resolve reserve --as compensated"],
        ),
        (
            saga("COMPENSATING", turn_back=BACK, steps=[run("reserve", "UNKNOWN", last_failure=FAILURE)]),
            ["resolve reserve --as no-effect", "resolve reserve --as compensated"],
        ),
        (saga("RUNNING", cancel_requested=True), []),
    ],
)
def test_only_what_would_be_accepted_is_advised(made: saga_pb2.Saga, expected: list[str]) -> None:
    """Per state of saga and step, as the contract has it."""
    assert commands(made) == expected


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (run("a", "SUCCEEDED", attempts=3, last_failure=FAILURE), ""),
        (run("a", "UNKNOWN"), "it may have happened"),
        (run("a", "TRYING", in_flight=True), "a call is under way"),
        (run("a", "REJECTED", rejection=participant_pb2.Rejected(reason="SHORT")), "SHORT"),
        (
            run(
                "a",
                "REFUSED",
                refusal=participant_pb2.CompensateResponse.Refused(reason="GONE", message="left"),
            ),
            "GONE: left",
        ),
    ],
)
def test_a_step_says_why_it_is_where_it_is(step: saga_pb2.StepRun, why: str) -> None:
    """And nothing where there is nothing to explain."""
    assert why_step(step, START) == why


def test_a_failed_compensation_says_so() -> None:
    """The direction of the failure, its age, and that the next attempt is due."""
    step = run("a", "COMPENSATING", last_failure=FAILURE)
    step.last_failure.time.FromDatetime(START)
    step.next_attempt_time.FromDatetime(START)
    expected = "compensation attempt 2 failed 0.000 s ago: INTERNAL: boom; next attempt is due"
    assert why_step(step, START) == expected
