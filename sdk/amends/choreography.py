"""Choreographed sagas: services that react to each other's events, with no coordinator.

See `EventService`. What is named here is what Amends promises; modules with an underscore may change at any
time.
"""

from amends._choreography.cloudevent import CloudEvent
from amends._choreography.context import EventContext
from amends._choreography.entering import Begun
from amends._choreography.reaction import Reaction
from amends._choreography.service import EventService
from amends._choreography.types import JsonEvent, event
from amends._definition import Kind, Retry
from amends.errors import Pending, Refused, Rejected

__all__ = [
    "Begun",
    "CloudEvent",
    "EventContext",
    "EventService",
    "JsonEvent",
    "Kind",
    "Pending",
    "Reaction",
    "Refused",
    "Rejected",
    "Retry",
    "event",
]
