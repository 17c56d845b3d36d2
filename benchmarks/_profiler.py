"""Where the time goes: runs a module under cProfile, every thread of it; lists the costliest functions.

``python -m benchmarks._profiler FILE MODULE ARGUMENT...`` runs a module. It profiles from SIGUSR1 to the end,
so that imports and warm-up do not hide what matters. Profiling makes everything slower, small functions most.
"""

import cProfile
import pstats
import runpy
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

START: Final = signal.SIGUSR1
"""Begins the profile."""

SHOWN: Final = 40
"""Functions that are listed."""


def profiled(output: Path, command: Sequence[str]) -> list[str]:
    """The command that runs a module under the profiler, and leaves profiles at ``output``.*.prof."""
    return ["benchmarks._profiler", str(output), *command]


def report(output: Path) -> str:
    """Lists the costliest functions of a process that has ended, one table for each of its threads."""
    found = sorted(output.parent.glob(f"{output.name}.*.prof"))
    return "\n".join(f"{path.stem}\n{table(str(path))}" for path in found)


def table(*profiles: Any) -> str:
    """Lists the costliest functions of some profiles, by the time spent in themselves."""
    lines: list[str] = []
    stats = pstats.Stats(*profiles, stream=_Lines(lines))  # type: ignore[arg-type]
    stats.sort_stats("tottime").print_stats(SHOWN)
    return "".join(lines)


class _Lines:
    """The little of a stream that pstats writes to."""

    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append


class _Profiler:
    """One profile for each thread: cProfile sees only the thread in which it is switched on."""

    def __init__(self) -> None:
        self._profiles: dict[str, cProfile.Profile] = {}
        self._started = threading.Event()

    def start(self, number: int, frame: object) -> None:
        """Begins with the main thread; the others follow at the next function they call."""
        if not self._started.is_set():
            self._started.set()
            self._begin()

    def watch_threads(self) -> None:
        """Has every thread that is made from now on look out for the start."""
        threading.setprofile(self._look_out)

    def dump(self, output: str) -> None:
        """Writes what was found."""
        for name, profile in self._profiles.items():
            profile.create_stats()
            profile.dump_stats(f"{output}.{name}.prof")

    def _look_out(self, frame: object, event: str, argument: object) -> None:
        if self._started.is_set():
            self._begin()

    def _begin(self) -> None:
        profile = cProfile.Profile()
        self._profiles[threading.current_thread().name] = profile
        profile.enable()


def main() -> None:
    """Runs a module as if it had been called by itself."""
    output, module, *arguments = sys.argv[1:]
    profiler = _Profiler()
    # Later versions of Python see all threads by themselves, and take one profiler at a time.
    if sys.version_info < (3, 12):
        profiler.watch_threads()
    signal.signal(START, profiler.start)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        profiler.dump(output)


if __name__ == "__main__":
    main()
