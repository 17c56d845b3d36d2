"""A folder and the processes of one benchmark. Leaving it ends and removes them all, on Ctrl-C too."""

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from amends import AmendsError
from benchmarks._usage import cpu_seconds

T = TypeVar("T")

READY_TIMEOUT_S: Final = 120.0
"""How long a program may take to listen: opening a file of a million sagas on a slow disk is the longest."""

STOP_TIMEOUT_S: Final = 15.0
"""How long a program may take to end when it is asked to, before it is killed."""

REPOSITORY: Final = Path(__file__).resolve().parent.parent

_LISTENING: Final = re.compile(rb"listening (?:on|at) (\S+)\s*$")
_TAIL_LINES: Final = 15


class BenchmarkError(Exception):
    """A figure that was measured would be worth nothing, and why."""


class Program:
    """A Python module that runs as a process and says on its output where it listens."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.address = ""
        self._process = process
        self._ended = False
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES)
        self._address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._output = asyncio.create_task(self._read_output())

    def __repr__(self) -> str:
        return f"<Program {self.name} pid={self.pid} at {self.address or 'nowhere yet'}>"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def wait_until_listening(self) -> None:
        """Waits for the line that names the address. Raises BenchmarkError if it does not come."""
        try:
            self.address = await asyncio.wait_for(self._address, READY_TIMEOUT_S)
        except TimeoutError:
            raise BenchmarkError(f"{self.name} does not listen after {READY_TIMEOUT_S:g} s") from None

    async def stop(self) -> str:
        """Asks it to end, waits for that, and returns the last line that it wrote."""
        self.send(signal.SIGTERM)
        self._ended = True
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
            raise BenchmarkError(f"{self.name} does not end when it is asked to") from None
        await self._output
        return self._lines[-1]

    async def kill(self) -> None:
        """Kills it, as a power cut would, and waits until it is gone."""
        self.send(signal.SIGKILL)
        self._ended = True
        await self._process.wait()
        await self._output

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal, unless it has ended."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    def tail(self) -> str:
        """Returns the last lines that it wrote, with its name in front; nothing if it was ended."""
        return "" if self._ended else "".join(f"{self.name} | {line}\n" for line in self._lines)

    async def _read_output(self) -> None:
        assert self._process.stdout is not None, "it was started with a pipe"
        async for line in self._process.stdout:
            self._lines.append(line.decode(errors="replace").rstrip())
            found = _LISTENING.search(line)
            if found and not self._address.done():
                self._address.set_result(found[1].decode())
        if not self._address.done():
            self._address.set_exception(BenchmarkError(f"{self.name} ended instead of listening"))


class Workspace:
    """Where a benchmark keeps its files and starts its programs, in ``async with``.

    The files lie where temporary files do; TMPDIR chooses another disk.
    """

    async def __aenter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="amends-benchmark-"))
        self._programs: list[Program] = []
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for program in reversed(self._programs):
                if isinstance(error, Exception):
                    sys.stderr.write(program.tail())
                await program.kill()
        finally:
            shutil.rmtree(self.folder)

    async def start(self, name: str, *command: str, environment: Mapping[str, str] | None = None) -> Program:
        """Starts a module with its arguments and waits until it listens.

        Raises:
            BenchmarkError: it does not.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=REPOSITORY,
            env=_environment(environment or {}),
            start_new_session=True,  # a Ctrl-C reaches only the benchmark, which then ends it
        )
        program = Program(name, process)
        self._programs.append(program)
        await program.wait_until_listening()
        return program


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a benchmark to its end; SIGTERM ends it as orderly as Ctrl-C does.

    Exits with status 1 and says why on stderr where there is no figure.
    """

    async def main() -> T:
        task = asyncio.current_task()
        assert task is not None, "asyncio.run makes a task"
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(main())
    except (BenchmarkError, AmendsError) as error:
        raise SystemExit(f"benchmark: {error}") from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit("benchmark: interrupted") from None


async def wait_until_quiet(*programs: Program, seconds: float = 1.0) -> None:
    """Waits until programs have used next to no processor time for so many seconds."""
    while True:
        before = [cpu_seconds(program.pid) for program in programs]
        await asyncio.sleep(seconds)
        used = sum(cpu_seconds(program.pid) - was for program, was in zip(programs, before, strict=True))
        if used < 0.05 * seconds:
            return


async def announce_and_wait(name: str, address: str) -> None:
    """Says where a program listens, in the way that ``Workspace.start`` waits for; returns on SIGTERM."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    print(f"{name}: listening on {address}", flush=True)
    await stopping.wait()


def _environment(additions: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, without what would make the programs do more than they are asked to."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "AMENDS_", "GRPC_"))
    }
    return {**kept, **additions}
