"""The fence's promises over real connections, where calls really race."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.participant.calls import compensate_request, effects, exchange_of, outcomes, try_request


async def once(message: Any) -> AsyncIterator[Any]:
    yield message


@pytest.mark.parametrize("action", ["plain", "waiting"])
async def test_p4_concurrent_unary_duplicates_have_one_effect(stub: Any, action: str, db_path: Path) -> None:
    answers = await asyncio.gather(*(stub.Try(try_request(action=action)) for _ in range(12)))
    assert all(answer == answers[0] for answer in answers)
    await asyncio.gather(*(stub.Compensate(compensate_request(action=action)) for _ in range(12)))
    assert [deed for _, _, deed in effects(db_path)] == [action, "undo"]


@pytest.mark.parametrize("action", ["plain", "waiting"])
async def test_p4_duplicates_on_several_exchanges_have_one_effect(
    stub: Any, action: str, db_path: Path
) -> None:
    async def exchange() -> dict[int, str]:
        found = {}
        async for message in stub.Exchange(once(exchange_of(*[try_request(action=action)] * 5))):
            found.update(outcomes(message))
        return found

    for found in await asyncio.gather(*(exchange() for _ in range(4))):
        assert list(found.values()) == ["succeeded"] * 5
    assert effects(db_path) == [("s1", "a", action)]


async def test_p4_p5_any_order_of_deliveries_has_at_most_one_effect_and_one_undoing(
    stub: Any, db_path: Path
) -> None:
    chance = random.Random(7)  # fixed, so that a failure can be repeated
    requests = []
    for saga in range(20):
        action = chance.choice(["plain", "waiting"])
        requests += [try_request(saga=f"s{saga}", action=action)] * 3
        requests += [compensate_request(saga=f"s{saga}", action=action)] * 3
    chance.shuffle(requests)
    half = len(requests) // 2

    async def unary() -> None:
        for request in requests[half:]:
            rpc = stub.Try if type(request).__name__ == "TryRequest" else stub.Compensate
            await rpc(request)

    async def exchange() -> None:
        async for _ in stub.Exchange(once(exchange_of(*requests[:half]))):
            pass

    await asyncio.gather(unary(), exchange())
    deeds = Counter((saga, "undone" if deed == "undo" else "done") for saga, _, deed in effects(db_path))
    for saga in {saga for saga, _ in deeds}:
        assert deeds[saga, "done"] == deeds[saga, "undone"] == 1


async def test_p5_a_late_try_over_a_connection_is_rejected(stub: Any, db_path: Path) -> None:
    await stub.Compensate(compensate_request(action="plain"))
    response = await stub.Try(try_request(action="plain"))
    assert response.rejected.reason == "ALREADY_COMPENSATED"
    assert effects(db_path) == []
