import asyncio
from collections.abc import AsyncIterator

import pytest

from amends_coordinator.testing import LocalCoordinator
from tests.testing.kit_shop import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def coordinator(shop: Shop) -> AsyncIterator[LocalCoordinator]:
    before = asyncio.all_tasks()
    async with LocalCoordinator(*shop.participants()) as coordinator:
        yield coordinator
    assert asyncio.all_tasks() - {asyncio.current_task()} <= before, "the kit leaves nothing running"
