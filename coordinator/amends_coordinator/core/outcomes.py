"""What an attempt came to, as the machine is told.

A Try ends in Succeeded, Rejected, Pending or Unknown; a Compensate in Compensated, Refused, Pending or
Unknown. How a reply or a status is read as one of them is the business of the calls layer.
"""

from dataclasses import dataclass

from amends_coordinator.core.values import Payload, Refusal, Rejection


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The effect is applied and durable."""

    result: Payload | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Definite: this attempt had no effect."""

    rejection: Rejection
    stated: bool = (
        True  # by the participant, in an outcome; False: read from a status, which anything can give
    )


@dataclass(frozen=True, slots=True)
class Pending:
    """Not decided yet; ask again after ``retry_after`` seconds."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have happened."""

    code: int  # google.rpc.Code
    message: str
    retry_after: float = 0.0  # seconds; the least wait that the participant asked for


@dataclass(frozen=True, slots=True)
class Compensated:
    """There is no effect any more, and a late Try will have none."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The effect stays, and asking again would be answered alike."""

    refusal: Refusal


Outcome = Succeeded | Rejected | Pending | Unknown | Compensated | Refused
