"""The load: so many callers, each starting its next saga when the last one has ended."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from opentelemetry import trace

from amends import Client, Definition, SagaState, Starter
from benchmarks._work import COMPLETES, IS_COMPENSATED, THREE_STEPS
from benchmarks._workspace import BenchmarkError

PATIENCE_S: Final = 60.0
"""How long a saga may take. A benchmark in which one takes longer has no figure to show."""

_tracer = trace.get_tracer("benchmarks")


@dataclass(slots=True)
class Window:
    """What was measured after the warm-up."""

    seconds: float
    latencies: list[float]
    """The seconds that each saga took that ended in the window."""
    cpu_seconds: dict[str, float]
    """Processor time of each process during the window."""

    def __add__(self, other: "Window") -> "Window":
        used = {name: seconds + other.cpu_seconds[name] for name, seconds in self.cpu_seconds.items()}
        return Window(self.seconds + other.seconds, self.latencies + other.latencies, used)

    @property
    def sagas(self) -> int:
        """Sagas that ended in the window."""
        return len(self.latencies)

    def percentile_ms(self, percent: int) -> float:
        """The milliseconds that so many of a hundred sagas did not exceed."""
        return statistics.quantiles(self.latencies, n=100)[percent - 1] * 1e3


@dataclass(slots=True, kw_only=True)
class Load:
    """Drives one daemon."""

    address: str
    concurrency: int
    rejected: float
    """The share of sagas that the last step turns down, 0 to 1."""
    usage: Callable[[], dict[str, float]]
    """Tells the processor time of each process so far."""
    definition: Definition = THREE_STEPS
    """What its sagas run."""
    on_window: Callable[[], None] = lambda: None
    """Told when the warm-up is over."""
    ended: Counter[SagaState] = field(default_factory=Counter)
    """All sagas by how they ended, those of the warm-up too."""

    async def run(self, warm_up: float, seconds: float) -> Window:
        """Drives the daemon for a warm-up and a window of so many seconds.

        Raises:
            BenchmarkError: a saga did not end.
        """
        samples: list[tuple[float, float]] = []  # when each saga ended, and the seconds it took
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(Client(self.address))
            await client.register(self.definition)
            starter = await stack.enter_async_context(client.starter(max_in_flight=self.concurrency))
            end = time.perf_counter() + warm_up + seconds
            async with told_once(), asyncio.TaskGroup() as callers:
                for _ in range(self.concurrency):
                    callers.create_task(self._call(starter, end, samples))
                await asyncio.sleep(warm_up)
                self.on_window()
                begun, before = time.perf_counter(), self.usage()
                await asyncio.sleep(end - begun)
                ended, after = time.perf_counter(), self.usage()
        used = {name: after[name] - before[name] for name in before}
        return Window(ended - begun, [took for at, took in samples if begun <= at <= ended], used)

    async def _call(self, starter: Starter, end: float, samples: list[tuple[float, float]]) -> None:
        while (begun := time.perf_counter()) < end:
            with _tracer.start_as_current_span("order"):
                content = IS_COMPENSATED if self._reject_next() else COMPLETES
                started = await starter.start(self.definition.name, content, wait=PATIENCE_S)
            now = time.perf_counter()
            samples.append((now, now - begun))
            if not started.state.ended:
                raise BenchmarkError(f"saga {started.saga_id} is {started.state} after {PATIENCE_S:g} s")
            self.ended[started.state] += 1

    _started: int = 0

    def _reject_next(self) -> bool:
        """Spreads the rejections evenly: every second saga, for a half of them."""
        self._started += 1
        return int(self._started * self.rejected) > int((self._started - 1) * self.rejected)


def check_effects(ended: Counter[SagaState], effects: tuple[int, int]) -> None:
    """Compares what clients were told with the business rows, standing and undone.

    Raises:
        BenchmarkError: they differ, so work was lost or done twice.
    """
    completed, compensated = ended[SagaState.COMPLETED], ended[SagaState.COMPENSATED]
    # The last step of a compensated saga was rejected, and so left no row.
    expected = (3 * completed, 2 * compensated)
    if effects != expected:
        raise BenchmarkError(
            f"{completed} sagas completed and {compensated} were compensated, which makes {expected[0]} rows "
            f"that stand and {expected[1]} undone; there are {effects[0]} and {effects[1]}"
        )


@asynccontextmanager
async def told_once() -> AsyncIterator[None]:
    """Makes one BenchmarkError of what all callers failed with, since they fail alike."""
    try:
        yield
    except ExceptionGroup as group:
        first = group.exceptions[0]
        raise BenchmarkError(f"{len(group.exceptions)} callers failed, the first so: {first}") from first


async def start_many(client: Client, definition: Definition, count: int) -> None:
    """Starts so many sagas and returns when all of them are durable, whatever becomes of them."""
    async with client.starter() as starter, told_once(), asyncio.TaskGroup() as starts:
        for _ in range(count):
            starts.create_task(starter.start(definition, COMPLETES))


async def run_many(client: Client, definition: Definition, count: int) -> None:
    """Runs so many sagas to their end. Raises BenchmarkError if one does not complete."""
    async with client.starter() as starter, told_once(), asyncio.TaskGroup() as runs:
        for _ in range(count):
            runs.create_task(_complete(starter, definition))


async def _complete(starter: Starter, definition: Definition) -> None:
    started = await starter.start(definition, COMPLETES, wait=PATIENCE_S)
    if started.state is not SagaState.COMPLETED:
        raise BenchmarkError(f"saga {started.saga_id} is {started.state}")
