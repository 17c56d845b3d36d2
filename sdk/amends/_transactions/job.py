"""What can be done in a transaction that others share: a call of a participant, or an event for a service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from amends._fence import Fence, Ledger


class Job(Protocol):
    """Something to be done in a transaction, and to be told of when that is over.

    Attributes:
        answer: what came of it, set when the transaction is over; a Fault where nothing of it is stored.
        on_answer: called with the answer, once, in the event loop.
        is_part: whether it goes on with what was let in before, and so is let in although there is no room.
    """

    answer: Any
    on_answer: Callable[[Any], None]
    is_part: bool

    def perform(self, ledger: Ledger) -> Any:
        """Does it, in the connection's thread, and returns the answer. Raises Fault, and leaves no effect."""

    async def perform_async(self, fence: Fence) -> Any:
        """Does it where it has to wait. Raises like `perform`."""

    def give_up(self, ledger: Ledger) -> Any:
        """Does what is left to do, in a transaction of its own, for a job that broke the one it was done in;
        returns the answer."""

    def log_fields(self) -> dict[str, object]:
        """The saga's context for a log record. Never the payload."""
