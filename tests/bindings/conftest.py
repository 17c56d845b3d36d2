"""Real processes around a saga that calls plain methods: a hotel, a participant, a coordinator."""

import asyncio
import json
import os
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, struct_pb2

from amends.v1 import coordinator_pb2, coordinator_pb2_grpc, event_pb2, saga_pb2
from sample_services.demo.processes import Process
from tests.addresses import free_address
from tests.bindings.generating import CHANGES, Release, generate

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Releases:
    """The hotel's interface before and after it was changed."""

    first: Release
    second: Release


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """Both releases of the hotel's interface, compiled."""
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    return Releases(generate(first, {}), generate(second, CHANGES))


@dataclass(frozen=True)
class Call:
    """One call as the hotel saw it."""

    metadata: dict[str, str]
    request: bytes


def fault(stage: "Stage", method: str, *faults: str) -> None:
    """Has the next calls of a method at the hotel go wrong."""
    (stage.faults / method).write_text("".join(f"{each}\n" for each in faults))


@dataclass
class Stage:
    """A folder with the processes in it, and what they wrote down."""

    folder: Path
    releases: Releases
    listen: str = field(default_factory=free_address)
    desk_address: str = field(default_factory=free_address)
    budget_address: str = field(default_factory=free_address)
    processes: list[Process] = field(default_factory=list)
    channel: grpc.aio.Channel | None = None

    @property
    def faults(self) -> Path:
        """The folder of what shall go wrong at the hotel."""
        return self.folder / "faults"

    @property
    def coordinator(self) -> Any:
        """The coordinator's stub."""
        if self.channel is None:
            self.channel = grpc.aio.insecure_channel(self.listen)
        return coordinator_pb2_grpc.CoordinatorStub(self.channel)

    async def start_desk(self, *, reflection: str = "v1", release: Release | None = None) -> Process:
        """Starts the hotel, the first release unless another is named."""
        self.faults.mkdir(exist_ok=True)
        modules = (release or self.releases.first).modules
        return await self._start(
            "desk", "-m", "tests.bindings.thirdparty.desk",
            self.desk_address, str(self.folder / "desk.db"), str(self.faults), reflection,
            env={"PYTHONPATH": str(modules)},
        )  # fmt: skip

    async def start_budget(self) -> Process:
        """Starts the participant of Amends."""
        store = f"sqlite:///{self.folder}/budget.db"
        return await self._start("budget", "-m", "tests.bindings.budget", self.budget_address, store)

    async def start_daemon(self, *options: str, module: str = "amends_coordinator.cli") -> Process:
        """Starts the coordinator."""
        return await self._start(
            "amends", "-m", module, "serve", "--listen", self.listen, "--metrics", "off",
            "--store", f"sqlite:///{self.folder}/amends.db", *self._participants("--participant"), *options,
        )  # fmt: skip

    async def start_failing_daemon(self, when: str, fact: str, number: int) -> Process:
        """Starts a coordinator that is killed before or after it made a fact durable."""
        return await self._start(
            "amends", "-m", "tests.integration.failing_daemon", when, fact, str(number),
            self.listen, f"sqlite:///{self.folder}/amends.db", *self._participants(),
        )  # fmt: skip

    def _participants(self, *before: str) -> list[str]:
        both = {"desk": self.desk_address, "budget": self.budget_address}
        return [each for name, address in both.items() for each in (*before, f"{name}={address}")]

    async def start_all(self) -> None:
        """Starts the hotel, the participant and the coordinator."""
        await asyncio.gather(self.start_desk(), self.start_budget(), self.start_daemon())

    async def _start(self, name: str, *arguments: str, env: dict[str, str] | None = None) -> Process:
        process = Process(
            name,
            [sys.executable, *arguments],
            log=self.folder / f"{name}.log",
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )
        self.processes.append(process)
        await process.start()
        return process

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Runs a command of `amends`; returns its exit status and everything it said."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "amends_coordinator.cli", *arguments,
            stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, cwd=ROOT,
            env={**os.environ, "AMENDS_TARGET": self.listen},
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def register(self, definition: saga_pb2.Definition) -> saga_pb2.Definition:
        """Registers a definition."""
        request = coordinator_pb2.RegisterDefinitionRequest(definition=definition)
        registered: saga_pb2.Definition = await self.coordinator.RegisterDefinition(request)
        return registered

    async def start(self, definition: saga_pb2.Definition | str, trip: Any, saga_id: str) -> saga_pb2.Saga:
        """Starts a saga and returns at once."""
        return await self._start_saga(definition, trip, saga_id, 0)

    async def run(
        self, definition: saga_pb2.Definition | str, trip: Any, saga_id: str = "s"
    ) -> saga_pb2.Saga:
        """Starts a saga and waits for its end, or until it is parked."""
        return await self._start_saga(definition, trip, saga_id, 30)

    async def resolve(self, saga_id: str, step: str, result: dict[str, Any] | None = None) -> None:
        """States that a step is compensated, or has succeeded with a result, as an operator does who has seen
        to it."""
        done = event_pb2.StepResolved.COMPENSATED if result is None else event_pb2.StepResolved.SUCCEEDED
        request = coordinator_pb2.ResolveStepRequest(
            saga_id=saga_id, step=step, resolution=done, reason="called them"
        )
        if result is not None:
            request.result.Pack(json_format.ParseDict(result, struct_pb2.Struct()))
        while True:
            try:
                await self.coordinator.ResolveStep(request)
                return
            except grpc.aio.AioRpcError as error:
                if "under way" not in (error.details() or ""):
                    raise

    async def _start_saga(
        self, definition: saga_pb2.Definition | str, trip: Any, saga_id: str, wait: int
    ) -> saga_pb2.Saga:
        request = coordinator_pb2.StartSagaRequest(saga_id=saga_id)
        if isinstance(definition, str):
            request.definition_name = definition
        else:
            request.definition.CopyFrom(definition)
        request.input.Pack(trip)
        request.wait.FromSeconds(wait)
        saga: saga_pb2.Saga = await self.coordinator.StartSaga(request, wait_for_ready=True)
        return saga

    async def get(self, saga_id: str = "s") -> saga_pb2.Saga:
        """A saga as it is now."""
        request = coordinator_pb2.GetSagaRequest(saga_id=saga_id)
        saga: saga_pb2.Saga = await self.coordinator.GetSaga(request, wait_for_ready=True)
        return saga

    async def ended(self, saga_id: str = "s") -> saga_pb2.Saga:
        """Waits for the end of a saga, also of one that is parked now."""
        request = coordinator_pb2.WatchSagaRequest(saga_id=saga_id)
        async for _ in self.coordinator.WatchSaga(request, wait_for_ready=True):
            pass
        return await self.get(saga_id)

    async def history(self, saga_id: str, fact: str) -> list[event_pb2.Event]:
        """The events of a saga so far that tell of one kind of fact."""
        request = coordinator_pb2.WatchSagaRequest(saga_id=saga_id, history_only=True)
        return [
            event async for event in self.coordinator.WatchSaga(request) if event.WhichOneof("fact") == fact
        ]

    async def until(self, fact: str, saga_id: str = "s", *, step: str, words: str = "") -> event_pb2.Event:
        """Waits for an event about a step, with these words in its message; returns it."""
        request = coordinator_pb2.WatchSagaRequest(saga_id=saga_id)
        async for event in self.coordinator.WatchSaga(request, wait_for_ready=True):
            found = getattr(event, fact)
            if event.WhichOneof("fact") == fact and found.step == step and words in found.message:
                return event
        raise AssertionError(f"saga {saga_id} has ended without {fact} of {step}")

    def calls(self, method: str, saga_id: str = "s") -> list[Call]:
        """The calls of a method that the hotel has seen from a saga."""
        rows = self._rows("SELECT metadata, request FROM calls WHERE method = ? ORDER BY number", method)
        calls = [Call(json.loads(metadata), request) for metadata, request in rows]
        return [call for call in calls if call.metadata.get("amends-saga-id") == saga_id]

    def request(self, method: str, kind: str, saga_id: str = "s") -> Any:
        """What came in the one call of a method, as a message of the first release."""
        (call,) = self.calls(method, saga_id)
        return type(self.releases.first.message(kind)).FromString(call.request)

    def holds(self, saga_id: str = "s") -> list[bool]:
        """For each room that was held for a saga whether it was released."""
        rows = self._rows("SELECT released FROM holds WHERE reference = ?", saga_id)
        return [bool(released) for (released,) in rows]

    def stays(self, saga_id: str = "s") -> list[bool]:
        """For each stay that was confirmed for a saga whether it was cancelled."""
        rows = self._rows(
            "SELECT cancelled FROM stays JOIN holds ON hold = 'hold-' || holds.number WHERE reference = ?",
            saga_id,
        )
        return [bool(cancelled) for (cancelled,) in rows]

    def approvals(self, saga_id: str = "s") -> list[int]:
        """What the participant approved (+1) and withdrew (-1)."""
        with sqlite3.connect(self.folder / "budget.db") as db:
            rows = db.execute("SELECT change FROM approvals WHERE saga = ?", (saga_id,)).fetchall()
        db.close()
        return [change for (change,) in rows]

    def _rows(self, query: str, what: str) -> list[Any]:
        with sqlite3.connect(self.folder / "desk.db") as db:
            rows = db.execute(query, (what,)).fetchall()
        db.close()
        return rows

    async def close(self) -> None:
        """Ends everything."""
        if self.channel is not None:
            await self.channel.close()
        for process in reversed(self.processes):
            await process.stop()


def states(saga: saga_pb2.Saga) -> dict[str, str]:
    """Where each step of a saga is."""
    return {step.step: saga_pb2.StepRun.State.Name(step.state) for step in saga.steps}


def step_of(saga: saga_pb2.Saga, name: str) -> saga_pb2.StepRun:
    """One step of a saga."""
    return next(step for step in saga.steps if step.step == name)


@asynccontextmanager
async def opened_stage(folder: Path, releases: Releases) -> AsyncIterator[Stage]:
    """A stage whose processes are gone in the end."""
    stage = Stage(folder, releases)
    try:
        yield stage
    finally:
        await stage.close()


@pytest.fixture
async def stage(tmp_path: Path, releases: Releases) -> AsyncIterator[Stage]:
    """A stage of a test's own, with nothing on it yet."""
    async with opened_stage(tmp_path, releases) as stage:
        yield stage
