"""Where a test hands in orders at a sample service, as a coordinator would, without a port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from amends import Participant
from amends._payload import pack
from amends.v1.participant_pb2 import CompensateRequest, CompensateResponse, TryRequest, TryResponse
from sample_services.book import Book, Bookkeeping
from sample_services.contract import Order, Reservation

ORDER = Order(sku="tea-green", quantity=2, account="ada", address="Herengracht 1, Amsterdam", country="NL")


class Counter:
    """One service and its ledger."""

    def __init__(self, participant: Participant, action: str, bookkeeping: Bookkeeping, path: Path) -> None:
        self._participant = participant
        self._action = action
        self._bookkeeping = bookkeeping
        self._path = path

    async def try_(self, saga: str = "s", **changes: Any) -> TryResponse:
        """Tries the service's action for an order; `total` sets what the reserved goods cost."""
        total = changes.pop("total", 1300)
        order = replace(ORDER, **changes)
        reservation = Reservation(sku=order.sku, quantity=order.quantity, total=total)
        request = TryRequest(saga_id=saga, step=self._action, attempt=1, action=self._action)
        request.input.CopyFrom(pack(order))
        request.results["reserve"].CopyFrom(pack(reservation))
        return await self._participant.handle_try(request)

    async def compensate(self, saga: str = "s") -> CompensateResponse:
        """Compensates it, as a coordinator that never learned the result."""
        request = CompensateRequest(saga_id=saga, step=self._action, attempt=1, action=self._action)
        request.input.CopyFrom(pack(ORDER))
        return await self._participant.handle_compensate(request)

    @property
    def book(self) -> Book:
        """What the service has written down."""
        return self._bookkeeping.read(self._path)

    @property
    def amounts(self) -> list[int]:
        """The movements in its ledger."""
        return [movement.amount for movement in self.book.movements]


@asynccontextmanager
async def opened_counter(
    participant: Participant, action: str, bookkeeping: Bookkeeping, path: Path
) -> AsyncIterator[Counter]:
    """Opens a service whose store is the file of the path."""
    async with participant:
        yield Counter(participant, action, bookkeeping, path)
