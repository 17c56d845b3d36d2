"""The bus is away, forgets, or cannot be used; and relays that take each other's place."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amends._bus.interface import BusError
from amends._bus.nats import stream
from amends._bus.nats.address import read_address
from amends.errors import StartError
from tests.bus.nats_server import NatsServer, running
from tests.choreography.shop import Shop
from tests.choreography.stage import Stage, staged


async def test_a_broker_that_is_down_longer_than_its_duplicate_window(
    nats: NatsServer, nats_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the events, forgets their ids, and takes them once more: the inbox knows them."""
    monkeypatch.setattr(stream, "_DUPLICATE_WINDOW_S", 0.1)
    await nats.api(
        "STREAM.UPDATE.AMENDS", dict(stream.config_of(read_address(nats.url())), duplicate_window=100_000_000)
    )
    await nats_stage.start_others("inventory")
    killed = await nats_stage.child("inventory", point="published")
    await nats_stage.place_both()
    await killed.says("at published")
    await killed.kill()
    await nats.kill()
    await nats.start()
    await nats_stage.child("inventory")
    await nats_stage.both_end()
    copies = Counter(message.id for message in nats_stage.watch.messages)
    assert max(copies.values()) == 2, "it has taken some twice"
    assert await nats_stage.violations() == []


async def test_a_broker_that_is_killed_and_restarted_while_sagas_run(
    nats: NatsServer, nats_stage: Stage
) -> None:
    await nats_stage.start()
    await nats_stage.place("early", "reject:ship")
    await nats_stage.watch.until_told("early", "inventory.reserve succeeded")
    await nats.kill()
    await nats_stage.place_both()
    await nats.start()
    await nats_stage.turned_back("early", "shipping")
    await nats_stage.both_end()
    assert await nats_stage.violations() == []


async def test_a_consumer_that_is_disconnected_during_a_fetch(nats_stage: Stage) -> None:
    await nats_stage.start()
    await nats_stage.place("before")
    await nats_stage.completed("before")
    for service in nats_stage.services.values():
        line = service._bus._connection.line()  # type: ignore[attr-defined]
        line.session._client._transport._io_writer.transport.abort()
    await nats_stage.place_both()
    await nats_stage.both_end()
    assert await nats_stage.violations() == []


async def test_a_broker_that_is_down_at_start(
    nats: NatsServer, nats_stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The service starts, works, keeps its outbox, and says so; the rest follows when the broker is there."""
    await nats_stage.start()  # once, so that the broker knows who is to receive what
    await nats_stage.stop()
    await nats.stop()
    await nats_stage.start()
    await nats_stage.place_both()
    assert any("cannot be reached" in line and "events are kept" in line for line in caplog.messages)
    assert nats_stage.ask("orders", "SELECT sent_at FROM amends_outbox") == [(None,), (None,)]
    await nats.start()
    await nats_stage.both_end()
    assert await nats_stage.violations() == []


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A server that wants to know who comes."""
    settings = 'authorization { user: "shop", password: "secret" }'
    async with running(tmp_path / "nats", settings=settings) as server:
        yield server


async def test_a_broker_that_refuses_credentials(guarded: NatsServer, tmp_path: Path) -> None:
    url = guarded.url().replace("nats://", "nats://shop:wrong@")
    service = Shop(bus=url, folder=tmp_path).make("inventory")
    with pytest.raises(BusError, match=r"refuses the credentials.*put USER:PASSWORD@") as told:
        await service.start()
    assert "wrong" not in str(told.value)
    assert repr(service).endswith("closed>")


async def test_a_service_that_cannot_start_says_why_in_one_line_and_exits_with_status_1(
    guarded: NatsServer, tmp_path: Path
) -> None:
    async with staged(f"sqlite:///{tmp_path / 'bus.db'}", tmp_path) as stage:
        stage.shop.bus = guarded.url()
        with pytest.raises(AssertionError, match=r"inventory: .* refuses the credentials"):
            await stage.child("inventory")
        assert await stage.children[0].process.wait() == 1
        assert len(stage.children[0].said) == 1


async def test_a_stream_with_the_wrong_retention(nats: NatsServer, tmp_path: Path) -> None:
    wrong = {"name": "AMENDS", "subjects": ["AMENDS.>"], "retention": "workqueue", "storage": "file"}
    await nats.api("STREAM.CREATE.AMENDS", wrong)
    service = Shop(bus=nats.url(), folder=tmp_path).make("inventory")
    with pytest.raises(BusError, match=r"retention policy is 'workqueue'.*must be 'limits'.*stream rm"):
        await service.start()


async def test_two_services_that_claim_one_name(bus_url: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    mine = Shop(bus=bus_url, folder=tmp_path).make("inventory")
    other = Shop(bus=bus_url, folder=tmp_path / "other").make("inventory")
    async with mine:
        with pytest.raises(StartError, match="the name 'inventory' is used by a service with another store"):
            await other.start()
    assert repr(other).endswith("closed>")


async def test_two_processes_of_one_service_share_its_name(bus_url: str, tmp_path: Path) -> None:
    shop = Shop(bus=bus_url, folder=tmp_path)
    async with shop.make("inventory"), shop.make("inventory"):
        pass


async def test_two_relays_of_which_one_is_stopped_past_its_lease(stage: Stage) -> None:
    """The first is stopped with rows in its hands; the second publishes them, and the first can mark none."""
    await stage.start_others("inventory")
    first = await stage.child("inventory", point="publish")
    await stage.place_both()
    await first.says("at publish")
    await stage.freeze(first, "inventory")
    await stage.child("inventory")
    await stage.both_end()
    owners = "SELECT DISTINCT owner FROM amends_relay"
    marked = "SELECT number, sent_at, bus_sequence FROM amends_outbox"
    taken_over, before = stage.ask("inventory", owners), stage.ask("inventory", marked)
    assert len(taken_over) == 1
    first.thaw()
    first.go()
    assert await first.stop() == 0
    assert stage.ask("inventory", marked) == before
    assert await stage.violations() == []
