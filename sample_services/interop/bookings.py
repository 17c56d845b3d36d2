"""Compares what the carrier wrote down with what the coordinator says.

The carrier has no fence and knows no sagas, but every booking has a label, which begins with the saga's id.
Nothing in its ledger forbids a second booking with the same label: an effect that happened twice would show.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from amends import Saga, StepState
from amends.v1 import saga_pb2
from sample_services.carrier.ledger import Entry
from sample_services.contract import Reservation
from sample_services.demo.audit import STEPS_OF_SAGA, Finding

STEP: Final = "ship"
"""The step of the order saga that books a parcel."""

BOOKINGS_OF_STEP: Final[Mapping[StepState, Sequence[bool]]] = {
    StepState.SUCCEEDED: [False],
    StepState.COMPENSATED: [True],
    StepState.REJECTED: [],
    StepState.SKIPPED: [],
}
"""The states of the step when its saga has ended, and of each booking to go with it, if it is cancelled."""

_GRAMS_PER_PIECE: Final = 250


def check_bookings(sagas: Iterable[Saga], entries: Iterable[Entry]) -> Iterator[Finding]:
    """Says where log and ledger tell different stories of sagas that have ended."""
    bookings: dict[str, list[Entry]] = {}
    for entry in entries:
        bookings.setdefault(entry.order_ref.partition(",")[0], []).append(entry)
    for saga in sagas:
        for what in _check(saga, bookings.pop(saga.id, [])):
            yield Finding(where="carrier", saga=saga.id, step=STEP, what=what)
    for stranger in bookings:
        yield Finding(where="carrier", saga=stranger, step=STEP, what="is not in the log")


def _check(saga: Saga, bookings: Sequence[Entry]) -> Iterator[str]:
    run = saga.steps[STEP]
    if run.proto.state not in STEPS_OF_SAGA.get(saga.proto.state, frozenset()):
        yield f"is {run.state} in a saga that is {saga.state}"
    cancelled = [bool(entry.cancelled) for entry in bookings]
    if cancelled != BOOKINGS_OF_STEP.get(run.state):
        found = f"{len(cancelled)} bookings, {sum(cancelled)} cancelled"
        yield f"the log says {run.state}, the ledger has {found}"
    for entry in bookings:
        yield from _check_request(saga, entry)


def _check_request(saga: Saga, entry: Entry) -> Iterator[str]:
    """Says what of a booking is not what the results of earlier steps make it."""
    reserved = saga.result("reserve", Reservation)
    label = f"{saga.id}, worth {reserved.total} cents"
    weight = reserved.quantity * _GRAMS_PER_PIECE
    if (entry.order_ref, entry.weight_grams) != (label, weight):
        found = f"{entry.order_ref!r} of {entry.weight_grams} g"
        yield f"should have booked {label!r} of {weight} g; it booked {found}"


def without_bookings(saga: Saga) -> saga_pb2.Saga:
    """Returns a saga less the step that books a parcel, for the audit of services that have a fence."""
    rest = saga_pb2.Saga()
    rest.CopyFrom(saga.proto)
    (run,) = (run for run in rest.steps if run.step == STEP)
    rest.steps.remove(run)
    return rest
