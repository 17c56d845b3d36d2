"""Definitions in YAML that call plain methods, by `amends` and a real daemon: run, shown, and refused."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from amends.v1 import coordinator_pb2
from tests.addresses import free_address
from tests.bindings.conftest import Releases, Stage, opened_stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRIP = """
name: trip
input_type: grand.hotel.v1.Trip
steps:
  - name: approve
    participant: budget
    action: approve
  - name: hold-room
    participant: desk
    try_method:
      method: grand.hotel.v1.FrontDesk/HoldRoom
      request: |
        HoldRoomRequest{
          reference: saga.id,
          guest: input.guest,
          house: input.house,
          nights: input.nights,
        }
    compensate_method:
      method: grand.hotel.v1.FrontDesk/ReleaseHold
      request: "ReleaseHoldRequest{hold_id: response.hold_id}"
    try_outcomes:
      - code: OK
        condition: "response.status == Hold.Status.DECLINED"
        outcome: rejected
        reason: NO_GUEST
  - name: confirm
    participant: desk
    try_method:
      method: grand.hotel.v1.FrontDesk/ConfirmStay
      request: |
        ConfirmStayRequest{
          hold_id: results.hold_room.hold_id,
          charge_to: results.approve.cost_centre,
        }
    compensate_method:
      method: grand.hotel.v1.FrontDesk/CancelStay
      request: "CancelStayRequest{stay_id: response.stay_id}"
"""

ADA, NOBODY = (
    json.dumps({"house": "Grand", "nights": 2, "guest": {"name": name}}) for name in ("Ada", "Nobody")
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, releases: Releases) -> AsyncIterator[Stage]:
    """One stage for all of these tests, with the trip in a file."""
    async with opened_stage(tmp_path_factory.mktemp("command-line"), releases) as stage:
        await stage.start_all()
        yield stage


def file(stage: Stage, text: str) -> str:
    path = stage.folder / "trip.yaml"
    path.write_text(text)
    return str(path)


async def test_a_trip_runs_and_is_shown_in_json(stage: Stage) -> None:
    """A response is a message that only the saga's own descriptors describe."""
    status, output = await stage.command(
        "start", file(stage, TRIP), "--id", "t-1", "--input", ADA, "--wait", "--json"
    )
    assert status == 0, output
    saga = json.loads(output)
    assert saga["state"] == "COMPLETED"
    results = {step["step"]: step.get("result") for step in saga["steps"]}
    assert results["hold-room"]["price"] == {"cents": "24000", "currency": "EUR"}
    assert saga["input"]["guest"] == {"name": "Ada"}
    assert stage.stays("t-1") == [False]


async def test_a_trip_that_turns_back_says_why(stage: Stage) -> None:
    """With the reason of the rule."""
    status, output = await stage.command(
        "start", file(stage, TRIP), "--id", "t-2", "--input", NOBODY, "--wait"
    )
    assert status == 3, output
    assert "NO_GUEST" in output


async def test_descriptors_come_from_a_file_beside_it(stage: Stage) -> None:
    """As protoc writes it, wherever the command runs."""
    (stage.folder / "desk.binpb").write_bytes(stage.releases.first.descriptors.SerializeToString())
    definition = file(stage, TRIP + "descriptors: desk.binpb\n")
    status, output = await stage.command("start", definition, "--id", "t-3", "--input", ADA, "--wait")
    assert status == 0, output


MISTAKES = {
    "an expression that does not parse": (
        "hold_id: results.hold_room.hold_id,\n",
        "hold_id: results.hold_room.hold_id,,\n",
        r"steps\[2\].try_method.request: line 2, column 38",
    ),
    "no such field": (
        "nights: input.nights",
        "nights: input.days",
        r"steps\[1\].try_method.request: line 5, column 16.*'days'",
    ),
    "a type that does not fit": (
        "house: input.house",
        "house: input.nights",
        r"steps\[1\].try_method.request: line 4, column 8",
    ),
    "no such variable": ("guest: input.guest", "guest: guest", r"steps\[1\].try_method.request.*'guest'"),
    "a result that there cannot be": (
        "charge_to: results.approve.cost_centre",
        "charge_to: results.approval.cost_centre",
        r"steps\[2\].try_method.request: line 3, column 22.*approval.*it needs: approve, hold_room",
    ),
    "no such service": (
        "FrontDesk/CancelStay",
        "BackDesk/CancelStay",
        r"steps\[2\].compensate_method.method.*BackDesk, which is no service",
    ),
    "no such method": ("/CancelStay", "/Cancel", r"steps\[2\].compensate_method.method.*it has: "),
    "a method that streams": ("/HoldRoom", "/Chat", r"steps\[1\].try_method.method.*streams"),
    "a condition that is no bool": (
        "response.status == Hold.Status.DECLINED",
        "response.hold_id",
        r"steps\[1\].try_outcomes\[0\].condition",
    ),
    "no such input type": ("grand.hotel.v1.Trip", "grand.hotel.v1.Journey", "input_type: .*Journey"),
}


@pytest.mark.parametrize("name", MISTAKES)
async def test_a_mistake_is_one_line_with_its_place(stage: Stage, name: str) -> None:
    """With the status of wrong input; nothing is registered."""
    right, wrong, said = MISTAKES[name]
    assert TRIP.count(right) == 1
    definition = file(stage, TRIP.replace(right, wrong))
    status, output = await stage.command("definitions", "register", definition)
    assert (status, len(output.splitlines())) == (2, 1), output
    assert re.search(said, output), output
    kept = await stage.coordinator.ListDefinitions(coordinator_pb2.ListDefinitionsRequest())
    assert list(kept.definitions) == []


async def test_a_mistake_is_told_at_a_start_too(stage: Stage) -> None:
    """Nothing is started."""
    definition = file(stage, TRIP.replace("input.nights", "input.days"))
    status, output = await stage.command("start", definition, "--id", "never", "--input", ADA)
    assert (status, len(output.splitlines())) == (2, 1), output
    assert "'days'" in output
    assert (await stage.command("get", "never"))[0] == 5


async def test_a_service_that_says_nothing_of_itself_is_one_line(tmp_path: Path, releases: Releases) -> None:
    """It has no reflection, or is not there; each is told with what to do."""
    async with opened_stage(tmp_path, releases) as stage:
        await asyncio.gather(
            stage.start_desk(reflection="off"),
            stage.start_budget(),
            stage.start_daemon("--participant", f"absent={free_address()}"),
        )
        status, output = await stage.command("definitions", "register", file(stage, TRIP))
        assert (status, len(output.splitlines())) == (2, 1), output
        assert "'desk', of which nothing is known: it offers no server reflection; switch it on" in output
        absent = file(stage, TRIP.replace("participant: desk", "participant: absent"))
        status, output = await stage.command("definitions", "register", absent)
        assert (status, len(output.splitlines())) == (1, 1), output
        assert "participant 'absent' does not say what it offers" in output


async def test_an_input_that_does_not_fit_is_one_line(stage: Stage) -> None:
    """It names what is wrong with it."""
    status, output = await stage.command("start", file(stage, TRIP), "--input", '{"nigths": 2}')
    assert (status, "nigths" in output) == (2, True), output


async def test_descriptors_that_do_not_link_are_named_with_their_line(stage: Stage) -> None:
    """Before anything is sent."""
    broken = type(stage.releases.first.descriptors)()
    broken.file.extend(file for file in stage.releases.first.descriptors.file if "guests" not in file.name)
    (stage.folder / "broken.binpb").write_bytes(broken.SerializeToString())
    definition = file(stage, TRIP + "descriptors: broken.binpb\n")
    status, output = await stage.command("start", definition, "--input", ADA)
    assert status == 2
    assert "grand/guests/v1/guests.proto" in output


async def test_a_registered_trip_is_shown_with_its_methods(stage: Stage) -> None:
    """Readably, and in JSON with its descriptors as bytes."""
    status, output = await stage.command("definitions", "register", file(stage, TRIP))
    assert status == 0, output
    status, output = await stage.command("definitions", "get", "trip")
    assert (status, "grand.hotel.v1.FrontDesk/HoldRoom" in output) == (0, True), output
    status, output = await stage.command("definitions", "get", "trip", "--json")
    assert isinstance(json.loads(output)["descriptors"], str)
    status, output = await stage.command("start", "trip", "--id", "t-4", "--input", ADA, "--wait")
    assert status == 0, output
