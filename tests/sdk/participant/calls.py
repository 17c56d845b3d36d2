"""Requests as a coordinator sends them, and the counters that tell what they did."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from amends._payload import pack
from amends.v1 import participant_pb2 as pb

SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (
    id INTEGER PRIMARY KEY, saga TEXT NOT NULL, step TEXT NOT NULL, deed TEXT NOT NULL
)
"""
INSERT = "INSERT INTO effects (saga, step, deed) VALUES (?, ?, ?)"


def try_request(
    value: object = None, *, saga: str = "s1", step: str = "a", action: str = "act", **more: object
) -> pb.TryRequest:
    payload = pack({"n": 1} if value is None else value)
    return pb.TryRequest(
        saga_id=saga, step=step, action=action, input=payload, attempt=1, definition="order", **more
    )


def compensate_request(
    value: object = None, *, saga: str = "s1", step: str = "a", action: str = "act"
) -> pb.CompensateRequest:
    payload = pack({"n": 1} if value is None else value)
    return pb.CompensateRequest(
        saga_id=saga, step=step, action=action, input=payload, attempt=1, definition="order"
    )


def exchange_of(*requests: pb.TryRequest | pb.CompensateRequest | None) -> pb.ExchangeRequest:
    message = pb.ExchangeRequest()
    for number, request in enumerate(requests):
        call = message.calls.add(number=number)
        if isinstance(request, pb.TryRequest):
            call.try_request.CopyFrom(request)
        elif request is not None:
            call.compensate_request.CopyFrom(request)
    return message


def outcomes(response: pb.ExchangeResponse) -> dict[int, str]:
    """The outcome of each reply, or the reason of its error, by number."""
    return {reply.number: outcome(reply) for reply in response.replies}


def outcome(reply: pb.ExchangeResponse.Reply) -> str:
    kind = reply.WhichOneof("result")
    if kind == "try_response":
        return str(reply.try_response.WhichOneof("outcome"))
    if kind == "compensate_response":
        return str(reply.compensate_response.WhichOneof("outcome"))
    return reply.error.message


def effects(path: Path) -> list[tuple[str, str, str]]:
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT saga, step, deed FROM effects ORDER BY id").fetchall()
    connection.close()
    return found


def fence_rows(path: Path) -> dict[tuple[str, str], str]:
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT saga_id, step, state FROM amends_fence").fetchall()
    connection.close()
    return {(saga, step): state for saga, step, state in found}
