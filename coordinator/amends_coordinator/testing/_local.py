"""A coordinator for tests: the real one in everything but the network, the disk and the waiting."""

from contextlib import AsyncExitStack
from typing import Any, Self

from amends import Client
from amends._client._line import Line
from amends.errors import UsageError
from amends_coordinator.testing._called import Called
from amends_coordinator.testing._faults import Faults
from amends_coordinator.testing._world import World

TARGET = "local"
"""What messages say where a client would name the coordinator's address."""

PATIENCE = 30.0
"""Seconds for which calls outlast an absence of the coordinator, as with any client."""


class LocalCoordinator(Client):
    """Runs whole sagas in the process of a test: no ports, no files, and no waiting for retries.

    ::

        async with LocalCoordinator(payments, inventory) as coordinator:
            coordinator.faults.lose_reply("payments", "charge")
            saga = await coordinator.run(order, {"sku": "tea"})
            assert saga.state is SagaState.COMPLETED

    It is a :class:`~amends.Client` of a coordinator that lives inside it, and can be given to code that wants
    a client. The saga machine, the journal, recovery and the gRPC service are the ones of the daemon; the
    log is kept in memory, and participants are called directly. They are opened on entering and stopped on
    leaving; while a test has stopped one, its calls fail as UNAVAILABLE. A :class:`PlainService` is a service
    that knows nothing of Amends, for steps that call methods.

    Time jumps over backoffs, pending answers and deadlines whenever a call to the coordinator is awaited and
    nothing else can happen; between calls it stands as good as still. See :meth:`advance`.
    """

    def __init__(self, *participants: Called) -> None:
        """Makes a coordinator of these participants, which must not be open yet.

        Raises:
            UsageError: two participants have the same name.
        """
        super().__init__(TARGET, patience=PATIENCE)
        names = [participant.name for participant in participants]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"there are two participants {name!r}")
        self._participants = dict(zip(names, participants, strict=True))
        self._faults = Faults(self._participants)
        self._stack = AsyncExitStack()
        self._world: World | None = None
        self._line = _LocalLine(self)

    def __repr__(self) -> str:
        return f"LocalCoordinator({', '.join(self._participants)})"

    async def __aenter__(self) -> Self:
        """Opens the participants and starts the coordinator.

        Raises:
            UsageError: a participant is open already.
            StoreError: the store of a participant cannot be used.
        """
        try:
            self._world = await World.open(self._participants, self._faults, self._stack)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def close(self) -> None:
        """Stops the coordinator and the participants; its log is forgotten."""
        await super().close()
        await self._stack.aclose()

    @property
    def faults(self) -> Faults:
        """Arranges what goes wrong with the calls to participants."""
        return self._faults

    async def crash(self) -> None:
        """Kills the coordinator in the middle of whatever it does, and starts it again from its log.

        Returns when every unfinished saga goes on. Calls that had left still arrive at their participants,
        but their replies are lost. Clients' calls under way fail; those that may be repeated are.
        """
        await self.world.crash()

    async def advance(self, seconds: float) -> None:
        """Lets time pass for the coordinator: what falls due meanwhile happens, in order.

        Waits for the participants to finish what they are at, so a handler that waits for the test makes
        this wait too.
        """
        await self.world.advance(seconds)

    @property
    def world(self) -> World:
        """What is behind it, for the kit itself. Raises ``UsageError`` if it was not entered."""
        if self._world is None:
            raise UsageError(f"{self!r} is not running: enter it with `async with`")
        return self._world


class _LocalLine(Line):
    """The client's line to the coordinator inside."""

    def __init__(self, coordinator: LocalCoordinator) -> None:
        super().__init__(TARGET, None, PATIENCE)
        self._coordinator = coordinator

    def _open(self) -> Any:
        return self._coordinator.world.channel
