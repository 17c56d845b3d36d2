"""The definitions of the tests: a trip that a budget approves and a hotel takes in."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf import struct_pb2
from google.rpc import code_pb2

from amends.v1 import saga_pb2
from tests.bindings.generating import Release

DESK = "grand.hotel.v1.FrontDesk"

HOLD = """
HoldRoomRequest{
  reference: saga.id,
  guest: input.guest,
  house: input.house,
  arrival: input.arrival,
  nights: input.nights,
  wishes: input.wishes,
}"""
RELEASE = """
responded
  ? ReleaseHoldRequest{hold_id: response.hold_id}
  : ReleaseHoldRequest{reference: request.reference}"""
CONFIRM = """
ConfirmStayRequest{
  hold_id: results.hold_room.hold_id,
  charge_to: results.approve.cost_centre,
  cents: results.hold_room.price.cents,
  note: has(input.note) ? input.note : "for " + saga.definition,
  keys: uint(results.approve.keys),
}"""

CONFIRM_AFTER_THE_CHANGE = CONFIRM.replace("charge_to:", "account:")
"""What it has to be for the second release."""


def try_and_undo(
    step: saga_pb2.Step, tried: str, tried_by: str, undone: str = "", undone_by: str = ""
) -> saga_pb2.Step:
    """Has a step call two methods of the front desk."""
    step.try_method.CopyFrom(saga_pb2.MethodCall(method=f"{DESK}/{tried}", request=tried_by))
    if undone:
        step.compensate_method.CopyFrom(saga_pb2.MethodCall(method=f"{DESK}/{undone}", request=undone_by))
    return step


def desk_step(name: str, *needs: str) -> saga_pb2.Step:
    """A step of the hotel, tried again soon and for as long as a process takes to start."""
    step = saga_pb2.Step(name=name, participant="desk")
    step.retry.max_attempts = 1_000
    step.retry.initial_backoff.FromMilliseconds(20)
    step.retry.max_backoff.FromMilliseconds(200)
    if needs:
        step.needs.steps.extend(needs)
    return step


def hold_room(request: str = HOLD) -> saga_pb2.Step:
    """Holds a room; undone by the id that the hotel gave it, or where that is not known by our own."""
    return try_and_undo(desk_step("hold-room"), "HoldRoom", request, "ReleaseHold", RELEASE)


def confirm(request: str = CONFIRM) -> saga_pb2.Step:
    """Confirms the stay; undone by the id that the hotel gave it, and by nothing else."""
    return try_and_undo(
        desk_step("confirm"),
        "ConfirmStay",
        request,
        "CancelStay",
        "CancelStayRequest{stay_id: response.stay_id}",
    )


def participant_step(name: str, action: str) -> saga_pb2.Step:
    """A step of the participant with a fence."""
    step = saga_pb2.Step(name=name, participant="budget", action=action)
    step.retry.CopyFrom(desk_step("any").retry)
    return step


def trip(*more: saga_pb2.Step, name: str = "trip", confirm_by: str = CONFIRM) -> saga_pb2.Definition:
    """Approve, hold, confirm, and whatever comes after."""
    steps = [participant_step("approve", "approve"), hold_room(), confirm(confirm_by), *more]
    return saga_pb2.Definition(name=name, steps=steps, input_type="grand.hotel.v1.Trip")


def vetoed_trip() -> saga_pb2.Definition:
    """A trip that the participant rejects once all else is done."""
    return trip(participant_step("veto", "veto"), name="vetoed")


def only(step: saga_pb2.Step, input_type: str = "grand.hotel.v1.Trip") -> saga_pb2.Definition:
    """A definition of one step."""
    return saga_pb2.Definition(name="only", steps=[step], input_type=input_type)


def rule(code: str, outcome: str, condition: str = "", reason: str = "") -> saga_pb2.OutcomeRule:
    """A rule by the names of its code and its outcome."""
    return saga_pb2.OutcomeRule(
        code=code_pb2.Code.Value(code),
        outcome=saga_pb2.OutcomeRule.Outcome.Value(outcome),
        condition=condition,
        reason=reason,
    )


def wanted(release: Release, **fields: Any) -> Any:
    """What a customer sends: two nights of Ada in the Grand."""
    arrival = datetime(2030, 6, 1, 15, tzinfo=UTC)
    guest = {"name": "Ada", "address": {"street": "Byron Row 1", "city": "London"}}
    return release.message(
        "Trip", **{"house": "Grand", "nights": 2, "guest": guest, "arrival": arrival, **fields}
    )


def as_json(**fields: Any) -> struct_pb2.Struct:
    """The same as JSON."""
    found = struct_pb2.Struct()
    found.update(
        {
            "house": "Grand", "nights": 2, "arrival": "2030-06-01T15:00:00Z",
            "guest": {"name": "Ada", "address": {"street": "Byron Row 1", "city": "London"}}, **fields,
        }
    )  # fmt: skip
    return found
