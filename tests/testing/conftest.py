import asyncio
from collections.abc import AsyncIterator

import pytest

from amends_coordinator.testing import LocalCoordinator
from tests.testing.kit_carrier import Carrier
from tests.testing.kit_shop import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
async def coordinator(shop: Shop, carrier: Carrier) -> AsyncIterator[LocalCoordinator]:
    """Of the shop's participants, and of the carrier, which knows nothing of Amends."""
    before = asyncio.all_tasks()
    async with LocalCoordinator(*shop.participants(), carrier.service()) as coordinator:
        yield coordinator
    assert asyncio.all_tasks() - {asyncio.current_task()} <= before, "the kit leaves nothing running"
