"""What choreographed services ask of whatever carries their events from one to another.

Ground rules, which every bus keeps and one suite of tests checks:

* What `publish` has accepted is durable, and is kept for `retention`.
* A message goes to every durable consumer that wants its subject, at least once. Until it is settled it may
  come again, to any process that consumes under the same name.
* Messages of one key reach a consumer in the order in which they were published. Those that are not settled
  yet are all with one process at a time, in that order; a `NAK` holds back those after it.
* A bus may keep several keys in one partition, and hold back all of them for one `NAK`. A consumer therefore
  gives it only where it can do nothing at all; what it can put aside it acknowledges.
* A repeated id is an optimisation, never a promise: a bus may forget ids. Whoever reads keeps an inbox.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from amends.errors import AmendsError, StartError


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a bus carries. It looks at nothing but the first three fields."""

    id: str
    """Identifies the message, for ever: the same when it is published again."""
    key: str
    """What it is kept in order by: the saga's id."""
    subject: str
    """What consumers ask for: the family of the event's type, such as "shop.OrderPlaced"."""
    headers: Mapping[str, str]
    """ASCII text by lower-case name."""
    data: bytes
    """The payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message that was handed to this process, and waits to be settled."""

    message: Message
    sequence: int
    """Its place in the bus, from 1: greater than that of everything published before."""
    number: int
    """How often it has been delivered, this time included."""
    handle: Any
    """What the bus needs to settle it."""


class Verdict(enum.Enum):
    """What a consumer has decided about a delivery."""

    ACK = enum.auto()
    """It is done with, durably."""
    NAK = enum.auto()
    """It is to come again, after a delay."""
    TERMINATE = enum.auto()
    """It is never to come again, although it was not dealt with: somebody has to look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A verdict about a delivery."""

    delivery: Delivery
    verdict: Verdict
    delay: float = 0.0
    """For NAK: the seconds before it comes again, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Says that a message is on the bus, durably."""

    stream: str
    """Names the place where it is kept."""
    sequence: int
    """Its place there."""
    duplicate: bool = False
    """Whether a message of this id was there already, and this one was left out."""


class Subscription(Protocol):
    """One process's part in what a durable consumer is to receive."""

    async def until_named(self) -> None:
        """Waits until the bus knows the consumer: what is published from then on is received by somebody."""

    async def fetch(self, limit: int) -> Sequence[Delivery]:
        """Waits for messages and takes up to `limit` of them, in order within each key.

        Goes on waiting while the bus is away: it says so in the log and comes back by itself. May be
        cancelled; what was taken then comes again.
        """

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Tells the bus what became of deliveries.

        Never raises for a bus that is away: what was not told comes again.
        """

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Says that these are still being worked on, so that they are not given to anybody else meanwhile."""

    async def close(self) -> None:
        """Takes no more. What is not settled comes again, here or elsewhere."""


class Bus(Protocol):
    """Carries messages between services. One object serves one process."""

    @property
    def url(self) -> str:
        """Says which bus it is, for people: without a password."""

    @property
    def max_bytes(self) -> int:
        """The most that headers and data of one message may take together."""

    @property
    def retention(self) -> float:
        """For how many seconds a message may still be delivered after it was published."""

    async def open(self) -> None:
        """Begins to use the bus.

        Returns where it is away: it goes on trying to reach it, and says so in the log. Harmless if open.

        Raises:
            BusError: it is there and cannot be used: it refuses the credentials, or is set up in a way that
                would lose something. The message says what to do.
        """

    async def publish(self, messages: Sequence[Message]) -> list[Receipt | Exception]:
        """Publishes messages, those of one key in the order given; durable when this returns.

        Returns for each message its receipt or why it was not taken: `MessageRefusedError`, or
        `BusUnavailableError`, which is no fault of the message. After a message that was not taken, no later
        one of the same key is.
        """

    async def subscribe(self, consumer: str, subjects: Collection[str]) -> Subscription:
        """Takes part in what a durable consumer receives: every message of these subjects that was published
        since the consumer was first named, by whichever process.

        Returns where the bus is away; the consumer is then named once it is back (see `until_named`).

        Raises:
            BusError: the consumer cannot be had as it has to be.
        """

    def read(self, after: int, *, follow: bool) -> AsyncIterator[Sequence[tuple[int, Message]]]:
        """Reads everything that is kept, without a durable consumer: page by page, with sequence numbers.

        Args:
            after: the sequence number to go on after; 0 begins with the oldest.
            follow: whether to wait for more in the end. While the bus is away it waits for its return.

        Raises:
            BusUnavailableError: not following, and the bus is away.
        """

    async def claim(self, service: str, owner: str, seconds: float) -> None:
        """Says that a name is used by the service whose store has this id, for so many seconds from now.

        Repeated claims of one owner lengthen it.

        Raises:
            BusError: another owner's claim has not run out.
            BusUnavailableError: the bus is away.
        """

    async def announce(self, service: str, description: bytes) -> None:
        """Leaves a description of a service, in place of the one before. Raises BusUnavailableError."""

    async def announced(self) -> Mapping[str, bytes]:
        """Returns the descriptions of all services that ever announced themselves. Raises like `announce`."""

    async def close(self) -> None:
        """Gives back what `open` took."""


class BusError(StartError):
    """A bus that is there and cannot be used; the message says what to change."""


class BusUnavailableError(AmendsError):
    """A bus that is away, or failing, at the moment. The same call may succeed later."""


class MessageRefusedError(AmendsError):
    """A message that the bus will not take as it is, such as one that is too large."""
