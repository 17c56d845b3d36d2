"""A carrier to try the kit on that knows nothing of Amends, and the sagas that book parcels there."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc

from amends import Definition, MethodCall, OutcomeRule, Retry, Step
from amends_coordinator.testing import PlainService
from sample_services.carrier.carrier_pb2 import (
    Booking,
    BookRequest,
    CancelBookingRequest,
    CancelBookingResponse,
)
from sample_services.carrier.carrier_pb2_grpc import CarrierServicer, add_CarrierServicer_to_server

BOOK = "acme.carrier.v1.Carrier/Book"
CANCEL = "acme.carrier.v1.Carrier/CancelBooking"
INPUT = {"sku": "tea", "address": "Dam 1, Amsterdam, NL"}


def shipment(*rules: OutcomeRule, **options: Any) -> Step:
    """Books a parcel; to undo that, cancels the booking that was made."""
    return Step(
        "ship",
        "carrier",
        try_method=MethodCall(
            BOOK, "BookRequest{order_ref: saga.id, address: input.address, weight_grams: 500}"
        ),
        compensate_method=MethodCall(CANCEL, "CancelBookingRequest{booking_id: response.booking_id}"),
        try_outcomes=rules,
        **options,
    )


def parcel(*rules: OutcomeRule, **options: Any) -> Definition:
    """Books a parcel and nothing else."""
    return Definition("parcel", [shipment(*rules, **options)])


ORDER = Definition("order", [shipment(), Step("charge", "payments", "charge")])
"""Books before it charges, so that an account that is short has the booking cancelled."""

ONCE = {"timeout": 1.0, "retry": Retry(max_attempts=1)}
"""Options of a step that is given up soon."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Answer: TypeAlias = Callable[[Context], Awaitable[Any]]


@dataclass
class Carrier(CarrierServicer):
    """Its methods are coroutines; Book answers as a test says, and by itself repeats itself by the key."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # method, metadata
    bookings: dict[str, Booking] = field(default_factory=dict)  # by idempotency key
    cancelled: list[str] = field(default_factory=list)  # ids of bookings
    answer: Answer | None = None

    async def Book(self, request: BookRequest, context: Context) -> Any:
        key = self._note("Book", context)["idempotency-key"]
        if self.answer is not None:
            return await self.answer(context)
        booking = Booking(booking_id=f"for {request.order_ref}", price_cents=495)
        return self.bookings.setdefault(key, booking)

    async def CancelBooking(self, request: CancelBookingRequest, context: Context) -> CancelBookingResponse:
        self._note("CancelBooking", context)
        self.cancelled.append(request.booking_id)
        return CancelBookingResponse(refund_cents=495)

    def _note(self, method: str, context: Context) -> dict[str, Any]:
        metadata = dict(context.invocation_metadata() or ())
        self.calls.append((method, metadata))
        return metadata

    def service(self) -> PlainService:
        return PlainService("carrier").add(add_CarrierServicer_to_server, self)
