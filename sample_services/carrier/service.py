"""The methods of the carrier: what it asks of a parcel, and when it refuses one."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import grpc
from google.protobuf.message import Message

from sample_services.carrier import ledger
from sample_services.carrier.carrier_pb2 import (
    Booking,
    BookRequest,
    CancelBookingRequest,
    CancelBookingResponse,
)
from sample_services.carrier.carrier_pb2_grpc import CarrierServicer
from sample_services.carrier.ledger import Ledger

COUNTRIES: Final = frozenset({"NL", "BE", "DE", "FR"})
"""Where the carrier goes."""

WEIGHT_GRAMS_MAX: Final = 30_000
"""What one person carries up the stairs."""

ORDER_REF_MAX: Final = 200
"""How many characters there is room for on a label."""

_BASE_CENTS: Final = 495
_GRAMS_PER_CENT: Final = 50
_ADDRESS: Final = re.compile(r"\S.*,\s*([A-Z]{2})")

Response = TypeVar("Response", bound=Message)


class CarrierService(CarrierServicer):
    """Serves calls in any number of threads.

    Args:
        path: the file of its ledger, which `ledger.make` has made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def Book(  # noqa: N802 - the contract names it
        self, request: BookRequest, context: grpc.ServicerContext
    ) -> Booking:
        """Books a parcel."""
        _check(request, context)

        def book(books: Ledger) -> Booking:
            price = _BASE_CENTS + request.weight_grams // _GRAMS_PER_CENT
            entry = books.book(request.order_ref, request.address, request.weight_grams, price)
            return Booking(
                booking_id=entry.booking_id, tracking_code=entry.tracking_code, price_cents=entry.price_cents
            )

        return self._once("Book", request, context, Booking.FromString, book)

    def CancelBooking(  # noqa: N802 - likewise
        self, request: CancelBookingRequest, context: grpc.ServicerContext
    ) -> CancelBookingResponse:
        """Cancels a booking."""

        def cancel(books: Ledger) -> CancelBookingResponse:
            entry = books.find(request.booking_id)
            if entry is None:
                context.abort(grpc.StatusCode.NOT_FOUND, f"there is no booking {request.booking_id!r}")
            if entry.cancelled:
                what = f"booking {request.booking_id} was cancelled before"
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, what)
            books.cancel(request.booking_id)
            return CancelBookingResponse(refund_cents=entry.price_cents)

        return self._once("CancelBooking", request, context, CancelBookingResponse.FromString, cancel)

    def _once(
        self,
        method: str,
        request: Message,
        context: grpc.ServicerContext,
        read: Callable[[bytes], Response],
        deed: Callable[[Ledger], Response],
    ) -> Response:
        """Does a deed; or answers as before, if the call's idempotency key came before.

        What is refused writes nothing down, and is judged anew when it is asked again.
        """
        key = dict(context.invocation_metadata()).get("idempotency-key")
        with ledger.opened(self._path) as books:
            if key is None:
                return deed(books)
            call = (method, request.SerializeToString(deterministic=True))
            if answered := books.answered(str(key)):
                if answered[:2] != call:
                    what = "the idempotency-key came with another request before"
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, what)
                return read(answered[2])
            response = deed(books)
            books.remember(str(key), *call, response.SerializeToString())
            return response


def _check(request: BookRequest, context: grpc.ServicerContext) -> None:
    """Refuses a parcel that cannot be taken."""
    if not 1 <= len(request.order_ref) <= ORDER_REF_MAX:
        what = f"order_ref must be 1 to {ORDER_REF_MAX} characters"
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, what)
    if not 1 <= request.weight_grams <= WEIGHT_GRAMS_MAX:
        what = f"weight_grams must be 1 to {WEIGHT_GRAMS_MAX}, not {request.weight_grams}"
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, what)
    found = _ADDRESS.fullmatch(request.address)
    if found is None:
        what = f"address must be like 'Dam 1, Amsterdam, NL', not {request.address!r}"
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, what)
    if found[1] not in COUNTRIES:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"no parcel goes to {found[1]}")
