"""cancel, retry, resolve, definitions, protos."""

import json
import sys
from pathlib import Path

import pytest
from google.protobuf import struct_pb2

from amends.v1 import event_pb2
from tests.cli.cli_fakes import FakeCoordinator, Run, order, saga


def test_cancel_asks_with_its_reason(run: Run, coordinator: FakeCoordinator) -> None:
    """The words reach the log."""
    coordinator.sagas["s-1"] = saga("COMPENSATING")
    result = run("cancel", "s-1", "--reason", "customer called")
    assert coordinator.requests[0].reason == "customer called"
    assert result.stdout == "s-1: asked to turn back; the saga is COMPENSATING\n"


def test_retry_asks_with_its_reason(run: Run, coordinator: FakeCoordinator) -> None:
    """The words reach the log, and --json prints the saga."""
    coordinator.sagas["s-1"] = saga("RUNNING")
    result = run("retry", "s-1", "--reason", "mended", "--json")
    assert coordinator.requests[0].reason == "mended"
    assert json.loads(result.stdout)["state"] == "RUNNING"


@pytest.mark.parametrize(
    ("truth", "resolution"),
    [
        ("succeeded", event_pb2.StepResolved.SUCCEEDED),
        ("no-effect", event_pb2.StepResolved.NO_EFFECT),
        ("compensated", event_pb2.StepResolved.COMPENSATED),
    ],
)
def test_resolve_states_what_is_true(
    run: Run, coordinator: FakeCoordinator, truth: str, resolution: int
) -> None:
    """Each truth has its value of the contract."""
    coordinator.sagas["s-1"] = saga("COMPENSATING")
    result = run("resolve", "s-1", "charge", "--as", truth, "--reason", "looked")
    asked = coordinator.requests[0]
    assert result.exit_code == 0
    assert (asked.step, asked.resolution, asked.reason) == ("charge", resolution, "looked")


def test_resolve_carries_a_result_only_with_success(run: Run, coordinator: FakeCoordinator) -> None:
    """A result of something that did not happen is refused before it is sent."""
    coordinator.sagas["s-1"] = saga("RUNNING")
    told = ("resolve", "s-1", "charge", "--reason", "looked", "--result", '{"id": "c-1"}', "--as")
    assert run(*told, "no-effect").exit_code == 2
    assert run(*told, "succeeded").exit_code == 0
    struct = struct_pb2.Struct()
    assert coordinator.requests[0].result.Unpack(struct)
    assert struct["id"] == "c-1"


def test_resolve_needs_a_reason(run: Run, coordinator: FakeCoordinator) -> None:
    """Status 2 from the command itself."""
    result = run("resolve", "s-1", "charge", "--as", "compensated")
    assert result.exit_code == 2
    assert "--reason" in result.stderr
    assert coordinator.requests == []


def test_definitions_are_registered_listed_and_shown(
    run: Run, coordinator: FakeCoordinator, tmp_path: Path
) -> None:
    """The file goes in and comes out step by step."""
    path = tmp_path / "order.yaml"
    path.write_text("name: order\nsteps: [{name: reserve, participant: inventory, action: hold}]\n")
    assert run("definitions", "register", str(path)).stdout == "order version 1 is registered\n"
    assert run("definitions").stdout.splitlines()[1].split()[:3] == ["order", "1", "reserve"]
    assert json.loads(run("definitions", "list", "--json").stdout)["name"] == "order"
    assert "inventory" in run("definitions", "get", "order").stdout


def test_a_definition_is_shown_with_what_each_step_needs(run: Run, coordinator: FakeCoordinator) -> None:
    """A plain list is a sequence, and its kinds are told."""
    coordinator.definitions["order"] = order()
    rows = [line.split() for line in run("definitions", "get", "order").stdout.splitlines()[2:]]
    assert [row[3:5] for row in rows] == [
        ["-", "COMPENSATABLE"],
        ["reserve", "PIVOT"],
        ["charge", "RETRIABLE"],
    ]


def test_protos_names_the_folder_for_the_compiler(command: Run) -> None:
    """The contracts lie under it as they import each other."""
    root = Path(command("protos").stdout.strip())
    assert (root / "amends/v1/participant.proto").is_file()


def test_copied_protos_compile_by_themselves(command: Run, tmp_path: Path) -> None:
    """A user of another language needs nothing but a protobuf compiler."""
    from grpc_tools import protoc

    assert command("protos", "--copy", str(tmp_path)).exit_code == 0
    sources = sorted((tmp_path / "amends/v1").glob("*.proto"))
    ours = Path(__file__).parents[2] / "protos/amends/v1"
    assert [source.name for source in sources] == sorted(each.name for each in ours.glob("*.proto"))
    common = Path(protoc.__file__).parent / "_proto"  # google/protobuf, which every compiler has
    out = f"--descriptor_set_out={tmp_path / 'all.bin'}"
    status = protoc.main([sys.executable, f"-I{tmp_path}", f"-I{common}", out, *map(str, sources)])
    assert status == 0


def test_protos_says_why_it_cannot_copy(command: Run, tmp_path: Path) -> None:
    """A file in the way is one line and status 1."""
    (tmp_path / "amends").write_text("in the way")
    result = command("protos", "--copy", str(tmp_path))
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
