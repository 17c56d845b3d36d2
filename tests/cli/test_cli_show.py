"""get, list, watch and history: what people see, what programs read, and the exit status."""

import json
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf import any_pb2, struct_pb2, wrappers_pb2

from amends.v1 import coordinator_pb2, event_pb2, participant_pb2, saga_pb2
from tests.cli.cli_fakes import START, FakeCoordinator, Run, event, failure, saga


def packed(message: object) -> any_pb2.Any:
    payload = any_pb2.Any()
    payload.Pack(message)  # type: ignore[arg-type] # any message
    return payload


COMPLETED = [
    event(1, saga_started=event_pb2.SagaStarted()),
    event(2, 0.5, step_succeeded=event_pb2.StepSucceeded(step="reserve", attempt=1)),
    event(3, 1.0, saga_completed=event_pb2.SagaCompleted()),
]


@pytest.mark.parametrize(
    ("state", "status"),
    [("RUNNING", 0), ("COMPLETED", 0), ("COMPENSATING", 0), ("COMPENSATED", 3), ("PARKED", 4)],
)
def test_get_tells_the_state_by_its_exit_status(
    run: Run, coordinator: FakeCoordinator, state: str, status: int
) -> None:
    """A script needs no parser to know how a saga ended."""
    coordinator.sagas["s-1"] = saga(state)
    result = run("get", "s-1")
    assert result.exit_code == status
    assert state in result.stdout


def test_get_shows_why_a_saga_waits(run: Run, coordinator: FakeCoordinator) -> None:
    """The last failure, the next attempt, and what an operator can type."""
    waiting = saga("RUNNING", steps=[saga_pb2.StepRun(step="reserve", state="TRYING", attempts=3)])
    run_of_step = waiting.steps[0]
    run_of_step.last_failure.CopyFrom(
        saga_pb2.AttemptFailure(attempt=3, direction="FORWARD", code=14, message="nobody at 127.0.0.1:9")
    )
    run_of_step.last_failure.time.FromDatetime(datetime.now(UTC) - timedelta(seconds=2))
    run_of_step.next_attempt_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=100))
    coordinator.sagas["s-1"] = waiting
    shown = run("get", "s-1").stdout
    assert "attempt 3 failed 2." in shown
    assert "UNAVAILABLE: nobody at 127.0.0.1:9" in shown
    assert "next attempt in 1m 39s" in shown
    for command in ("amends retry s-1", "amends cancel s-1", "amends resolve s-1 reserve --as no-effect"):
        assert command in shown


def test_get_shows_why_a_saga_turned_back(run: Run, coordinator: FakeCoordinator) -> None:
    """The step, the participant's reason and its words."""
    coordinator.sagas["s-1"] = saga(
        "COMPENSATED",
        turn_back=saga_pb2.TurnBack(cause="STEP_REJECTED", step="charge", reason="SHORT", message="no money"),
        steps=[
            saga_pb2.StepRun(
                step="charge", state="REJECTED", rejection=participant_pb2.Rejected(reason="SHORT")
            )
        ],
    )
    shown = run("get", "s-1").stdout
    assert "charge was rejected: SHORT: no money" in shown
    assert "What you can do" not in shown


def test_get_repeats_a_typed_target_in_the_commands_it_suggests(
    command: Run, target: str, coordinator: FakeCoordinator
) -> None:
    """What is suggested works when it is copied."""
    coordinator.sagas["s-1"] = saga("PARKED")
    assert f"amends --target {target} retry s-1" in command("get", "s-1", "--target", target).stdout


def test_get_as_json_shows_payloads_readably(run: Run, coordinator: FakeCoordinator) -> None:
    """JSON where it is JSON, type and bytes where it is anything else, and nothing lost."""
    struct = struct_pb2.Struct()
    struct.update({"sku": "apple", "count": 2})
    coordinator.sagas["s-1"] = saga(
        "RUNNING",
        input=packed(struct),
        step_inputs={"ship": packed(struct_pb2.Value(number_value=1.5))},
        labels={"customer": "17"},
        sequence=12,
        steps=[
            saga_pb2.StepRun(step="reserve", state="TRYING", result=packed(wrappers_pb2.Int32Value(value=5)))
        ],
    )
    shown = json.loads(run("get", "s-1", "--json").stdout)
    assert shown["input"] == {"sku": "apple", "count": 2}
    assert shown["stepInputs"] == {"ship": 1.5}
    assert shown["steps"][0]["result"] == {"type": "google.protobuf.Int32Value", "base64": "CAU="}
    assert (shown["state"], shown["sequence"], shown["labels"]) == ("RUNNING", "12", {"customer": "17"})
    assert shown["createTime"] == "2026-01-31T12:00:00Z"


def test_a_saga_that_is_not_there_has_its_own_exit_status(run: Run) -> None:
    """5, and the coordinator's words."""
    result = run("get", "nobody")
    assert (result.exit_code, result.stdout, result.stderr) == (5, "", "amends: there is no saga nobody\n")


def test_list_pages_up_to_the_limit(run: Run, coordinator: FakeCoordinator) -> None:
    """As many as asked for, however small the coordinator's pages are."""
    coordinator.summaries = [coordinator_pb2.SagaSummary(id=f"s-{n}", state="RUNNING") for n in range(9)]
    result = run("list", "--limit", "5", "--json")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [f"s-{n}" for n in range(5)]


def test_list_passes_its_conditions_on(run: Run, coordinator: FakeCoordinator) -> None:
    """State, definition, labels, time and attention reach the coordinator."""
    result = run(
        *(
            "list",
            "--state",
            "parked",
            "--state",
            "RUNNING",
            "--definition",
            "order",
            "--label",
            "customer=17",
        ),
        *("--since", "2026-01-31T13:00:00+01:00", "--needs-attention"),
    )
    asked = coordinator.requests[0]
    assert result.exit_code == 0
    assert list(asked.states) == [saga_pb2.Saga.PARKED, saga_pb2.Saga.RUNNING]
    assert (asked.definition_name, dict(asked.labels)) == ("order", {"customer": "17"})
    assert asked.created_from.ToDatetime(tzinfo=UTC) == START
    assert asked.needs_attention


def test_list_takes_a_span_as_since(run: Run, coordinator: FakeCoordinator) -> None:
    """90m means ninety minutes ago."""
    run("list", "--since", "90m")
    ago = datetime.now(UTC) - coordinator.requests[0].created_from.ToDatetime(tzinfo=UTC)
    assert timedelta(minutes=90) <= ago < timedelta(minutes=91)


def test_list_shows_a_table(run: Run, coordinator: FakeCoordinator) -> None:
    """Id, definition, state, labels and why somebody should look."""
    coordinator.summaries = [
        coordinator_pb2.SagaSummary(
            id="s-1",
            definition_name="order",
            state="PARKED",
            labels={"b": "2", "a": "1"},
            needs_attention="refused",
        )
    ]
    line = run("list").stdout.splitlines()[1].split()
    assert line[:3] == ["s-1", "order", "PARKED"]
    assert line[-3:] == ["a=1,", "b=2", "refused"]


def test_watch_shows_the_timeline_and_how_it_ended(run: Run, coordinator: FakeCoordinator) -> None:
    """One line per event, times counted from the first."""
    coordinator.events, coordinator.sagas["s-1"] = COMPLETED, saga("COMPLETED", sequence=3)
    result = run("watch", "s-1")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["0.000", "0.500", "1.000"]


def test_watch_as_json_prints_an_event_a_line(run: Run, coordinator: FakeCoordinator) -> None:
    """Programs read the same events."""
    coordinator.events, coordinator.sagas["s-1"] = COMPLETED, saga("COMPLETED", sequence=3)
    lines = [json.loads(line) for line in run("watch", "s-1", "--json").stdout.splitlines()]
    assert lines[1]["stepSucceeded"] == {"step": "reserve", "attempt": 1}
    assert lines[2]["sagaCompleted"] == {}


def test_watch_goes_on_where_it_was_when_the_coordinator_comes_back(
    run: Run, coordinator: FakeCoordinator
) -> None:
    """No event twice, none missing, and a word on stderr."""
    coordinator.events, coordinator.sagas["s-1"] = COMPLETED, saga("COMPLETED", sequence=3)
    coordinator.break_watch_after = [1]
    result = run("watch", "s-1")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    assert "went away" in result.stderr


def test_watch_stops_where_an_operator_is_needed(run: Run, coordinator: FakeCoordinator) -> None:
    """A parked saga gives the terminal back, with status 4 and what to type."""
    coordinator.events = [COMPLETED[0], event(2, 1.0, saga_parked=event_pb2.SagaParked(message="refused"))]
    coordinator.sagas["s-1"] = saga("PARKED", sequence=2)
    result = run("watch", "s-1")
    assert result.exit_code == 4
    assert "amends get s-1" in result.stderr


def test_watch_goes_past_a_parking_that_is_over(run: Run, coordinator: FakeCoordinator) -> None:
    """History is not mistaken for the present."""
    coordinator.events = [
        COMPLETED[0],
        event(2, saga_parked=event_pb2.SagaParked()),
        event(3, saga_retried=event_pb2.SagaRetried()),
        event(4, saga_compensated=event_pb2.SagaCompensated()),
    ]
    coordinator.sagas["s-1"] = saga("COMPENSATED", sequence=4)
    result = run("watch", "s-1")
    assert (result.exit_code, len(result.stdout.splitlines())) == (3, 4)


def test_history_asks_only_for_what_was(run: Run, coordinator: FakeCoordinator) -> None:
    """The command ends though the saga goes on."""
    coordinator.events, coordinator.sagas["s-1"] = COMPLETED[:2], saga("RUNNING")
    result = run("history", "s-1")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)
    assert coordinator.requests[0].history_only


def test_fields_that_the_coordinator_blames_are_named(run: Run, coordinator: FakeCoordinator) -> None:
    """Bad input is status 2, in one line, with the reason for programs."""
    coordinator.fail = failure(
        grpc.StatusCode.INVALID_ARGUMENT, "malformed", reason="BAD_ID", fields={"saga_id": "is too long"}
    )
    result = run("get", "x")
    assert (result.exit_code, result.stderr) == (2, "amends: saga_id: is too long (BAD_ID)\n")


def test_a_coordinator_that_cannot_write_is_not_unreachable(run: Run, coordinator: FakeCoordinator) -> None:
    """UNAVAILABLE in the coordinator's own words is status 1: it was reached."""
    coordinator.fail = failure(grpc.StatusCode.UNAVAILABLE, "the disk is full", reason="STORE_UNAVAILABLE")
    result = run("cancel", "s-1")
    assert (result.exit_code, result.stderr) == (1, "amends: the disk is full (STORE_UNAVAILABLE)\n")


def test_nobody_listening_has_its_own_exit_status(command: Run) -> None:
    """6, and a hint, in one line."""
    result = command("get", "s-1", "--target", "127.0.0.1:1")
    assert result.exit_code == 6
    assert result.stderr.startswith("amends: nobody listens at 127.0.0.1:1; is `amends serve` running there?")
