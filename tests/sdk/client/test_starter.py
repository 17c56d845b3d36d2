"""Starting sagas at a high rate."""

import asyncio

import pytest

import amends
from amends import Client, Definition, SagaState
from amends._client import _starter
from tests.sdk.client.fake_coordinator import FakeCoordinator, FakeServer, overloaded


async def test_many_starts_share_messages(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """Starts that come together travel together, and each gets its own answer."""
    await client.register(order)
    async with client.starter() as starter:
        started = await asyncio.gather(*(starter.start("order", saga_id=f"order-{n}") for n in range(300)))
    assert [each.saga_id for each in started] == [f"order-{n}" for n in range(300)]
    assert {each.state for each in started} == {SagaState.RUNNING}
    assert sum(coordinator.batches) == 300
    assert len(coordinator.batches) < 30


async def test_start_can_wait_for_the_end(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """With a wait, the answer tells how the saga ended."""
    coordinator.auto_complete = True
    async with client.starter() as starter:
        started = await starter.start(order, wait=10)
    assert (started.state, started.turn_back) == (SagaState.COMPLETED, None)


async def test_one_failure_is_one_callers_own(client: Client, order: Definition) -> None:
    """A start that fails raises as it would alone, and the others go on."""
    async with client.starter() as starter:
        good, bad = await asyncio.gather(
            starter.start(order, saga_id="order-1"), starter.start("unknown"), return_exceptions=True
        )
    assert isinstance(good, amends.Started)
    assert isinstance(bad, amends.NotFound)


async def test_overloaded_start_is_sent_again(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """A coordinator that is full is asked again after the time it names."""
    coordinator.failures = [overloaded(0.01), overloaded(0.01)]
    async with client.starter() as starter:
        started = await starter.start(order, saga_id="order-1")
    assert started.saga_id == "order-1"
    assert coordinator.batches == [1, 1, 1]


async def test_p10_unanswered_starts_are_sent_again_after_a_restart(
    server: FakeServer, client: Client, order: Definition
) -> None:
    """Starts whose stream broke are repeated under their ids on the next stream."""
    async with client.starter() as starter:
        waiting = asyncio.create_task(starter.start(order, saga_id="order-1", wait=60))
        while not server.coordinator.sagas:
            await server.coordinator.called("StartSagas")
            await asyncio.sleep(0)
        await server.stop()
        other = asyncio.create_task(starter.start(order, saga_id="order-2"))
        await server.coordinator.complete("order-1")
        await server.start()
        assert (await waiting).state is SagaState.COMPLETED
        assert (await other).saga_id == "order-2"
    assert sorted(server.coordinator.sagas) == ["order-1", "order-2"]


async def test_starts_fail_when_patience_is_over(order: Definition, server: FakeServer) -> None:
    """Each start without an answer learns the id it may have started under."""
    await server.stop()
    async with Client(server.target, patience=0) as hasty, hasty.starter() as starter:
        with pytest.raises(amends.Unavailable, match="nobody listens") as caught:
            await starter.start(order, saga_id="order-1")
    assert caught.value.metadata["saga_id"] == "order-1"
    await server.start()


async def test_starter_outlives_a_failure(order: Definition, server: FakeServer) -> None:
    """After a failure the next start opens a new stream."""
    await server.stop()
    async with Client(server.target, patience=0) as hasty, hasty.starter() as starter:
        with pytest.raises(amends.Unavailable):
            await starter.start(order)
        await server.start()
        hasty._line._patience = 10  # the server may need a moment
        assert (await starter.start(order, saga_id="order-1")).saga_id == "order-1"


async def test_in_flight_starts_are_bounded(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """No more starts than the bound are without an answer."""
    async with client.starter(max_in_flight=4) as starter:
        await asyncio.gather(*(starter.start(order) for _ in range(20)))
    assert max(coordinator.batches) <= 4
    assert len(coordinator.sagas) == 20


async def test_messages_are_bounded_in_bytes(
    client: Client, coordinator: FakeCoordinator, order: Definition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large starts are spread over messages, and one that is larger than the bound goes alone."""
    monkeypatch.setattr(_starter, "MAX_BATCH_BYTES", 2_500)
    async with client.starter() as starter:
        await asyncio.gather(*(starter.start(order, "x" * 1_000) for _ in range(4)))
        await starter.start(order, "x" * 10_000)
    assert coordinator.batches == [2, 2, 1]


async def test_leaving_waits_for_answers(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """Starts still under way when the block ends are answered first."""
    async with client.starter() as starter:
        tasks = [asyncio.create_task(starter.start(order)) for _ in range(3)]
        await asyncio.sleep(0)
    assert len(await asyncio.gather(*tasks)) == 3


async def test_abandoned_start_frees_its_place(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """A start that its caller gave up leaves room for the next one once it is answered."""
    async with client.starter(max_in_flight=1) as starter:
        abandoned = asyncio.create_task(starter.start(order, saga_id="order-1"))
        await asyncio.sleep(0)
        abandoned.cancel()
        assert (await starter.start(order, saga_id="order-2")).saga_id == "order-2"


async def test_starter_outside_its_block_says_so(client: Client, order: Definition) -> None:
    """A starter has no stream before its block, nor after it."""
    starter = client.starter()
    with pytest.raises(RuntimeError, match="async with"):
        await starter.start(order)
    async with starter:
        await starter.start(order)
    with pytest.raises(RuntimeError, match="async with"):
        await starter.start(order)


async def test_leaving_with_an_exception_does_not_wait(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """An exception in the block ends what is under way, and whoever waits for it."""
    starter = client.starter()
    with pytest.raises(LookupError):  # noqa: PT012 # the block is what is tested
        async with starter:
            waiting = asyncio.create_task(starter.start(order, saga_id="order-1", wait=60))
            await coordinator.called("StartSagas")
            raise LookupError
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_leaving_with_an_exception_during_an_outage(server: FakeServer, order: Definition) -> None:
    """Nor does it matter that the coordinator is away."""
    await server.stop()
    async with Client(server.target) as client:
        starter = client.starter()
        with pytest.raises(LookupError):  # noqa: PT012 # the block is what is tested
            async with starter:
                waiting = asyncio.create_task(starter.start(order))
                await asyncio.sleep(0.02)
                raise LookupError
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await server.start()
