"""Metrics of a service, by OpenTelemetry's API alone: nothing is counted until a meter is configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry import metrics

from amends._choreography.disposition import Disposition
from amends._choreography.outbox import Backlog

_METER: Final = metrics.get_meter("amends.choreography")

_SENT: Final = _METER.create_counter(
    "messaging.client.sent.messages", unit="{message}", description="Events that the bus has."
)
_CONSUMED: Final = _METER.create_counter(
    "messaging.client.consumed.messages",
    unit="{message}",
    description="Events that were dealt with, by what became of them.",
)
_DURATION: Final = _METER.create_histogram(
    "messaging.process.duration", unit="s", description="From when an event was taken to its commit."
)
_OUTBOX: Final = _METER.create_gauge(
    "amends.outbox.unsent", unit="{message}", description="Events that wait to be published."
)
_OUTBOX_AGE: Final = _METER.create_gauge(
    "amends.outbox.oldest", unit="s", description="How long the oldest of them has waited."
)
_OUTBOX_DEAD: Final = _METER.create_gauge(
    "amends.outbox.dead", unit="{message}", description="Events that the bus refused for good."
)
_INBOX: Final = _METER.create_gauge(
    "amends.inbox.open", unit="{message}", description="Events that came and are not dealt with, by state."
)
_OPEN_STATES: Final = ("WAITING", "PARKED", "DEAD")


def sent(bus: str, count: int) -> None:
    """Counts events that the bus has."""
    if count:
        _SENT.add(count, {"messaging.system": bus.partition(":")[0]})


def consumed(service: str, disposition: Disposition | None, seconds: float) -> None:
    """Counts an event that was dealt with; None where the database took nothing."""
    outcome = "given back" if disposition is None else disposition.value
    attributes = {"messaging.consumer.group.name": service, "amends.disposition": outcome}
    _CONSUMED.add(1, attributes)
    _DURATION.record(seconds, attributes)


def waiting(service: str, backlog: Backlog, inbox: Mapping[str, int], now: float) -> None:
    """Tells how much waits, at a Unix time: in the outbox, and in the inbox by state."""
    attributes = {"service": service}
    _OUTBOX.set(backlog.unsent, attributes)
    _OUTBOX_AGE.set(0.0 if backlog.oldest is None else max(0.0, now - backlog.oldest), attributes)
    _OUTBOX_DEAD.set(backlog.dead, attributes)
    for state in _OPEN_STATES:
        _INBOX.set(inbox.get(state, 0), {**attributes, "state": state.lower()})
