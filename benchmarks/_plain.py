"""The same work as the participant's, by a plain gRPC service that knows nothing of Amends.

``python -m benchmarks._plain NAME FOLDER`` serves it. It writes the same business rows, by the
keys that come as metadata; calls that arrive together share a transaction, as they do at a participant.
"""

import argparse
import asyncio
import sqlite3
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from amends import Definition, MethodCall, Step
from benchmarks._participant import SCHEMA, database
from benchmarks._work import LAST_STEP, PARTICIPANT, REJECT
from benchmarks._workspace import announce_and_wait

SERVICE: Final = "bench.v1.Work"

UNDO: Final = MethodCall(f"{SERVICE}/Undo", "UndoRequest{number: response.number}")


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="bench/work.proto", package="bench.v1", syntax="proto3")
    for name, fields in (
        ("ApplyRequest", {"content": 12, "after": 9}),  # 12: bytes, 9: string
        ("Receipt", {"content": 12, "number": 9}),
        ("UndoRequest", {"number": 9}),
    ):
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            message.field.add(name=field, number=number, type=kind, label=1)
    service = file.service.add(name="Work")
    service.method.add(name="Apply", input_type=".bench.v1.ApplyRequest", output_type=".bench.v1.Receipt")
    service.method.add(name="Undo", input_type=".bench.v1.UndoRequest", output_type=".bench.v1.Receipt")
    return file


def _apply(request: str) -> MethodCall:
    return MethodCall(f"{SERVICE}/Apply", request)


THREE_METHODS: Final = Definition(
    "three-methods",
    [
        Step(name, PARTICIPANT, try_method=_apply(request), compensate_method=UNDO)
        for name, request in (
            ("first", "ApplyRequest{content: input}"),
            ("second", "ApplyRequest{content: input, after: results.first.number}"),
            (LAST_STEP, "ApplyRequest{content: input, after: results.second.number}"),
        )
    ],
    input_type="google.protobuf.BytesValue",
    descriptors=descriptor_pb2.FileDescriptorSet(file=[_file()]),
)
"""The three steps that speed is measured with, by methods instead of actions."""


class Rows:
    """The business rows. What gathered while the last transaction was written goes into the next."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {SCHEMA}")
        self._waiting: list[tuple[str, tuple[Any, ...], asyncio.Future[None]]] = []
        self._work = asyncio.Event()

    async def write(self, statement: str, *values: Any) -> None:
        """Writes, and returns when it is durable."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((statement, values, done))
        self._work.set()
        await done

    async def run(self) -> None:
        """Commits what gathers, until it is cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            batch, self._waiting = self._waiting, []
            await asyncio.to_thread(self._commit, [(statement, values) for statement, values, _ in batch])
            for _, _, done in batch:
                done.set_result(None)

    def _commit(self, batch: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        for statement, values in batch:
            self._database.execute(statement, values)
        self._database.execute("COMMIT")


class Work(grpc.GenericRpcHandler):
    """Answers Apply and Undo."""

    def __init__(self, rows: Rows) -> None:
        pool = descriptor_pool.DescriptorPool()
        pool.Add(_file())
        names = ("ApplyRequest", "UndoRequest", "Receipt")
        kinds = [pool.FindMessageTypeByName(f"bench.v1.{name}") for name in names]
        apply_request, undo_request, self._receipt = map(message_factory.GetMessageClass, kinds)
        self._rows = rows
        self._methods: dict[str, Any] = {
            f"/{SERVICE}/Apply": grpc.unary_unary_rpc_method_handler(self._apply, apply_request.FromString),
            f"/{SERVICE}/Undo": grpc.unary_unary_rpc_method_handler(self._undo, undo_request.FromString),
        }

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """See grpc.GenericRpcHandler."""
        return self._methods.get(details.method)

    async def _apply(self, request: Any, context: Any) -> bytes:
        metadata = dict(context.invocation_metadata())
        saga_id, step = metadata["amends-saga-id"], metadata["amends-step"]
        if step == LAST_STEP and request.content.startswith(REJECT):
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the content asks to be rejected")
        await self._rows.write(
            "INSERT OR IGNORE INTO effects VALUES (?, ?, ?, 0)", saga_id, step, request.content
        )
        receipt = self._receipt(content=request.content, number=metadata["idempotency-key"])
        return bytes(receipt.SerializeToString())

    async def _undo(self, request: Any, _context: Any) -> bytes:
        saga_id, _, step = request.number.partition("/")
        await self._rows.write("UPDATE effects SET undone = 1 WHERE saga_id = ? AND step = ?", saga_id, step)
        return b""


async def serve(name: str, folder: Path) -> None:
    """Serves until SIGTERM."""
    rows = Rows(database(folder, name))
    writing = asyncio.create_task(rows.run())
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Work(rows),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await announce_and_wait(name, f"127.0.0.1:{port}")
    await server.stop(1.0)
    writing.cancel()


def main() -> None:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks._plain")
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    asyncio.run(serve(options.name, options.folder))


if __name__ == "__main__":
    main()
