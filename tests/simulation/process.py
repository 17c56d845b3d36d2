"""Processes that can be killed.

A process is a context: every task that is started within it, directly or not, belongs to it. To kill it is to
cut it off from the network and its disk first, and only then to end its tasks. What these still do on their
way out, in `finally` or `except`, reaches nobody, as if it had never been done.
"""

import asyncio
import contextvars
import signal
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.disk import Disk

_CANCEL_AGAIN = 0.001
"""Seconds after which what is left of a dead process is told once more to end."""

_RUNNING: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("process", default=None)


class Process:
    """One life of a node: from a start to the end, whichever way that comes."""

    def __init__(self, node: str, number: int, disk: "Disk | None" = None, *, skew: float = 0.0) -> None:
        """Begins.

        Args:
            node: what it is a life of.
            number: which life of the node, from 1.
            disk: what it keeps, if it keeps anything.
            skew: seconds by which its wall clock is wrong.
        """
        self.node = node
        self.number = number
        self.disk: Any = disk
        self.born = time.time() + skew  # by its own clock
        self.skew = skew
        self.alive = True
        self.stopping = False  # whether it was asked to end
        self.lock_lost = False  # whether another process may take what this one has locked
        self.over = asyncio.Event()  # set once it is dead, or another has taken over
        self.signals: dict[int, Callable[[], object]] = {}  # what it does about them
        self.at_death: list[Callable[[], None]] = []  # what is cut off, before the tasks end
        self._tasks: dict[asyncio.Task[Any], None] = {}  # ordered, as a set would not be
        self._context = contextvars.Context()
        self._context.run(_RUNNING.set, self)

    def __repr__(self) -> str:
        return f"{self.node} #{self.number}"

    @staticmethod
    def current() -> "Process | None":
        """The process that is running; None in the world around."""
        return _RUNNING.get()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Starts a task of this process."""
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    @staticmethod
    def of(context: contextvars.Context | None) -> "Process | None":
        """The process that a context belongs to; None for the world around. Without one: that is running."""
        return _RUNNING.get() if context is None else context.get(_RUNNING)

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        """Takes a task in that was started within this process."""
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        if not self.alive:
            task.cancel()

    def kill(self) -> None:
        """Ends it, at once and for good."""
        if not self.alive:
            return
        self.alive = False
        for cut_off in self.at_death:
            cut_off()
        for task in list(self._tasks):
            task.cancel()
        self.over.set()

    def terminate(self) -> None:
        """Asks it to end, as SIGTERM does; one that is not ready for that just dies."""
        self.stopping = True
        handler = self.signals.get(signal.SIGTERM)
        if handler is None:
            self.kill()
        else:
            self._context.copy().run(handler)

    async def bury(self) -> None:
        """Waits until nothing of it runs any more.

        A cancellation may get lost, in a time limit that is reached in the same moment for instance; the end
        of a process does not.
        """
        while self._tasks:
            await asyncio.wait(self._tasks, timeout=_CANCEL_AGAIN)
            for task in list(self._tasks):
                task.cancel()


class _Numbered:
    """What stands in sets in the order in which it was made, and not at random."""

    _number: int

    def __hash__(self) -> int:
        return self._number


class Task(_Numbered, asyncio.Task[Any]):
    """A task that is the same in every run."""

    def __init__(self, number: int, work: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = number
        self.process = Process.of(options.get("context"))
        super().__init__(work, **options)


class Future(_Numbered, asyncio.Future[Any]):
    """A future that is the same in every run."""

    def __init__(self, number: int, **options: Any) -> None:
        self._number = number
        super().__init__(**options)
