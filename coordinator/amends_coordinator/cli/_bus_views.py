"""What people and programs see of dead letters and of events."""

import json
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from amends._choreography.cloudevent import CloudEvent
from amends_coordinator.cli import _json, _screen
from amends_coordinator.cli._letters import Found
from amends_coordinator.cli._words import clean, moment_in_words, named_reason


def show(found: list[Found]) -> None:
    """Prints dead letters as a table."""
    listed = _screen.table("event", "type", "service", "step", "saga", "given up", "attempts", "why")
    for each in found:
        letter = each.letter
        reason = named_reason(letter.reason, letter.message)
        listed.add_row(
            Text(clean(letter.event_id)),
            Text(clean(each.event_type)),
            Text(clean(letter.consumer)),
            Text(clean(letter.step) or "-"),
            Text(clean(each.saga_id) or "-"),
            moment_in_words(letter.time),
            str(letter.attempts),
            Text(reason + _end(each), style="red" if each.is_open else ""),
        )
    _screen.show(listed)


def _end(found: Found) -> str:
    """What became of a dead letter."""
    if found.discarded:
        return f"; discarded: {clean(found.discarded)}"
    return "; sent again" if found.replayed else ""


def to_line(found: Found, *, with_payload: bool) -> str:
    """Returns a dead letter as one line of JSON."""
    letter = found.letter
    said: dict[str, Any] = {
        "eventId": letter.event_id,
        "type": found.event_type,
        "consumer": letter.consumer,
        "step": letter.step,
        "sagaId": found.saga_id,
        "reason": letter.reason,
        "message": letter.message,
        "attempts": letter.attempts,
        "time": letter.time.ToJsonString() if letter.HasField("time") else "",
        "discarded": found.discarded,
    }
    line = {key: value for key, value in said.items() if value} | {"replayed": found.replayed}
    if with_payload:
        line["payload"] = _json.payload_to_json(found.payload)
    return json.dumps(line, ensure_ascii=False)


def event_line(event: CloudEvent) -> str:
    """Returns an event as one line for people."""
    step = f"{event.source}.{event.step} {event.outcome}" if event.step else event.source
    said = [
        _moment(event.time).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z",
        event.saga_id or "-",
        event.type,
        step,
        event.reference,
    ]
    if event.cause:
        said.append(f"after {event.cause}")
    if event.replay_of:
        said.append(f"again for {event.replay_of}")
    return "  ".join(clean(part) for part in said)


def event_to_line(event: CloudEvent, *, with_payload: bool) -> str:
    """Returns an event as one line of JSON."""
    said = {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "sagaId": event.saga_id,
        "time": _moment(event.time).isoformat().replace("+00:00", "Z"),
        "step": event.step,
        "outcome": event.outcome,
        "cause": event.cause,
        "replayOf": event.replay_of,
        "traceparent": event.traceparent,
    }
    line: dict[str, Any] = {key: value for key, value in said.items() if value}
    if with_payload:
        line["payload"] = _json.payload_to_json(event.payload)
    return json.dumps(line, ensure_ascii=False)


def _moment(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)
