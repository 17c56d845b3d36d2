"""How many choreographed sagas a second, and how long each one takes, beside raw unary calls on the machine.

``python -m benchmarks.choreography --bus sqlite --seconds 10 --concurrency 128 --json``

The work: an event of 200 bytes goes through three services, each with a business row and its fence, inbox
and outbox on SQLite with synchronous=FULL; the load is a fourth service, which begins sagas and hears of
their end. Each is a process; with ``--bus nats`` a NATS server that syncs every message is one more. Sagas
and raw calls take turns, and in the end the business rows are counted.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from amends.choreography import EventContext, EventService, JsonEvent, Kind, Reaction
from benchmarks import _raw
from benchmarks._event_service import BEGUN, ENDED, REFUSED, SCHEMA, SERVICES, count_effects
from benchmarks._load import Window
from benchmarks._profiler import START, profiled, report
from benchmarks._report import rounded, show
from benchmarks._usage import cpu_seconds
from benchmarks._work import COMPLETES, IS_COMPENSATED
from benchmarks._workspace import BenchmarkError, Program, Workspace, run
from sample_services.demo.broker import broker
from sample_services.demo.stage import free_addresses

ROUNDS: Final = 3
"""Turns that sagas and raw calls take; raw calls have one more, so that they come first and last."""

WARM_UP_SHARE: Final = 0.3
RAW_SHARE: Final = 0.3
PATIENCE_S: Final = 60.0


@dataclass(slots=True)
class Load:
    """Begins sagas at a service of its own, each when an earlier one has ended."""

    service: EventService
    concurrency: int
    rejected: float
    usage: "dict[str, int]"
    """Process ids, by name."""
    completed: int = 0
    compensated: int = 0
    _waiting: "dict[str, asyncio.Future[bool]]" = field(default_factory=dict)
    _started: int = 0
    _place: "Reaction[dict[str, str], JsonEvent]" = field(init=False)

    def declare(self) -> None:
        """Declares the entry of sagas, and what hears of their end."""
        loop = asyncio.get_running_loop()

        def told(saga_id: str, completed: bool) -> None:
            waiter = self._waiting.pop(saga_id, None)
            if waiter is not None:
                waiter.set_result(completed)

        @self.service.entry(emits=[BEGUN], effect_free=True)
        def place(content: dict[str, str], ctx: EventContext) -> JsonEvent:
            return JsonEvent(BEGUN, content)

        @self.service.on(ENDED, kind=Kind.RETRIABLE)
        def complete(event: dict[str, str], ctx: EventContext) -> None:
            loop.call_soon_threadsafe(told, ctx.saga_id, True)

        @self.service.on(REFUSED, effect_free=True)
        def give_up(event: dict[str, object], ctx: EventContext) -> None:
            loop.call_soon_threadsafe(told, ctx.saga_id, False)

        self._place = place

    async def run(self, warm_up: float, seconds: float) -> Window:
        """Drives the services for a warm-up and a window of so many seconds."""
        samples: list[tuple[float, float]] = []
        end = time.perf_counter() + warm_up + seconds
        async with asyncio.TaskGroup() as callers:
            for _ in range(self.concurrency):
                callers.create_task(self._call(end, samples))
            await asyncio.sleep(warm_up)
            begun, before = time.perf_counter(), self._used()
            await asyncio.sleep(end - begun)
            ended, after = time.perf_counter(), self._used()
        used = {name: after[name] - before[name] for name in before}
        return Window(ended - begun, [took for at, took in samples if begun <= at <= ended], used)

    async def _call(self, end: float, samples: list[tuple[float, float]]) -> None:
        loop = asyncio.get_running_loop()
        while (begun := time.perf_counter()) < end:
            self._started += 1
            saga_id = f"saga-{self._started}"
            waiter = self._waiting[saga_id] = loop.create_future()
            rejects = int(self._started * self.rejected) > int((self._started - 1) * self.rejected)
            content = {"content": (IS_COMPENSATED if rejects else COMPLETES).value.decode()}
            await self.service.begin(self._place, content, saga_id=saga_id)
            try:
                completed = await asyncio.wait_for(waiter, PATIENCE_S)
            except TimeoutError:
                raise BenchmarkError(f"saga {saga_id} has not ended after {PATIENCE_S:g} s") from None
            now = time.perf_counter()
            samples.append((now, now - begun))
            self.completed += completed
            self.compensated += not completed

    def _used(self) -> dict[str, float]:
        used = {name: cpu_seconds(pid) for name, pid in self.usage.items()}
        return {**used, "load": time.process_time()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure."""

    bus: str = "sqlite"
    seconds: float = 10.0
    concurrency: int = 128
    rejected: float = 0.0
    profile: str = ""


async def measure(options: Options) -> dict[str, object]:
    """Measures, and returns the figures by name.

    Raises:
        BenchmarkError: there are none, and why.
    """
    async with Workspace() as workspace:
        raw_server = await workspace.start("raw", "benchmarks._raw")
        address, server = "", None
        if options.bus == "nats":
            (address,) = free_addresses(1)
            server = broker(workspace.folder, address)
            await server.start()
        try:
            bus = f"nats://{address}" if server else f"sqlite:///{workspace.folder / 'bus.db'}"
            programs = [await _start(workspace, name, bus, options.profile) for name in SERVICES]
            usage = {program.name: program.pid for program in programs}
            if server is not None:
                usage["nats-server"] = server.pid
            service = EventService(
                "load", bus=bus, store=f"sqlite:///{workspace.folder / 'load.db'}", schema=SCHEMA
            )
            load = Load(service, options.concurrency, options.rejected, usage)
            load.declare()
            async with service:
                window, raw = await _take_turns(load, raw_server, options, programs)
            for program in programs:
                await program.stop()
            _check(load, workspace.folder)
            if options.profile:
                print(report(workspace.folder / options.profile))
        finally:
            if server is not None:
                await server.stop()
    return _figures(window, raw, load)


async def _start(workspace: Workspace, name: str, bus: str, profile: str) -> Program:
    command = ["benchmarks._event_service", name, str(workspace.folder), bus]
    if name == profile:
        command = profiled(workspace.folder / name, command)
    return await workspace.start(name, *command)


async def _take_turns(
    load: Load, raw_server: Program, options: Options, programs: list[Program]
) -> tuple[Window, list[_raw.Raw]]:
    seconds = options.seconds / ROUNDS
    raw = [await _raw.measure(raw_server.address, seconds * RAW_SHARE)]
    whole: Window | None = None
    for _ in range(ROUNDS):
        for program in programs:
            if program.name == options.profile:
                program.send(START)
        window = await load.run(seconds * WARM_UP_SHARE, seconds)
        whole = window if whole is None else whole + window
        raw.append(await _raw.measure(raw_server.address, seconds * RAW_SHARE))
    assert whole is not None
    if whole.sagas < 2:
        raise BenchmarkError("no two sagas ended; measure longer")
    return whole, raw


def _check(load: Load, folder: Path) -> None:
    """Compares what was told with the business rows. Raises BenchmarkError if work was lost or done twice."""
    for name in SERVICES:
        undone = 0 if name == SERVICES[-1] else load.compensated
        found = count_effects(folder, name)
        if found != (load.completed, undone):
            raise BenchmarkError(
                f"{load.completed} sagas completed and {load.compensated} were compensated, and {name} has "
                f"{found[0]} rows that stand and {found[1]} undone"
            )


def _figures(window: Window, each: list[_raw.Raw], load: Load) -> dict[str, object]:
    raw = _raw.mean(each)
    rate = window.sagas / window.seconds
    return {
        **rounded(
            [
                ("sagas_per_second", rate),
                ("p50_ms", window.percentile_ms(50)),
                ("p99_ms", window.percentile_ms(99)),
                ("raw_unary_calls_per_second", raw.calls_per_second),
                ("ratio", rate / raw.calls_per_second),
            ]
        ),
        "cpu_ms_per_saga": rounded(
            (name, used / window.sagas * 1e3) for name, used in window.cpu_seconds.items()
        ),
        "completed": load.completed,
        "compensated": load.compensated,
    }


def main() -> None:
    """Measures as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.choreography", description=__doc__)
    parser.add_argument("--bus", choices=("sqlite", "nats"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the measurement, after a warm-up")
    parser.add_argument("--concurrency", type=int, default=128, help="sagas under way at one time")
    parser.add_argument("--rejected", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--profile", choices=SERVICES, default="")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    options = Options(
        bus=given.bus,
        seconds=given.seconds,
        concurrency=given.concurrency,
        rejected=given.rejected,
        profile=given.profile,
    )
    show(run(measure(options)), as_json=given.json)


if __name__ == "__main__":
    main()
