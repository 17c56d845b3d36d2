"""Certifies participants and coordinators in any language, knowing only the contracts in protos/.

A participant is certified row by row: the table of its fence, the rules around it, calls that come at once,
and what is left after a restart, over unary RPCs and over Exchange. Each row has a saga of its own, whose id
begins with `conformance-` and whose step is called like the row, so that a participant's log tells which row
a call was made for.

Ground rules. To whom it calls the kit is a coordinator: it repeats what is pending or unknown, and reads
statuses by the coordinator's own table. It believes nothing but answers and, where it is told how to count
them, effects. What it cannot see it shows as skipped. A row that builds on another one is skipped where that
one failed, so that one mistake is one failure.

A coordinator is certified as its clients see it, with a participant of the kit's own behind it.
"""

from amends_coordinator.conformance.commands import EffectsCommand, RestartCommand
from amends_coordinator.conformance.coordinator import certify_coordinator
from amends_coordinator.conformance.participant import certify_participant
from amends_coordinator.conformance.payloads import find_type, to_payload
from amends_coordinator.conformance.results import Result, Verdict
from amends_coordinator.conformance.subject import CommandFailedError, Inputs, Subject

__all__ = [
    "CommandFailedError",
    "EffectsCommand",
    "Inputs",
    "RestartCommand",
    "Result",
    "Subject",
    "Verdict",
    "certify_coordinator",
    "certify_participant",
    "find_type",
    "to_payload",
]
