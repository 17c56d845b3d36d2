"""start: what is asked for, and how its end is told."""

import json
from pathlib import Path

import pytest
from google.protobuf import struct_pb2

from amends.v1 import event_pb2
from tests.cli.cli_fakes import FakeCoordinator, Run, event, saga

ORDER = """\
name: order
steps:
  - {name: reserve, participant: inventory, action: reserve}
  - {name: charge, participant: payments, action: charge}
"""


def test_a_saga_of_a_registered_definition_starts(run: Run, coordinator: FakeCoordinator) -> None:
    """Name, id, inputs and labels reach the coordinator, JSON as Struct and Value."""
    result = run(
        *("start", "order", "--id", "o-1", "--input", '{"sku": "apple"}', "--step-input", "ship=[1]"),
        *("--label", "customer=17", "--label", "note=a=b"),
    )
    asked = coordinator.requests[0]
    struct, value = struct_pb2.Struct(), struct_pb2.Value()
    assert result.exit_code == 0
    assert (asked.definition_name, asked.saga_id) == ("order", "o-1")
    assert asked.input.Unpack(struct)
    assert dict(struct) == {"sku": "apple"}
    assert asked.step_inputs["ship"].Unpack(value)
    assert list(value.list_value) == [1]
    assert dict(asked.labels) == {"customer": "17", "note": "a=b"}


def test_p10_a_start_without_an_id_gets_one_before_it_is_sent(run: Run, coordinator: FakeCoordinator) -> None:
    """So that a start whose answer is lost can be looked up."""
    result = run("start", "order")
    assert coordinator.requests[0].saga_id
    assert f"amends watch {coordinator.requests[0].saga_id}" in result.stdout


def test_a_start_that_nobody_answered_says_where_to_look(command: Run) -> None:
    """The line on stderr has the id."""
    result = command("start", "order", "--id", "o-1")
    assert result.exit_code == 6
    assert "amends get o-1" in result.stderr


def test_a_saga_of_a_file_starts(run: Run, coordinator: FakeCoordinator, tmp_path: Path) -> None:
    """What ends in .yaml is a file, and its definition goes along."""
    path = tmp_path / "order.yaml"
    path.write_text(ORDER)
    assert run("start", str(path)).exit_code == 0
    assert [step.name for step in coordinator.requests[0].definition.steps] == ["reserve", "charge"]


def test_a_file_with_a_typo_is_named_with_its_line(run: Run, tmp_path: Path) -> None:
    """Status 2, and nothing was sent."""
    path = tmp_path / "order.yaml"
    path.write_text(ORDER.replace("action: charge", "acton: charge"))
    result = run("start", str(path))
    assert result.exit_code == 2
    assert "order.yaml:4:" in result.stderr
    assert "'acton'" in result.stderr


def test_input_comes_from_a_file_or_from_standard_input(
    run: Run, coordinator: FakeCoordinator, tmp_path: Path
) -> None:
    """@FILE and - say where."""
    path = tmp_path / "input.json"
    path.write_text('{"from": "file"}')
    run("start", "order", "--input", f"@{path}", "--step-input", "ship=-", input='{"from": "stdin"}')
    request = coordinator.requests[0]
    found = []
    for payload in (request.input, request.step_inputs["ship"]):
        struct = struct_pb2.Struct()
        payload.Unpack(struct)
        found.append(struct["from"])
    assert found == ["file", "stdin"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{", "--input: not JSON"),
        ("NaN", "NaN is no number of JSON"),
        ('{"amount": 1, "amount": 2}', "'amount' is given more than once"),
        ("9007199254740993", "beyond 2**53"),
        ("@/nowhere.json", "--input: cannot read @/nowhere.json: No such file or directory"),
    ],
)
def test_input_that_would_not_arrive_as_written_is_refused(run: Run, written: str, said: str) -> None:
    """An amount of money never changes on its way."""
    result = run("start", "order", "--input", written)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--wait", "--watch"), "--wait and --watch exclude each other"),
        (("--input", "-", "--step-input", "a=-"), "only one input can come from standard input"),
        (("--step-input", "ship"), "--step-input ship: must be STEP=JSON"),
        (("--label", "a=1", "--label", "a=2"), "--label: a is given more than once"),
    ],
)
def test_arguments_that_clash_are_refused(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """Status 2, and the option is named."""
    result = run("start", "order", *arguments)
    assert (result.exit_code, result.stderr) == (2, f"amends: {said}\n")


@pytest.mark.parametrize(
    ("state", "end", "status"),
    [
        ("COMPLETED", {"saga_completed": event_pb2.SagaCompleted()}, 0),
        ("COMPENSATED", {"saga_compensated": event_pb2.SagaCompensated()}, 3),
        ("PARKED", {"saga_parked": event_pb2.SagaParked()}, 4),
    ],
)
@pytest.mark.parametrize("option", ["--wait", "--watch"])
def test_the_exit_status_tells_how_the_saga_ended(
    run: Run, coordinator: FakeCoordinator, option: str, state: str, end: dict[str, object], status: int
) -> None:
    """A script that waits or watches learns the end from the status alone."""
    coordinator.sagas["s-1"] = saga(state, sequence=2)
    coordinator.events = [event(1, saga_started=event_pb2.SagaStarted()), event(2, **end)]
    assert run("start", "order", "--id", "s-1", option).exit_code == status


def test_waiting_as_json_prints_the_saga_once(run: Run, coordinator: FakeCoordinator) -> None:
    """One object, the saga as it ended."""
    coordinator.sagas["s-1"] = saga("COMPLETED", sequence=1)
    coordinator.events = [event(1, saga_completed=event_pb2.SagaCompleted())]
    result = run("start", "order", "--id", "s-1", "--wait", "--json")
    assert json.loads(result.stdout)["state"] == "COMPLETED"
