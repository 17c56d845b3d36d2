"""A folder and the processes of one benchmark. Leaving it ends and removes them all, on Ctrl-C too."""

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from benchmarks._usage import cpu_seconds

T = TypeVar("T")

READY_TIMEOUT_S: Final = 120.0
"""How long a program may take to listen: opening a file of a million sagas on a slow disk is the longest."""

STOP_TIMEOUT_S: Final = 15.0
"""How long a program may take to end when it is asked to, before it is killed."""

REPOSITORY: Final = Path(__file__).resolve().parent.parent

_LISTENING: Final = re.compile(rb"listening on (\S+:\d+)\s*$")
_LOG_TAIL_BYTES: Final = 2_000


class BenchmarkError(Exception):
    """A figure that was measured would be worth nothing, and why."""


class Program:
    """A Python module that runs as a process and says on its output where it listens."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.address = ""
        self.started_at = time.perf_counter()
        self._process = process
        self._log = log
        self._ended = False

    def __repr__(self) -> str:
        return f"<Program {self.name} pid={self.pid} at {self.address or 'nowhere yet'}>"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def wait_until_listening(self) -> None:
        """Waits for the line that names the address. Raises BenchmarkError if it does not come."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                self.address = await self._read_address()
        except TimeoutError:
            raise BenchmarkError(f"{self.name} does not listen after {READY_TIMEOUT_S:g} s") from None

    async def stop(self) -> str:
        """Asks it to end, waits for that, and returns what it had still to say."""
        self._ended = True
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                output, _ = await self._process.communicate()
        except TimeoutError:
            await self.kill()
            raise BenchmarkError(f"{self.name} does not end when it is asked to") from None
        return output.decode()

    async def kill(self) -> None:
        """Kills it, as a power cut would, and waits until it is gone."""
        self._ended = True
        self.send(signal.SIGKILL)
        await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal, unless it has ended."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    def tail(self) -> str:
        """Returns the end of what it wrote to stderr; nothing if it was ended."""
        if self._ended:
            return ""
        lines = self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").splitlines()
        return "".join(f"{self.name} | {line}\n" for line in lines)

    async def _read_address(self) -> str:
        assert self._process.stdout is not None, "it was started with a pipe"
        async for line in self._process.stdout:
            found = _LISTENING.search(line)
            if found:
                return found[1].decode()
        raise BenchmarkError(f"{self.name} ended instead of listening")


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
        log = self.folder / f"{name}.log"
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=REPOSITORY,
                env=_environment(environment or {}),
                start_new_session=True,  # a Ctrl-C reaches only the benchmark, which then ends it
            )
        program = Program(name, process, log)
        self._programs.append(program)
        await program.wait_until_listening()
        return program


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a benchmark to its end; SIGTERM ends it as orderly as Ctrl-C does.

    Exits with status 1 and one line on stderr where a BenchmarkError says why there is no figure.
    """

    async def main() -> T:
        task = asyncio.current_task()
        assert task is not None, "asyncio.run makes a task"
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(main())
    except BenchmarkError as error:
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
