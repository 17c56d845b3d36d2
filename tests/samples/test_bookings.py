"""What the carrier wrote down, compared with what the coordinator says."""

from __future__ import annotations

import pytest

from amends import Saga
from amends._payload import pack
from amends.v1 import saga_pb2
from amends.v1.saga_pb2 import StepRun
from sample_services.carrier.ledger import Entry
from sample_services.contract import Reservation
from sample_services.interop.bookings import check_bookings, without_bookings

COMPLETED, COMPENSATED = saga_pb2.Saga.COMPLETED, saga_pb2.Saga.COMPENSATED


def saga(state: saga_pb2.Saga.State.ValueType, ship: StepRun.State.ValueType) -> Saga:
    """An order of two pieces."""
    reserved = pack(Reservation(sku="tea-green", quantity=2, total=1300))
    steps = [
        StepRun(step="reserve", state=StepRun.SUCCEEDED, result=reserved),
        StepRun(step="ship", state=ship),
    ]
    return Saga(saga_pb2.Saga(id="s", state=state, steps=steps))


def booking(label: str = "s, worth 1300 cents", *, cancelled: int = 0, weight: int = 500) -> Entry:
    return Entry("B-1", "ACME1", label, "Herengracht 1, NL", weight, 505, cancelled)


def found(saga: Saga, *entries: Entry) -> list[str]:
    return [str(finding) for finding in check_bookings([saga], entries)]


@pytest.mark.parametrize(
    ("state", "ship", "entries"),
    [
        (COMPLETED, StepRun.SUCCEEDED, [booking()]),
        (COMPENSATED, StepRun.COMPENSATED, [booking(cancelled=1)]),
        (COMPENSATED, StepRun.REJECTED, []),
        (COMPENSATED, StepRun.SKIPPED, []),
    ],
)
def test_they_agree(
    state: saga_pb2.Saga.State.ValueType, ship: StepRun.State.ValueType, entries: list[Entry]
) -> None:
    assert found(saga(state, ship), *entries) == []


@pytest.mark.parametrize(
    ("ship", "entries", "ledger"),
    [
        (
            StepRun.COMPENSATED,
            [booking()],
            "the log says COMPENSATED, the ledger has 1 bookings, 0 cancelled",
        ),
        (StepRun.COMPENSATED, [], "the log says COMPENSATED, the ledger has 0 bookings, 0 cancelled"),
        (
            StepRun.COMPENSATED,
            [booking(cancelled=1), booking(cancelled=1)],
            "the log says COMPENSATED, the ledger has 2 bookings, 2 cancelled",
        ),
        (StepRun.SKIPPED, [booking()], "the log says SKIPPED, the ledger has 1 bookings, 0 cancelled"),
    ],
)
def test_a_booking_that_does_not_go_with_its_step_is_found(
    ship: StepRun.State.ValueType, entries: list[Entry], ledger: str
) -> None:
    assert found(saga(COMPENSATED, ship), *entries) == [f"carrier: s: ship: {ledger}"]


def test_a_step_that_does_not_go_with_its_saga_is_found() -> None:
    what = "carrier: s: ship: is SUCCEEDED in a saga that is COMPENSATED"
    assert found(saga(COMPENSATED, StepRun.SUCCEEDED), booking()) == [what]


def test_a_saga_that_has_not_ended_is_found() -> None:
    assert "carrier: s: ship: is UNKNOWN in a saga that is PARKED" in found(
        saga(saga_pb2.Saga.PARKED, StepRun.UNKNOWN)
    )


@pytest.mark.parametrize("entry", [booking("s, worth 1 cents"), booking(weight=1)])
def test_a_request_that_is_not_made_of_what_came_before_is_found(entry: Entry) -> None:
    (finding,) = found(saga(COMPLETED, StepRun.SUCCEEDED), entry)
    wanted = "carrier: s: ship: should have booked 's, worth 1300 cents' of 500 g; it booked "
    assert finding == f"{wanted}{entry.order_ref!r} of {entry.weight_grams} g"


def test_a_booking_of_nobody_is_found() -> None:
    entries = (booking(), booking("t, worth 1 cents"))
    assert found(saga(COMPLETED, StepRun.SUCCEEDED), *entries) == ["carrier: t: ship: is not in the log"]


def test_the_rest_of_a_saga_is_left_for_the_audit_of_the_others() -> None:
    whole = saga(COMPLETED, StepRun.SUCCEEDED)
    assert [run.step for run in without_bookings(whole).steps] == ["reserve"]
    assert list(whole.steps) == ["reserve", "ship"]
