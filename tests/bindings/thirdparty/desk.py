"""The front desk of a hotel as a process of its own: gRPC and SQLite, with the modules that protoc generates.

``PYTHONPATH=GENERATED python -m tests.bindings.thirdparty.desk LISTEN STORE FAULTS REFLECTION``

It does what it is asked once for every ``idempotency-key``, and writes every call down with its metadata.
FAULTS is a folder: a file there named like a method has a line for each of its next calls that is to fail.
REFLECTION is off, v1 or v1alpha.
"""

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from google.protobuf.message import Message
from grand.hotel.v1 import desk_pb2 as pb
from grand.hotel.v1 import desk_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

SERVICE = pb.DESCRIPTOR.services_by_name["FrontDesk"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY, method TEXT NOT NULL, metadata TEXT NOT NULL, request BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, response BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS holds (
    number INTEGER PRIMARY KEY, reference TEXT NOT NULL, released INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS stays (
    number INTEGER PRIMARY KEY, hold TEXT NOT NULL, cents INTEGER NOT NULL,
    cancelled INTEGER NOT NULL DEFAULT 0
);
"""


class NoError(Exception):
    """The desk says no, by a status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class FrontDesk(desk_pb2_grpc.FrontDeskServicer):  # type: ignore[misc] # generated at run time
    """Answers calls, and does what they ask once."""

    def __init__(self, store: str, faults: Path) -> None:
        self._db = sqlite3.connect(store)
        self._db.executescript(SCHEMA)
        self._faults = faults

    async def HoldRoom(self, request: Any, context: Any) -> Any:
        return await self._answer("HoldRoom", request, context, pb.Hold, self._hold)

    async def ReleaseHold(self, request: Any, context: Any) -> Any:
        return await self._answer("ReleaseHold", request, context, empty_pb2.Empty, self._release)

    async def ConfirmStay(self, request: Any, context: Any) -> Any:
        return await self._answer("ConfirmStay", request, context, pb.Stay, self._confirm)

    async def CancelStay(self, request: Any, context: Any) -> Any:
        return await self._answer("CancelStay", request, context, pb.Cancellation, self._cancel)

    async def CountRooms(self, request: Any, context: Any) -> Any:
        return await self._answer(
            "CountRooms", request, context, pb.Rooms, lambda _: pb.Rooms(free=2**63 + 5)
        )

    def _hold(self, request: Any) -> Any:
        if request.house == "Atlantis":
            raise NoError(grpc.StatusCode.FAILED_PRECONDITION, "there is no house Atlantis")
        if request.house == "Full":
            raise NoError(grpc.StatusCode.RESOURCE_EXHAUSTED, "the house is full")
        if request.guest.name == "Nobody":
            return pb.Hold(status=pb.Hold.DECLINED)
        row = self._db.execute("INSERT INTO holds (reference) VALUES (?)", (request.reference,))
        assert row.lastrowid is not None
        cents = 2**53 + 1 if request.house == "Imperial" else 12_000 * request.nights
        hold = pb.Hold(
            hold_id=f"hold-{row.lastrowid}",
            status=pb.Hold.HELD,
            room=pb.Hold.Room(number=100 + row.lastrowid, floor=-1),
            price=pb.Price(cents=cents, currency="EUR"),
            extras=[pb.Wish.Name(wish).lower() for wish in request.wishes],
        )
        hold.expires.FromDatetime(request.arrival.ToDatetime() + timedelta(days=1))
        return hold

    def _release(self, request: Any) -> Any:
        by_reference = request.WhichOneof("by") == "reference"
        which = "reference = ?" if by_reference else "'hold-' || number = ?"
        self._end(f"UPDATE holds SET released = 1 WHERE released = 0 AND {which}",
                  request.reference if by_reference else request.hold_id)  # fmt: skip
        return empty_pb2.Empty()

    def _confirm(self, request: Any) -> Any:
        row = self._db.execute(
            "INSERT INTO stays (hold, cents) VALUES (?, ?)", (request.hold_id, request.cents)
        )
        price = pb.Price(cents=request.cents, currency="EUR")
        return pb.Stay(stay_id=f"stay-{row.lastrowid}", price=price)

    def _cancel(self, request: Any) -> Any:
        if request.reason == "too late":
            raise NoError(grpc.StatusCode.FAILED_PRECONDITION, "the guest is here")
        self._end(
            "UPDATE stays SET cancelled = 1 WHERE cancelled = 0 AND 'stay-' || number = ?", request.stay_id
        )
        return pb.Cancellation(refund_cents=1)

    def _end(self, update: str, what: str) -> None:
        if self._db.execute(update, (what,)).rowcount == 0:
            raise NoError(grpc.StatusCode.NOT_FOUND, f"there is no {what!r}")

    async def _answer(
        self,
        method: str,
        request: Any,
        context: Any,
        kind: type[Message],
        effect: Callable[[Any], Message],
    ) -> Message | bytes:
        """Writes the call down, and makes its effect unless an earlier call of the same key has made it."""
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        with self._db:
            self._db.execute(
                "INSERT INTO calls (method, metadata, request) VALUES (?, ?, ?)",
                (method, json.dumps(metadata), request.SerializeToString()),
            )
        fault = self._next_fault(method)
        if fault == "silent":
            await asyncio.Event().wait()  # until the caller has lost patience
        if fault in ("closed", "down"):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the desk is closed")
        if fault == "busy":
            await context.abort(grpc.StatusCode.ABORTED, "somebody else is at it, try again")
        if fault == "requested":
            return pb.Hold(status=pb.Hold.REQUESTED)
        try:
            response = self._once(metadata.get("idempotency-key"), request, kind, effect)
        except NoError as no:
            await context.abort(no.code, str(no))
        if fault == "bulky":
            response.extras.append("x" * (1 << 20))
        if fault == "lost":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the line went dead")
        return b"\xff\xff\xff no message" if fault == "garbled" else response

    def _once(
        self, key: str | None, request: Any, kind: type[Message], effect: Callable[[Any], Message]
    ) -> Message:
        with self._db:
            found = self._db.execute("SELECT response FROM answers WHERE key = ?", (key,)).fetchone()
            if found is not None:
                return kind.FromString(found[0])
            response = effect(request)
            if key is not None:
                self._db.execute("INSERT INTO answers VALUES (?, ?)", (key, response.SerializeToString()))
            return response

    def _next_fault(self, method: str) -> str:
        """Takes the next fault of a method; "closed" stays."""
        file = self._faults / method
        if not file.exists():
            return ""
        fault, _, others = file.read_text().partition("\n")
        if fault != "closed":
            file.write_text(others)
        return fault


class _Rubbish(grpc.aio.ServerInterceptor):  # type: ignore[misc] # untyped in these stubs
    """Lets a method answer with bytes that are no message."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            handler.unary_unary,
            handler.request_deserializer,
            lambda it: it if isinstance(it, bytes) else it.SerializeToString(),
        )


def _reflect(server: grpc.aio.Server, version: str) -> None:
    """Adds the reflection service in one of its versions, which differ in nothing but the name."""
    if version == "v1alpha":
        reflection.enable_server_reflection([SERVICE.full_name], server)
    if version == "v1":
        info = grpc.stream_stream_rpc_method_handler(
            reflection.aio.ReflectionServicer([SERVICE.full_name]).ServerReflectionInfo,
            reflection_pb2.ServerReflectionRequest.FromString,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        name = "grpc.reflection.v1.ServerReflection"
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": info})]
        )


async def serve(listen: str, store: str, faults: Path, version: str) -> None:
    """Serves until it is asked to stop."""
    server = grpc.aio.server(interceptors=[_Rubbish()])
    desk_pb2_grpc.add_FrontDeskServicer_to_server(FrontDesk(store, faults), server)
    _reflect(server, version)
    server.add_insecure_port(listen)
    await server.start()
    print(f"desk: listening on {listen}", flush=True)
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    await asked.wait()
    await server.stop(None)


if __name__ == "__main__":
    listen, store, faults, version = sys.argv[1:]
    asyncio.run(serve(listen, store, Path(faults), version))
