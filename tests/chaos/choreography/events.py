"""The events that the services of a round tell each other."""

from dataclasses import dataclass
from typing import Any

from amends.choreography import event


@dataclass
class Order:
    """What an entry is called with."""

    content: int
    """Tells one start of the same id from another."""
    wishes: dict[str, Any]
    """What shall happen to each step."""


@dataclass
class Done:
    """What every step says that has taken effect."""

    wishes: dict[str, Any]
    """As the order had them."""
    deed: str
    """Which run of the handler it tells of."""


@dataclass
class Refusal:
    """What a step says that was rejected."""

    reason: str
    """As the handler gave it."""
    message: str = ""
    """Likewise."""


@dataclass
class Undone:
    """What a compensation says that others wait for."""

    deed: str
    """Which run of the handler was undone."""


# A fan


@event("chaos.v1.Opened")
class Opened(Done):
    """The branches begin."""


@event("chaos.v1.Reserved")
class Reserved(Done):
    """One branch has come to its end."""


@event("chaos.v1.ReserveRefused")
class ReserveRefused(Refusal):
    """One branch has failed."""


@event("chaos.v1.Charged")
class Charged(Done):
    """The other branch has come to its end."""


@event("chaos.v1.ChargeRefused")
class ChargeRefused(Refusal):
    """The other branch has failed."""


@event("chaos.v1.Ready")
class Ready(Done):
    """The branches have met; the gate tells itself."""


@event("chaos.v1.Shipped")
class Shipped(Done):
    """There is no way back."""


@event("chaos.v1.ShipRefused")
class ShipRefused(Refusal):
    """The pivot has failed."""


@event("chaos.v1.Refunded")
class Refunded(Undone):
    """The charge is undone, which the reservation waits for."""


@event("chaos.v1.Released")
class Released(Undone):
    """The reservation is undone."""


# A line


@event("chaos.v1.Asked")
class Asked(Done):
    """The line begins."""


@event("chaos.v1.Held")
class Held(Done):
    """The second step is done."""


@event("chaos.v1.HoldRefused")
class HoldRefused(Refusal):
    """The second step has failed."""


@event("chaos.v1.Paid")
class Paid(Done):
    """The third step is done."""


@event("chaos.v1.PayRefused")
class PayRefused(Refusal):
    """The third step has failed."""


@event("chaos.v1.Delivered")
class Delivered(Done):
    """The fourth step is done."""


@event("chaos.v1.DeliverRefused")
class DeliverRefused(Refusal):
    """The fourth step has failed."""


@event("chaos.v1.FinishRefused")
class FinishRefused(Refusal):
    """The last step has failed."""


@event("chaos.v1.Recalled")
class Recalled(Undone):
    """The fourth step is undone."""


@event("chaos.v1.PaidBack")
class PaidBack(Undone):
    """The third step is undone."""


@event("chaos.v1.LetGo")
class LetGo(Undone):
    """The second step is undone."""


@event("chaos.v1.Stray")
class Stray(Undone):
    """What a broken handler emits although it has not declared it."""
