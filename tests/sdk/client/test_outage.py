"""What a client does while its coordinator is away, full, or restarting."""

import asyncio
import logging

import pytest

import amends
from amends import Client, Definition, EventKind
from amends._client._outage import Outage
from amends._ids import is_id
from amends.errors import Overloaded, Unavailable
from amends.v1 import event_pb2
from tests.addresses import free_address
from tests.sdk.client.fake_coordinator import FakeCoordinator, FakeServer, overloaded, unavailable


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    return free_address()


async def test_refused_connection_says_what_to_do(nobody: str) -> None:
    """Where nobody listens, the error names the address and the command, with gRPC's own as its cause."""
    async with Client(nobody, patience=0) as client:
        with pytest.raises(Unavailable, match=f"nobody listens at {nobody}.*amends serve") as caught:
            await client.get("order-1")
    assert "Connection refused" in str(caught.value.__cause__)


async def test_a_failed_start_tells_the_id_to_start_again_with(nobody: str, order: Definition) -> None:
    """After a start without an answer the caller knows under which id the saga may run."""
    async with Client(nobody, patience=0) as client:
        with pytest.raises(Unavailable) as caught:
            await client.start(order)
    assert is_id(caught.value.metadata["saga_id"])


async def test_p10_start_outlasts_a_restart_and_starts_one_saga(
    server: FakeServer, client: Client, order: Definition
) -> None:
    """A start that finds the coordinator away is repeated under its id until it is back."""
    await server.stop()
    starting = asyncio.create_task(client.start(order, saga_id="order-1"))
    await asyncio.sleep(0)
    await server.start()
    assert (await starting).id == "order-1"
    assert list(server.coordinator.sagas) == ["order-1"]


async def test_p10_run_resumes_after_a_restart(server: FakeServer, client: Client, order: Definition) -> None:
    """A run that waits while the coordinator restarts goes on waiting for the same saga."""
    running = asyncio.create_task(client.run(order, saga_id="order-1"))
    await server.coordinator.called("StartSaga")
    await server.restart()
    await server.coordinator.called("StartSaga", times=2)
    await server.coordinator.complete("order-1")
    assert (await running).completed
    assert list(server.coordinator.sagas) == ["order-1"]


async def test_wait_resumes_after_a_restart(server: FakeServer, client: Client, order: Definition) -> None:
    """A wait outlasts a restart, and misses nothing that happened meanwhile."""
    await client.start(order, saga_id="order-1")
    waiting = asyncio.create_task(client.wait("order-1"))
    await server.coordinator.called("WatchSaga")
    await server.stop()
    await server.coordinator.complete("order-1")
    await server.start()
    assert (await waiting).completed


async def test_watch_resumes_by_sequence_after_a_restart(
    server: FakeServer, client: Client, order: Definition
) -> None:
    """Across a restart every event comes once and in order."""
    await client.start(order, saga_id="order-1")
    seen = []
    async for event in client.watch("order-1"):
        seen.append(event.sequence)
        if event.kind is EventKind.SAGA_STARTED:
            await server.stop()
            await server.coordinator.append("order-1", step_succeeded=event_pb2.StepSucceeded(step="reserve"))
            await server.start()
        elif event.kind is EventKind.STEP_SUCCEEDED:
            await server.restart()
            await server.coordinator.complete("order-1")
    assert seen == [1, 2, 3]


async def test_silent_watch_is_renewed(
    client: Client, coordinator: FakeCoordinator, order: Definition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch that hears nothing for long looks whether the coordinator is there, and goes on."""
    monkeypatch.setattr("amends._client._watch.SEGMENT", 0.05)
    await client.start(order, saga_id="order-1")
    events = client.watch("order-1", after=1)
    waiting = asyncio.ensure_future(anext(events))
    await coordinator.called("WatchSaga", times=3)
    await coordinator.complete("order-1")
    assert (await waiting).kind is EventKind.SAGA_COMPLETED
    await events.aclose()


async def test_left_watch_ends_its_call(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """Who stops iterating leaves no stream open."""
    await client.start(order, saga_id="order-1")
    events = client.watch("order-1")
    await anext(events)
    await events.aclose()
    await coordinator.left.wait()


async def test_watch_can_be_cancelled_while_the_coordinator_is_away(nobody: str) -> None:
    """Who gives up waiting is not kept by a client that goes on trying."""
    async with Client(nobody) as client:
        watching = asyncio.ensure_future(anext(client.watch("order-1")))
        await asyncio.sleep(0.01)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching


async def test_overload_is_waited_out(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """A coordinator that is full is asked again, as often as it takes."""
    coordinator.failures = [overloaded(0.01), overloaded(0.01)]
    assert (await client.start(order, saga_id="order-1")).id == "order-1"
    assert coordinator.calls == ["StartSaga"] * 3


async def test_advice_longer_than_patience_is_told_at_once(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """Where the coordinator asks for a longer wait than the client has, the caller learns how long."""
    coordinator.failures = [overloaded(0.9)]
    async with Client(client._line.target, patience=0.5) as hasty:
        with pytest.raises(Overloaded) as caught:
            await hasty.start(order)
    assert caught.value.retry_after == pytest.approx(0.9)


async def test_what_is_not_repeatable_is_repeated_only_if_nothing_happened(
    client: Client, coordinator: FakeCoordinator, order: Definition
) -> None:
    """A resolve is sent again after the coordinator's own word that it did nothing."""
    await client.start(order, saga_id="order-1")
    coordinator.failures = [unavailable()]
    await client.resolve("order-1", "charge", "NO_EFFECT", reason="checked")
    assert coordinator.calls == ["StartSaga", "ResolveStep", "ResolveStep"]


async def test_what_is_not_repeatable_is_not_repeated_blindly(nobody: str) -> None:
    """A resolve without an answer may have happened, so the operator decides."""
    async with Client(nobody, patience=60) as client:
        with pytest.raises(Unavailable):
            await client.resolve("order-1", "charge", "NO_EFFECT", reason="checked")


async def test_definite_errors_are_not_repeated(client: Client, coordinator: FakeCoordinator) -> None:
    """An error that a repetition cannot mend is raised at once."""
    with pytest.raises(amends.NotFound):
        await client.get("nobody")
    assert coordinator.calls == ["GetSaga"]


async def test_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the log learns that a client waits, for what, and how long; but not again and again."""
    outage = Outage(patience=7)
    with caplog.at_level(logging.WARNING, "amends.client"):
        outage.next_wait(Unavailable("nobody listens"))
        outage.next_wait(Unavailable("nobody listens"))
    assert caplog.messages == ["nobody listens; trying again for up to 7 s"]


async def test_outage_waits_are_bounded_and_respect_advice() -> None:
    """Waits grow up to their bound; the coordinator's advice is the least wait."""
    outage = Outage(patience=1e9)
    assert all(outage.next_wait(Unavailable("gone")) <= 2.0 for _ in range(100))
    assert outage.next_wait(Overloaded("full", retry_after=5.0)) >= 5.0


async def test_outage_ends_with_patience() -> None:
    """When no wait is left in the client's patience, the error is raised."""
    outage = Outage(patience=0.5)
    outage.next_wait(Unavailable("gone"))
    with pytest.raises(Unavailable):
        outage.next_wait(Unavailable("gone", retry_after=1))


async def test_answer_renews_patience() -> None:
    """Two short outages are not one long one."""
    now = asyncio.get_running_loop().time()
    outage = Outage(patience=0.5)
    outage.next_wait(Unavailable("gone"))
    outage._until = now - 1  # as if it had been long ago
    outage.over()
    outage.next_wait(Unavailable("gone"))
