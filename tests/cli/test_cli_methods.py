"""Definitions whose steps call methods, as the command line sends and shows them."""

import json
from base64 import b64decode
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google.protobuf import any_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from amends import Definition
from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.cli import _json
from tests.cli.cli_fakes import FakeCoordinator, Run, event, saga
from tests.fuzz.effort import effort
from tests.fuzz.hostile import Hostile
from tests.sdk.definition.test_yaml_methods import ORDER, STEPS

DESCRIBED = Definition(
    "order", STEPS, input_type="google.rpc.RetryInfo", descriptors=[error_details_pb2, status_pb2]
)

CANCELLED = status_pb2.Status(code=1, message="no parcel")


def packed(message: Message) -> any_pb2.Any:
    payload = any_pb2.Any()
    payload.Pack(message)
    return payload


def saga_of_methods(**fields: Any) -> saga_pb2.Saga:
    """A saga of methods, whose descriptors lack what comes with protobuf, as a coordinator keeps them."""
    made = saga("RUNNING", **fields)
    made.definition.CopyFrom(DESCRIBED.to_proto())
    own = [file for file in made.definition.descriptors.file if not file.name.startswith("google/protobuf/")]
    made.definition.descriptors.CopyFrom(FileDescriptorSet(file=own))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a definition and its descriptors lie."""
    described = FileDescriptorSet()
    timestamp_pb2.DESCRIPTOR.CopyToProto(described.file.add())
    (tmp_path / "shop.binpb").write_bytes(described.SerializeToString())
    (tmp_path / "order.yaml").write_text(ORDER)
    return tmp_path


def test_a_definition_of_a_file_goes_with_its_descriptors(
    run: Run, coordinator: FakeCoordinator, folder: Path
) -> None:
    """Whether it is registered or started, and wherever the command runs."""
    for command in (("definitions", "register"), ("start",)):
        assert run(*command, str(folder / "order.yaml")).exit_code == 0
    for request in coordinator.requests:
        assert Definition.from_proto(request.definition).steps == tuple(STEPS)
        assert [file.name for file in request.definition.descriptors.file] == [
            "google/protobuf/timestamp.proto"
        ]


def test_a_mistake_in_a_file_is_told_with_its_line(
    run: Run, coordinator: FakeCoordinator, folder: Path
) -> None:
    """Status 2, and nothing was sent."""
    (folder / "shop.binpb").unlink()
    result = run("start", str(folder / "order.yaml"))
    assert result.exit_code == 2
    assert "order.yaml:3: descriptors is 'shop.binpb', which cannot be read: No such file" in result.stderr
    assert coordinator.requests == []


def test_a_definition_is_shown_with_what_its_steps_call(run: Run, coordinator: FakeCoordinator) -> None:
    """Methods, the lines of their expressions, and rules in the words of the contract."""
    definition = saga_of_methods().definition
    definition.timeout.FromSeconds(90)
    definition.steps[1].timeout.FromSeconds(5)
    coordinator.definitions["order"] = definition
    shown = [line.rstrip() for line in run("definitions", "get", "order").stdout.splitlines()]
    assert shown[0] == "order version 0, sagas turn back after 1m 30s"
    row = ["ship", "carrier", "acme.v1.Carrier/Book", "reserve", "COMPENSATABLE", "5.000", "s"]
    assert shown[3].split() == row
    assert shown[5:] == [
        "",
        "input         google.rpc.RetryInfo",
        "described in  google/rpc/error_details.proto, google/rpc/status.proto",
        "",
        "reserve",
        "  try         NOT_FOUND: UNKNOWN",
        "",
        "ship",
        "  try         acme.v1.Carrier/Book",
        "              BookRequest{",
        "                address: input.address,",
        "                place: results.reserve.place",
        "              }",
        "              OK where response.status == Status.DECLINED: REJECTED (NO_ROUTE)",
        "              UNAVAILABLE: PENDING",
        "  compensate  acme.v1.Carrier/Cancel",
        "              CancelRequest{id: response.id}",
        "              NOT_FOUND: SUCCEEDED",
        "",
        "tell",
        "  try         acme.v1.Mail/Send",
    ]


def test_an_expression_cannot_steer_a_terminal(run: Run, coordinator: FakeCoordinator) -> None:
    """It comes from elsewhere, as everything that is shown."""
    definition = saga_of_methods().definition
    definition.steps[1].try_method.request = "\x1b[2J\n\n\t\x07x"
    coordinator.definitions["order"] = definition
    shown = run("definitions", "get", "order").stdout
    assert "?[2J" in shown
    assert "?x" in shown
    assert "\x1b" not in shown


def test_descriptors_are_bytes_in_json(run: Run, coordinator: FakeCoordinator) -> None:
    """As compilers write and read them, and not a tree of a thousand lines."""
    coordinator.definitions["order"] = saga_of_methods().definition
    shown = json.loads(run("definitions", "get", "order", "--json").stdout)
    read = FileDescriptorSet.FromString(b64decode(shown["descriptors"]))
    assert read == coordinator.definitions["order"].descriptors
    assert shown["inputType"] == "google.rpc.RetryInfo"
    assert shown["steps"][2]["tryMethod"] == {"method": "acme.v1.Mail/Send"}
    assert shown["steps"][1]["compensateOutcomes"] == [{"code": "NOT_FOUND", "outcome": "SUCCEEDED"}]


def test_payloads_that_the_definition_describes_are_json(run: Run, coordinator: FakeCoordinator) -> None:
    """Inputs and results alike; what it does not describe is shown by its bytes."""
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromSeconds(3)
    results = [
        packed(CANCELLED),
        packed(status_pb2.Status(details=[packed(retry)])),
        packed(saga_pb2.TurnBack(step="ship")),
    ]
    coordinator.sagas["s-1"] = saga_of_methods(
        input=packed(retry),
        step_inputs={"ship": packed(timestamp_pb2.Timestamp(seconds=0))},
        steps=[saga_pb2.StepRun(step=f"step-{number}", result=each) for number, each in enumerate(results)],
    )
    shown = json.loads(run("get", "s-1", "--json").stdout)
    assert shown["input"] == {"retryDelay": "3s"}
    assert shown["stepInputs"] == {"ship": "1970-01-01T00:00:00Z"}
    assert [run["result"] for run in shown["steps"]] == [
        {"code": 1, "message": "no parcel"},
        {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}]},
        {"type": "amends.v1.TurnBack", "base64": "EgRzaGlw"},
    ]


@pytest.mark.parametrize(
    ("payload", "base64"),
    [
        (any_pb2.Any(type_url="x/google.rpc.Status", value=b"\xff"), "/w=="),
        (packed(timestamp_pb2.Timestamp(seconds=2**60)), "CICAgICAgICAEA=="),
        (
            packed(status_pb2.Status(details=[any_pb2.Any(type_url="x/nobody.Knows")])),
            "GhAKDngvbm9ib2R5Lktub3dz",
        ),
        (any_pb2.Any(value=b"a"), "YQ=="),
    ],
    ids=["no such message", "no time of JSON", "something unknown within", "no type"],
)
def test_payloads_that_are_not_what_they_say_are_shown_by_their_bytes(
    run: Run, coordinator: FakeCoordinator, payload: any_pb2.Any, base64: str
) -> None:
    """Nothing is lost, and nothing fails."""
    coordinator.sagas["s-1"] = saga_of_methods(input=payload)
    assert json.loads(run("get", "s-1", "--json").stdout)["input"]["base64"] == base64


def test_descriptors_that_do_not_fit_together_describe_nothing(
    run: Run, coordinator: FakeCoordinator
) -> None:
    """The saga is shown all the same."""
    coordinator.sagas["s-1"] = saga_of_methods(input=packed(CANCELLED))
    twice = coordinator.sagas["s-1"].definition.descriptors.file.add()
    twice.CopyFrom(coordinator.sagas["s-1"].definition.descriptors.file[0])
    twice.package = "another"
    assert "base64" in json.loads(run("get", "s-1", "--json").stdout)["input"]


@pytest.mark.parametrize("shown_by", ["watch", "history"])
def test_payloads_of_events_are_json_by_what_the_first_one_describes(
    run: Run, coordinator: FakeCoordinator, shown_by: str
) -> None:
    """Also after the coordinator was away."""
    made = saga_of_methods()
    started = event_pb2.SagaStarted(definition=made.definition, input=packed(CANCELLED))
    coordinator.events = [
        event(1, saga_started=started),
        event(2, step_succeeded=event_pb2.StepSucceeded(step="reserve", attempt=1, result=packed(CANCELLED))),
        event(3, saga_completed=event_pb2.SagaCompleted()),
    ]
    coordinator.sagas["s-1"] = saga("COMPLETED", sequence=3)
    coordinator.break_watch_after = [1] if shown_by == "watch" else []
    first, second, _ = map(json.loads, run(shown_by, "s-1", "--json").stdout.splitlines())
    assert first["sagaStarted"]["input"] == {"code": 1, "message": "no parcel"}
    assert second["stepSucceeded"]["result"] == {"code": 1, "message": "no parcel"}


# Hostile sagas

LOOPS = FileDescriptorProto(
    name="loop.proto",
    syntax="proto3",
    message_type=[
        DescriptorProto(
            name="Loop",
            field=[
                FieldDescriptorProto(
                    name="loop",
                    number=1,
                    label=FieldDescriptorProto.LABEL_OPTIONAL,
                    type=FieldDescriptorProto.TYPE_MESSAGE,
                    type_name=".Loop",
                )
            ],
        )
    ],
)


@effort(300)
@given(st.integers(0, 2**64))
def test_any_payload_by_any_descriptors_is_a_line(seed: int) -> None:
    """Though neither be what it says it is."""
    hostile = Hostile(Random(seed), [DESCRIBED.to_proto().descriptors, packed(CANCELLED)])
    made = saga_of_methods(input=packed(CANCELLED))
    with suppress(DecodeError):
        made.definition.descriptors.ParseFromString(hostile.make())
    with suppress(DecodeError):
        made.input.ParseFromString(hostile.make())
    assert "\n" not in _json.to_line(made)


def test_a_payload_that_is_nested_as_deep_as_can_be_is_a_line() -> None:
    """It ends where protobuf ends, or is shown by its bytes."""
    made = saga_of_methods()
    made.definition.descriptors.file.add().CopyFrom(LOOPS)
    for depth in (50, 99, 100, 5_000):
        value = b""
        for _ in range(depth):
            value = b"\x0a" + _length(len(value)) + value
        made.input.CopyFrom(any_pb2.Any(type_url="x/Loop", value=value))
        assert _json.to_line(made)


def _length(number: int) -> bytes:
    """A varint."""
    digits = []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])
