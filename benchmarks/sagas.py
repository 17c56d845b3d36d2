"""How many sagas a second, and how long each one takes, beside raw unary calls on the same machine.

``python -m benchmarks.sagas --seconds 10 --concurrency 128 --json``

The work: three steps of 200 bytes each; the daemon, one participant with a fence and a business row on SQLite
with synchronous=FULL, and the load, a process each. Sagas and raw calls take turns, and the mean of the raw
calls is the yardstick; where they differ much, the machine was not the same all the time. In the end the
business rows are counted: a benchmark that loses work has no figures.
"""

import argparse
import cProfile
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from amends import SagaState
from benchmarks import _profiler, _raw, _tracing
from benchmarks._load import Load, Window, check_effects
from benchmarks._participant import count_effects
from benchmarks._plain import THREE_METHODS
from benchmarks._report import rounded, show
from benchmarks._usage import cpu_seconds
from benchmarks._work import PARTICIPANT, THREE_STEPS, start_daemon, start_participant
from benchmarks._workspace import BenchmarkError, Program, Workspace, run

ROUNDS: Final = 3
"""Turns that sagas and raw calls take; raw calls have one more, so that they come first and last."""

WARM_UP_SHARE: Final = 0.3
"""The warm-up of a round as a share of its window: connections, caches and the first growth of the files."""

RAW_SHARE: Final = 0.3
"""The measurement of raw calls in a round, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure."""

    seconds: float = 10.0
    concurrency: int = 128
    mode: str = "exchange"
    """How steps are called: by "exchange", by "unary" calls, or as "methods" of a service without Amends."""
    rejected: float = 0.0
    tracing: bool = False
    profile: str = ""


@dataclass(slots=True)
class Cast:
    """The processes that take part."""

    raw: Program
    daemon: Program
    participant: Program
    collector: Program | None

    def tracing(self) -> AbstractContextManager[None]:
        """Has the load export its spans too, if there is a collector."""
        if self.collector is None:
            return nullcontext()
        return _tracing.exporting("load", f"http://{self.collector.address}")

    def usage(self) -> dict[str, float]:
        """Tells the processor time of each so far."""
        used = {
            "daemon": cpu_seconds(self.daemon.pid),
            "participant": cpu_seconds(self.participant.pid),
            "load": time.process_time(),
        }
        if self.collector is not None:
            used["collector"] = cpu_seconds(self.collector.pid)
        return used


async def measure(options: Options) -> dict[str, object]:
    """Measures, and returns the figures by name.

    Raises:
        BenchmarkError: there are none, and why.
    """
    async with Workspace() as workspace:
        cast = await _start(workspace, options)
        profile = cProfile.Profile()
        load = Load(
            address=cast.daemon.address,
            concurrency=options.concurrency,
            rejected=options.rejected,
            usage=cast.usage,
            definition=THREE_METHODS if options.mode == "methods" else THREE_STEPS,
            on_window=lambda: _begin_profile(cast, options.profile, profile),
        )
        with cast.tracing():
            window, raw = await _take_turns(cast, load, options.seconds / ROUNDS, profile)
        await cast.daemon.stop()
        await cast.participant.stop()
        if window.sagas < 2:
            raise BenchmarkError("no two sagas ended; measure longer")
        check_effects(load.ended, count_effects(workspace.folder, PARTICIPANT))
        figures = _figures(window, raw)
        figures["completed"] = load.ended[SagaState.COMPLETED]
        figures["compensated"] = load.ended[SagaState.COMPENSATED]
        if cast.collector:
            figures["spans_per_saga"] = int(await cast.collector.stop()) / load.ended.total()
        _show_profile(workspace.folder, options.profile, profile)
    return figures


async def _take_turns(
    cast: Cast, load: Load, seconds: float, profile: cProfile.Profile
) -> tuple[Window, list[_raw.Raw]]:
    raw = [await _raw.measure(cast.raw.address, seconds * RAW_SHARE)]
    whole = Window(0.0, [], dict.fromkeys(cast.usage(), 0.0))
    for _ in range(ROUNDS):
        whole += await load.run(seconds * WARM_UP_SHARE, seconds)
        profile.disable()
        raw.append(await _raw.measure(cast.raw.address, seconds * RAW_SHARE))
    return whole, raw


async def _start(workspace: Workspace, options: Options) -> Cast:
    raw = await workspace.start("raw", "benchmarks._raw")
    collector = await workspace.start("collector", "benchmarks._tracing") if options.tracing else None
    environment = {_tracing.ENDPOINT: f"http://{collector.address}"} if collector else {}
    participant = await start_participant(
        workspace,
        PARTICIPANT,
        *(["--unary"] if options.mode == "unary" else []),
        module="benchmarks._plain" if options.mode == "methods" else "benchmarks._participant",
        profile=options.profile == "participant",
        environment=environment,
    )
    daemon = await start_daemon(
        workspace, participant, profile=options.profile == "daemon", environment=environment
    )
    return Cast(raw, daemon, participant, collector)


def _figures(window: Window, each: list[_raw.Raw]) -> dict[str, object]:
    raw = _raw.mean(each)
    rate = window.sagas / window.seconds
    p50 = window.percentile_ms(50)
    return {
        **rounded(
            [
                ("sagas_per_second", rate),
                ("p50_ms", p50),
                ("p99_ms", window.percentile_ms(99)),
                ("raw_unary_calls_per_second", raw.calls_per_second),
                ("ratio", rate / raw.calls_per_second),
                ("raw_unary_p50_ms", raw.p50_ms),
                ("p50_in_raw_calls", p50 / raw.p50_ms),
            ]
        ),
        "cpu_ms_per_saga": rounded(
            (name, used / window.sagas * 1e3) for name, used in window.cpu_seconds.items()
        ),
        "raw_unary_calls_per_second_each": [round(one.calls_per_second) for one in each],
        "sagas": window.sagas,
    }


def _begin_profile(cast: Cast, who: str, profile: cProfile.Profile) -> None:
    if who == "load":
        profile.enable()
    elif who:
        {"daemon": cast.daemon, "participant": cast.participant}[who].send(_profiler.START)


def _show_profile(folder: Path, who: str, profile: cProfile.Profile) -> None:
    if who == "load":
        print(_profiler.table(profile))
    elif who:
        print(_profiler.report(folder / (PARTICIPANT if who == "participant" else who)))


def main() -> None:
    """Measures as the command line asks."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sagas", description="Measures sagas per second beside raw unary calls."
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of the measurement, after a warm-up")
    parser.add_argument("--concurrency", type=int, default=128, help="sagas under way at one time")
    parser.add_argument("--mode", choices=("exchange", "unary", "methods"), default="exchange")
    parser.add_argument(
        "--rejected", type=float, default=0.0, metavar="SHARE", help="of sagas turned down at the last step"
    )
    parser.add_argument("--tracing", action="store_true", help="export every span to a collector")
    parser.add_argument("--profile", choices=("daemon", "participant", "load"), default="")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    options = Options(
        seconds=given.seconds,
        concurrency=given.concurrency,
        mode=given.mode,
        rejected=given.rejected,
        tracing=given.tracing,
        profile=given.profile,
    )
    show(run(measure(options)), as_json=given.json)


if __name__ == "__main__":
    main()
