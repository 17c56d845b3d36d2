"""A service without Amends: a depot that minds the keys of its callers, and behaves as their moods say.

It is as good as such a service can be. What it answered under a key, it answers again, whatever the method;
what was taken, or was to be taken before it came, is put there no more. Deed, ledger and answer are written
in one transaction. Like that of a participant, the ledger has no constraint that could hide a fault.
"""

import asyncio
import json
import signal
import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha import reflection_pb2 as pb

from amends import Pending, Refused, Rejected
from tests.simulation.interface import DONE, LATER, NEVER, SERVICE, kind, pool
from tests.simulation.participants import ENTER, SCHEMA, Behaviour, Case
from tests.simulation.process import Process

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
{SCHEMA};
CREATE TABLE IF NOT EXISTS shelf (
    ticket INTEGER PRIMARY KEY, saga TEXT NOT NULL, step TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, code TEXT NOT NULL, answer BLOB NOT NULL);
"""

REFLECTION = "grpc.reflection.v1.ServerReflection"

GRACE = 5.0
"""Seconds that calls under way get when it is asked to end."""


class Answer(NamedTuple):
    """How a call ends."""

    code: grpc.StatusCode
    message: bytes = b""


_NO_MORE = Answer(grpc.StatusCode.FAILED_PRECONDITION)
_AWAY = Answer(grpc.StatusCode.UNAVAILABLE)


def _ok(message: Any) -> Answer:
    return Answer(grpc.StatusCode.OK, message.SerializeToString())


class Depot:
    """One life of the depot."""

    def __init__(self, process: Process, behaviour: Behaviour) -> None:
        """Opens its file, on the disk of a process."""
        self._process = process
        self._behaviour = behaviour
        self._lock = asyncio.Lock()
        process.disk.perform(process, None, self._open)

    def _open(self) -> None:
        db = self._db = sqlite3.connect(self._process.disk.file, isolation_level=None)
        self._process.at_death.append(lambda: self._process.disk.let_go(db))
        db.executescript(_SCHEMA)

    async def put(self, data: bytes, context: Any) -> bytes:
        """Puts something there."""
        return await self._answer(self._put, kind("PutRequest").FromString(data), context)

    async def take(self, data: bytes, context: Any) -> bytes:
        """Takes what stands under a ticket or a key, or what was asked for by the request itself."""
        return await self._answer(self._take, kind("TakeRequest").FromString(data), context)

    async def cancel(self, data: bytes, context: Any) -> bytes:
        """Takes what a request has put there."""
        return await self._answer(self._take, kind("PutRequest").FromString(data), context)

    async def _answer(self, deed: Callable[..., Answer], request: Any, context: Any) -> bytes:
        mood, key = json.loads(request.mood), dict(context.invocation_metadata())["idempotency-key"]
        await self._behaviour.take_time(mood)
        answer = await self._transaction(lambda: deed(key, request, mood))
        await self._behaviour.take_time(mood)
        if answer.code is not grpc.StatusCode.OK:
            await context.abort(answer.code, "the depot says so")
        return answer.message

    async def _transaction(self, deed: Callable[[], Answer]) -> Answer:
        async with self._lock:
            await asyncio.sleep(self._process.disk.seconds())
            try:
                answer: Answer = self._process.disk.perform(
                    self._process, self._db, lambda: self._write(deed)
                )
            except sqlite3.Error:
                return _AWAY
            await asyncio.sleep(0)  # where the process has died of it, this is the end
            return answer

    def _write(self, deed: Callable[[], Answer]) -> Answer:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            answer = deed()
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return answer

    def _put(self, key: str, request: Any, mood: dict[str, Any]) -> Answer:
        known = self._remembered(key)
        if known is not None:
            return known
        case = Case(*request.key.split("/"))
        try:
            self._behaviour.meet(mood, case, forward=True)
        except Rejected:
            answer = _NO_MORE if mood["by_status"] else _ok(kind("Deposit")(state=NEVER))
            self._shelve(case, key, "DECLINED")
            return self._remember(key, answer)
        except Pending:
            if not mood["rejects"]:  # it is under way, whatever anybody hears of it
                self._store(case, key)
            return _later(mood, kind("Deposit")(state=LATER))
        except RuntimeError:
            return Answer(grpc.StatusCode[mood["raises_as"]])
        return self._store(case, key)

    def _store(self, case: Case, key: str) -> Answer:
        ticket = self._shelve(case, key, "STORED")
        self._db.execute(ENTER, (*case, "applied"))
        return self._remember(key, _ok(kind("Deposit")(state=DONE, ticket=str(ticket))))

    def _take(self, key: str, request: Any, mood: dict[str, Any]) -> Answer:
        known = self._remembered(key)
        if known is not None:
            return known
        row = self._find(request)
        if row is None and not request.key:
            return Answer(grpc.StatusCode.NOT_FOUND)
        ticket, *case, put_key, state = row or (0, *request.key.split("/"), request.key, "")
        try:
            self._behaviour.meet(mood, Case(*case), forward=False)
        except Refused:
            return _NO_MORE if mood["by_status"] else _ok(kind("Taken")(state=NEVER))
        except Pending:
            return _later(mood, kind("Taken")(state=LATER))
        except RuntimeError:
            return Answer(grpc.StatusCode[mood["raises_as"]])
        if state == "STORED":
            self._db.execute("UPDATE shelf SET state = 'TAKEN' WHERE ticket = ?", (ticket,))
            self._db.execute(ENTER, (*case, "undone"))
        elif not state:
            self._shelve(Case(*case), put_key, "BARRED")
        self._remember(put_key, _NO_MORE)
        return self._remember(key, _ok(kind("Taken")(state=DONE, key=put_key)))

    def _find(self, request: Any) -> Any:
        by = "ticket" if getattr(request, "ticket", "") else "key"
        query = f"SELECT ticket, saga, step, key, state FROM shelf WHERE {by} = ?"
        return self._db.execute(query, (getattr(request, by),)).fetchone()

    def _shelve(self, case: Case, key: str, state: str) -> int:
        query = "INSERT INTO shelf (saga, step, key, state) VALUES (?, ?, ?, ?)"
        return self._db.execute(query, (*case, key, state)).lastrowid or 0

    def _remembered(self, key: str) -> Answer | None:
        row = self._db.execute("SELECT code, answer FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else Answer(grpc.StatusCode[row[0]], row[1])

    def _remember(self, key: str, answer: Answer) -> Answer:
        query = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)"
        self._db.execute(query, (key, answer.code.name, answer.message))
        return answer


def _later(mood: dict[str, Any], message: Any) -> Answer:
    return Answer(grpc.StatusCode.RESOURCE_EXHAUSTED) if mood["by_status"] else _ok(message)


async def depot(process: Process, address: str, behaviour: Behaviour, release: int | None) -> None:
    """Runs one life of the depot; with a release, it says of itself that it is of that release."""
    made = Depot(process, behaviour)
    server = grpc.aio.server()
    methods = {"Put": made.put, "Take": made.take, "Cancel": made.cancel}
    handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    server.add_registered_method_handlers(SERVICE, handlers)
    if release is not None:
        server.add_registered_method_handlers(REFLECTION, _reflection(release))
    server.add_insecure_port(address)
    await server.start()
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    await asked.wait()
    await server.stop(GRACE)


def _reflection(release: int) -> dict[str, Any]:
    servicer = reflection.aio.ReflectionServicer([SERVICE], pool(release))
    return {
        "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=pb.ServerReflectionRequest.FromString,
            response_serializer=pb.ServerReflectionResponse.SerializeToString,
        )
    }
