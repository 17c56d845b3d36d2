"""A runtime between a store that can be told to fail and participants that do as they are told.

Two things are checked in every test: a call that a participant sees must be the one that the facts in the
store ask for (P7), and whoever is told of a saga is told of nothing that is not in the store.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls.attempt import Attempt
from amends_coordinator.calls.reflection import NoReflectionError
from amends_coordinator.core import facts as f
from amends_coordinator.core import outcomes
from amends_coordinator.core.checks import check
from amends_coordinator.core.definition import Definition, Kind, Retry, Step
from amends_coordinator.core.fold import rebuild
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import Direction, Payload, Rejection
from amends_coordinator.runtime.errors import RequestError
from amends_coordinator.runtime.keeper import Keeper
from amends_coordinator.runtime.live import Live, Waiter
from amends_coordinator.runtime.metrics import Metrics
from amends_coordinator.runtime.runtime import Runtime
from amends_coordinator.store import MemoryStore
from amends_coordinator.store.interface import Append, ConflictError, Store, StoreUnavailableError
from amends_coordinator.timers import Timers

BEGIN = 1_700_000_000.0
"""The moment at which every test starts."""

RETENTION = 3_600.0
SUCCEEDED = outcomes.Succeeded(Payload("text", b"done"))
COMPENSATED = outcomes.Compensated()
REJECTED = outcomes.Rejected(Rejection("OUT_OF_STOCK"))
UNKNOWN = outcomes.Unknown(14, "gone")
FAR = outcomes.Pending(7_200.0)
"""A participant that will not decide for two hours: its saga sleeps."""

HOLD = None
"""Leaves a call unanswered until the test answers it."""

Script = outcomes.Outcome | None


class FaultyStore(MemoryStore):
    """A store in memory that can be held up, that can fail, and that can lie about it."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()  # cleared, it holds appends up
        self.open.set()
        self.failing = False  # appends write nothing, and say so
        self.lying = False  # appends write everything, and say that they did not
        self.poison: bytes | None = None  # appends with this in a payload raise what no store should
        self.reading_fails = False
        self.sleeping_fails = False
        self.removing_fails = False
        self.batches: list[list[Append]] = []  # that were written
        self.begun = 0  # appends that were asked for
        self.removals: list[int] = []
        self.probes = 0
        self.pages_read = 0  # of unfinished sagas
        self._reading = asyncio.Event()  # cleared, it holds pages back that were read
        self._reading.set()
        self._log_reading = asyncio.Event()  # cleared, it holds single logs back that were read
        self._log_reading.set()
        self._finding = asyncio.Event()  # cleared, it holds definitions back that were read
        self._finding.set()
        self._passing = 0  # appends to let through before holding up the others

    def let_one_pass(self) -> None:
        """Lets the append that is held up through, and holds up the one after it."""
        self._passing = 1
        self.open.set()

    async def append(self, batch: Sequence[Append]) -> list[ConflictError | None]:
        self.begun += 1
        await self.open.wait()
        if self._passing:
            self._passing -= 1
            self.open.clear()
        if self.failing:
            raise StoreUnavailableError("the disk is full")
        if self.poison is not None and self.poison in repr(batch).encode():
            raise ValueError("a mistake of ours")
        conflicts = await super().append(batch)
        self.batches.append(list(batch))
        if self.lying:
            raise StoreUnavailableError("the disk answered with an error")
        return conflicts

    async def probe(self) -> None:
        self.probes += 1
        if self.failing or self.lying:
            raise StoreUnavailableError("the disk is full")

    async def read_log(self, saga_id: str, after_sequence: int = 0) -> list[f.Event]:
        if self.reading_fails:
            raise StoreUnavailableError("the disk cannot be read")
        found = await super().read_log(saga_id, after_sequence)
        await self._log_reading.wait()
        return found

    def hold_log(self) -> asyncio.Event:
        """Has the logs that are read from now on arrive only once this event is set."""
        self._log_reading = asyncio.Event()
        return self._log_reading

    def hold_reading(self) -> asyncio.Event:
        """Has pages of unfinished sagas arrive only once this event is set."""
        self._reading.clear()
        return self._reading

    def hold_definitions(self) -> asyncio.Event:
        """Has definitions arrive only once this event is set."""
        self._finding.clear()
        return self._finding

    async def get_definition(self, name: str, version: int = 0) -> tuple[Definition, float] | None:
        found = await super().get_definition(name, version)
        await self._finding.wait()
        return found

    async def read_unfinished(self, after_id: str, limit: int, now: float) -> list[tuple[str, list[f.Event]]]:
        if self.reading_fails:
            raise StoreUnavailableError("the disk cannot be read")
        page = await super().read_unfinished(after_id, limit, now)
        self.pages_read += 1
        await self._reading.wait()
        return page

    async def sleep(self, wake_times: Mapping[str, float]) -> None:
        if self.sleeping_fails:
            raise StoreUnavailableError("the disk is full")
        await super().sleep(wake_times)

    async def remove_ended(self, before: float, limit: int) -> int:
        if self.removing_fails:
            raise StoreUnavailableError("the disk is full")
        removed = await super().remove_ended(before, limit)
        self.removals.append(removed)
        return removed

    def log(self, saga_id: str) -> list[f.Event]:
        """What is durable of a saga."""
        return list(self._logs.get(saga_id, ()))

    def facts(self, saga_id: str) -> list[str]:
        """The names of a saga's durable facts."""
        return [type(event.fact).__name__ for event in self.log(saga_id)]

    def break_log(self, saga_id: str) -> None:
        """Damages the log of a saga: its first event is gone."""
        del self._logs[saga_id][0]

    def write_as_another(self, saga_id: str, *facts: f.Fact) -> None:
        """Adds facts as another coordinator would."""
        log = self._logs[saga_id]
        log += [f.Event(len(log) + 1 + place, BEGIN, fact) for place, fact in enumerate(facts)]


class FakeParticipant:
    """Answers by its script: an outcome per action and direction, or HOLD. See calls.caller.Caller."""

    def __init__(self, store: FaultyStore) -> None:
        self._store = store
        self.script: dict[str | tuple[str, Direction], Script] = {}
        self.calls: list[str] = []  # "saga/step Try 1", as they came
        self.held: list[Attempt] = []
        self.withdrawn: list[Attempt] = []
        self.waiting = 0
        self.description: pb.DescribeResponse | Exception | None = None  # None: it is down
        self.garbage = False  # whether its description cannot be read
        self.files: FileDescriptorSet | Exception = NoReflectionError("it offers no server reflection")
        self.reflected: list[set[str]] = []  # what it was asked about
        self.given_up = 0  # such questions whose asker thought better of it
        self.times: list[float] = []
        self.checks = True  # whether the store is the one that the calls are checked against
        self.arrived = asyncio.Event()  # set once a call is held
        self._described = asyncio.Event()  # cleared, it holds descriptions back
        self._described.set()
        self._reflecting = asyncio.Event()  # cleared, it holds back what it says of its methods
        self._reflecting.set()

    @property
    def in_flight(self) -> int:
        return len(self.held)

    def submit(self, attempt: Attempt) -> None:
        if self.checks:
            self._check_durable(attempt)
        attempt.sent = True
        word = "Try" if attempt.direction is Direction.FORWARD else "Compensate"
        self.calls.append(f"{attempt.saga.id}/{attempt.step.name} {word} {attempt.number}")
        self.times.append(asyncio.get_running_loop().time())
        default: Script = SUCCEEDED if attempt.direction is Direction.FORWARD else COMPENSATED
        action = attempt.step.action
        outcome = self.script.get((action, attempt.direction), self.script.get(action, default))
        if attempt.direction is Direction.BACKWARD and (action, attempt.direction) not in self.script:
            outcome = default
        if outcome is HOLD:
            self.held.append(attempt)
            self.arrived.set()
        else:
            # As over a network, the answer comes in a later turn of the loop.
            asyncio.get_running_loop().call_soon(attempt.finish, outcome)

    def withdraw(self, attempt: Attempt) -> None:
        """Notes what it is asked; all calls leave at once here, so none is withdrawn."""
        self.withdrawn.append(attempt)

    def hold_description(self) -> asyncio.Event:
        """Has descriptions come only once this event is set."""
        self._described.clear()
        return self._described

    async def describe(self) -> pb.DescribeResponse:
        await self._described.wait()
        if self.garbage:
            return None  # type: ignore[return-value] # what gRPC makes of bytes that are no message
        if self.description is None:
            raise grpc.RpcError("nobody listens")
        if isinstance(self.description, Exception):
            raise self.description
        return self.description

    def hold_reflection(self) -> asyncio.Event:
        """Has what it says of its methods come only once this event is set."""
        self._reflecting = asyncio.Event()
        return self._reflecting

    async def reflect(self, symbols: Iterable[str]) -> FileDescriptorSet:
        self.reflected.append(set(symbols))
        try:
            await self._reflecting.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if isinstance(self.files, Exception):
            raise self.files
        return self.files

    def answer(self, outcome: outcomes.Outcome, step: str | None = None) -> None:
        """Answers the first call that is held, or the first of a step."""
        attempt = next(each for each in self.held if step in (None, each.step.name))
        self.held.remove(attempt)
        attempt.finish(outcome)

    def _check_durable(self, attempt: Attempt) -> None:
        durable = rebuild(attempt.saga.id, self._store.log(attempt.saga.id))
        run = durable.runs[attempt.place]
        assert (run.direction, run.attempt) == (attempt.direction, attempt.number), (
            f"P7: the log asks for {run.direction} {run.attempt} of {attempt.step.name}, and "
            f"{attempt.direction} {attempt.number} left"
        )


@dataclass(eq=False)
class Asking:
    """Somebody who waits for an answer of the runtime."""

    store: FaultyStore
    until_end: bool = False
    answer: asyncio.Future[Saga] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    shown: str = ""  # the state that was shown, at the moment it was shown

    def __post_init__(self) -> None:
        self.waiter = Waiter(self._told, self.failed, until_end=self.until_end)

    def _told(self, saga: Saga) -> None:
        assert not self.answer.done(), "answered twice"
        self.shown = saga.state.name
        if saga.sequence > len(self.store.log(saga.id)):
            self.answer.set_exception(AssertionError("told of what is not durable"))
            return
        self.answer.set_result(saga)

    def failed(self, error: RequestError) -> None:
        assert not self.answer.done(), "answered twice"
        self.answer.set_exception(error)

    async def error(self) -> RequestError:
        """Waits for the error that it must end with."""
        try:
            await self.answer
        except RequestError as error:
            return error
        raise AssertionError("there was no error")


class World:
    """A store, participants, and a coordinator that can crash between them."""

    def __init__(
        self, durable: Store | None = None, *, max_live_sagas: int = 1_000, retention: float = RETENTION
    ) -> None:
        self.store = FaultyStore()
        self.durable: Store = durable or self.store  # what the runtime writes to
        self.shop = FakeParticipant(self.store)
        self.bank = FakeParticipant(self.store)
        self._max_live_sagas = max_live_sagas
        self._retention = retention
        self.timers = Timers(asyncio.get_running_loop(), lambda: BEGIN)

    async def open(self) -> None:
        """Starts a coordinator."""
        self.metrics = Metrics()
        participants: Mapping[str, Any] = {"shop": self.shop, "bank": self.bank}
        self.runtime = Runtime(
            self.durable,
            participants,
            self.timers,
            self.metrics,
            max_live_sagas=self._max_live_sagas,
            chance=lambda: 0.5,
        )
        self.keeper = Keeper(self.runtime, self.metrics, retention=self._retention)
        self._tasks = [
            asyncio.create_task(self.runtime.journal.run()),
            asyncio.create_task(self.keeper.run()),
        ]

    async def crash(self) -> None:
        """Ends the coordinator as SIGKILL would: what is not in the store is gone."""
        for task in self._tasks:
            if not task.done():
                task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self.timers.close()
        for participant in (self.shop, self.bank):
            participant.held.clear()

    async def restart(self) -> None:
        """Crashes, and starts another coordinator on the same store."""
        await self.crash()
        self.store.open.set()
        await self.open()

    # Shorthands

    def start(
        self, saga_id: str, *, until_end: bool = False, definition: Definition | None = None, **content: Any
    ) -> Asking:
        """Starts a saga; a refusal is the answer."""
        asking = self.ask(until_end=until_end)
        fact = started(definition or order(), now=self.timers.now(), **content)
        try:
            self.runtime.start(saga_id, fact, asking.waiter)
        except RequestError as error:
            asking.failed(error)
        return asking

    async def run(self, saga_id: str, **content: Any) -> Saga:
        """Starts a saga and waits for its end."""
        return await self.start(saga_id, until_end=True, **content).answer

    def live(self, saga_id: str) -> Live:
        live = self.runtime.live(saga_id)
        assert live is not None, f"{saga_id} is not in memory"
        return live

    def ask(self, *, until_end: bool = False) -> Asking:
        """Somebody who is about to ask something."""
        return Asking(self.store, until_end)

    def when_durable(self, saga_id: str) -> Asking:
        asking = self.ask()
        self.runtime.when_durable(self.live(saga_id), asking.waiter)
        return asking

    async def until(self, condition: Callable[[], object]) -> None:
        """Lets everything happen that needs no time, until a condition holds."""
        for _ in range(1_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("the condition does not come true by itself")

    async def quiet(self) -> None:
        """Lets everything happen that needs no time."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def asleep(self) -> None:
        """Lets the sagas that may sleep fall asleep."""
        await asyncio.sleep(3.0)


@asynccontextmanager
async def world(**options: Any) -> AsyncIterator[World]:
    """A world that runs, and leaves nothing behind."""
    made = World(**options)
    await made.open()
    await made.keeper.recovered.wait()
    try:
        yield made
    finally:
        await made.crash()


def step(name: str, **options: Any) -> Step:
    return Step(name=name, participant=options.pop("participant", "shop"), action=name, **options)


def order(*steps: Step, timeout: float | None = None, name: str = "order", version: int = 0) -> Definition:
    """A definition; steps that name no needs follow one another."""
    chosen = list(steps or (step("reserve"), step("charge"), step("ship")))
    if not any(each.needs for each in chosen):
        chosen = [
            replace(each, needs=(chosen[place - 1].name,) if place else ())
            for place, each in enumerate(chosen)
        ]
    definition = Definition(name=name, steps=tuple(chosen), timeout=timeout, version=version)
    assert check(definition) == []
    return definition


def parallel(*names: str) -> Definition:
    """Steps that need nothing of each other."""
    return Definition(name="parallel", steps=tuple(step(name) for name in names))


def forever(name: str) -> Step:
    """A step that is retried for ever."""
    return step(name, kind=Kind.RETRIABLE, retry=Retry(initial_backoff=1.0))


def started(
    definition: Definition,
    *,
    now: float = BEGIN,
    input: Payload | None = None,  # noqa: A002 - as the fact has it
    labels: Mapping[str, str] | None = None,
    step_inputs: Mapping[str, Payload] | None = None,
    by_name: bool = False,
) -> f.SagaStarted:
    return f.SagaStarted(
        definition=definition,
        input=input,
        step_inputs=step_inputs or {},
        labels=labels or {},
        deadline=None if definition.timeout is None else now + definition.timeout,
        definition_by_name=by_name,
    )
