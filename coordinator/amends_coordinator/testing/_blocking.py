"""The coordinator for tests that are plain functions."""

import asyncio
from typing import Self

from amends import BlockingClient
from amends_coordinator.testing._called import Called
from amends_coordinator.testing._faults import Faults
from amends_coordinator.testing._local import PATIENCE, TARGET, LocalCoordinator


class BlockingLocalCoordinator(BlockingClient):
    """Runs whole sagas in the process of a test that is a plain function.

    ::

        with BlockingLocalCoordinator(payments, inventory) as coordinator:
            saga = coordinator.run(order, {"sku": "tea"})

    It is to :class:`LocalCoordinator` what ``BlockingClient`` is to ``Client``: the same, on an event loop in
    a thread of its own, which is where handlers run.
    """

    def __init__(self, *participants: Called) -> None:
        """Makes a coordinator of these participants. Raises as LocalCoordinator does."""
        self._local = LocalCoordinator(*participants)
        super().__init__(TARGET, patience=PATIENCE)
        self._client = self._local

    def __enter__(self) -> Self:
        """Opens the participants and starts the coordinator. Raises as LocalCoordinator does."""
        try:
            self._wait_for(self._local.__aenter__())
        except BaseException:
            self.close()
            raise
        return self

    async def _end(self) -> None:
        await super()._end()
        await asyncio.get_running_loop().shutdown_default_executor()  # where plain services run

    @property
    def faults(self) -> Faults:
        """Arranges what goes wrong with the calls to participants."""
        return self._local.faults

    def crash(self) -> None:
        """Kills the coordinator and starts it again; see LocalCoordinator.crash."""
        self._wait_for(self._local.crash())

    def advance(self, seconds: float) -> None:
        """Lets time pass for the coordinator; see LocalCoordinator.advance."""
        self._wait_for(self._local.advance(seconds))
