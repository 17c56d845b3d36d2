"""The pytest plugin of the test kit: two fixtures, loaded in every session, which load nothing else.

It is imported wherever Amends is installed, with or without what a coordinator needs, so everything of weight
is imported when a fixture is first used.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

# Anyio takes care of any fixture, pytest-asyncio in its strict mode only of those marked as its own.
async_fixture: Callable[..., Any] = pytest.fixture
with suppress(ImportError):
    import pytest_asyncio

    async_fixture = pytest_asyncio.fixture

if TYPE_CHECKING:
    from amends_coordinator.testing import BlockingLocalCoordinator, LocalCoordinator
    from amends_coordinator.testing._called import Called

MakeLocalCoordinator: TypeAlias = "Callable[..., Awaitable[LocalCoordinator]]"
"""The type of the fixture ``local_coordinator``."""

MakeBlockingLocalCoordinator: TypeAlias = "Callable[..., BlockingLocalCoordinator]"
"""The type of the fixture ``blocking_local_coordinator``."""


@async_fixture
async def local_coordinator() -> AsyncIterator[MakeLocalCoordinator]:
    """Makes coordinators in this process: ``await local_coordinator(payments, inventory)``.

    Each is a running LocalCoordinator; it is stopped after the test, and so are its participants.
    """
    from amends_coordinator.testing import LocalCoordinator

    async with AsyncExitStack() as stack:

        async def make(*participants: "Called") -> "LocalCoordinator":
            return await stack.enter_async_context(LocalCoordinator(*participants))

        yield make


@pytest.fixture
def blocking_local_coordinator() -> Iterator[MakeBlockingLocalCoordinator]:
    """Makes coordinators in this process, for plain functions: ``blocking_local_coordinator(payments)``.

    Each is a running BlockingLocalCoordinator; it is stopped after the test, and so are its participants.
    """
    from amends_coordinator.testing import BlockingLocalCoordinator

    with ExitStack() as stack:

        def make(*participants: "Called") -> "BlockingLocalCoordinator":
            return stack.enter_context(BlockingLocalCoordinator(*participants))

        yield make
