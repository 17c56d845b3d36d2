"""Metrics of a service, by OpenTelemetry's API alone: nothing is counted until a meter is configured."""

from __future__ import annotations

from typing import Final

from opentelemetry import metrics

from amends._choreography.reacting import Disposition

_METER: Final = metrics.get_meter("amends.choreography")

_PUBLISHED: Final = _METER.create_counter(
    "messaging.client.sent.messages", unit="{message}", description="Events that the bus has."
)
_CONSUMED: Final = _METER.create_counter(
    "messaging.client.consumed.messages",
    unit="{message}",
    description="Events that came, by what became of them.",
)


def published(count: int) -> None:
    """Counts events that left."""
    if count:
        _PUBLISHED.add(count)


def consumed(service: str, disposition: Disposition | None) -> None:
    """Counts an event that came."""
    outcome = "failed" if disposition is None else disposition.value
    _CONSUMED.add(1, {"messaging.consumer.group.name": service, "saga.outcome": outcome})
