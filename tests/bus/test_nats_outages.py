"""The bus on NATS while its server is away, comes back, or loses what it was given."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from amends._bus.interface import BusError, BusUnavailableError, Message, Receipt, Verdict
from amends._bus.nats import NatsBus, consuming, reading, requests, session, stream
from tests.bus.messages import (
    PAID,
    PATIENCE_S,
    PLACED,
    by_key,
    consume,
    ids,
    keys_apart,
    message,
    publish,
    settle,
    take,
    working,
)
from tests.bus.nats_server import NatsServer
from tests.bus.patience import shorten_leases


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[NatsBus]:
    bus = NatsBus(url)
    await bus.open()
    try:
        yield bus
    finally:
        await bus.close()


async def publish_until_taken(bus: NatsBus, messages: Sequence[Message]) -> None:
    """Publishes as a relay does: what was not taken is published again, in its order."""
    left = list(messages)
    async with asyncio.timeout(PATIENCE_S):
        while left:
            results = await bus.publish(left)
            assert all(isinstance(one, Receipt | BusUnavailableError) for one in results), results
            left = [one for one, result in zip(left, results, strict=True) if not isinstance(result, Receipt)]
            if left:
                await asyncio.sleep(0.05)


async def logged(caplog: pytest.LogCaptureFixture, level: int, part: str) -> None:
    """Waits for a line of the log."""

    def is_there() -> bool:
        return any(one.levelno == level and part in one.getMessage() for one in caplog.records)

    await until(is_there)


async def until(reached: Callable[[], bool]) -> None:
    """Waits for what nothing tells of when it happens."""
    async with asyncio.timeout(PATIENCE_S):
        while not reached():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)


async def test_a_fetch_goes_on_after_the_server_was_killed_and_started_again(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus, opened(nats.url()) as publisher:
        subscription = await bus.subscribe("payments", [PLACED])
        fetch = asyncio.create_task(take(subscription, 1))
        await publish(bus, message(1, subject=PAID))
        await nats.kill()
        await nats.start()
        await publish_until_taken(publisher, [message(2)])
        assert ids(await fetch) == ["shop/order-1-2"]


async def test_what_is_published_while_the_server_is_killed_is_there_once_it_is_back(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_leases(monkeypatch.setattr)
    sent = [message(n, key=f"order-{n % 10}") for n in range(400)]
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        publishing = asyncio.create_task(publish_until_taken(bus, sent))
        async with working(subscription) as taken:
            await taken.until(lambda: len(taken.all) > 20)
            await nats.kill()
            await nats.start()
            await publishing
            await taken.until(lambda: set(ids(taken.all)) == set(ids(sent)))
        read = [one async for page in bus.read(0, follow=False) for _, one in page]
        firsts = list({one.id: one for one in read}.values())
        assert by_key(firsts) == by_key(sent)


async def test_a_reader_that_follows_goes_on_after_the_server_was_killed(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        await publish(bus, message(1))
        pages = bus.read(0, follow=True)
        async with asyncio.timeout(PATIENCE_S):
            assert ids([one for _, one in await anext(pages)]) == ["shop/order-1-1"]
            following = asyncio.ensure_future(anext(pages))
            await nats.kill()
            await nats.start()
            await publish_until_taken(bus, [message(2)])
            assert ids([one for _, one in await following]) == ["shop/order-1-2"]
        await pages.aclose()  # type: ignore[attr-defined]


async def test_a_bus_opens_while_the_server_is_away_and_begins_when_it_comes(
    nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    await nats.stop()
    async with opened(nats.url()) as bus:
        await logged(caplog, logging.WARNING, "cannot be reached")
        (result,) = await bus.publish([message(1)])
        assert isinstance(result, BusUnavailableError)
        assert nats.address in str(result)
        with pytest.raises(BusUnavailableError, match="cannot be reached"):
            await anext(bus.read(0, follow=False))
        subscription = await bus.subscribe("payments", [PLACED])
        fetch = asyncio.create_task(take(subscription, 1))
        await nats.start()
        # The consumer is named a moment after the server is back, and receives what is published after that.
        number = 0
        while not fetch.done():
            await publish_until_taken(bus, [message(number, key=f"order-{number}")])
            number += 1
            await asyncio.wait([fetch], timeout=0.1)
        await fetch


async def test_settling_while_the_server_is_away_raises_nothing_and_the_message_comes_again(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_leases(monkeypatch.setattr)
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        await publish(bus, message(1))
        (delivery,) = await take(subscription, 1)
        await nats.kill()
        await settle(subscription, Verdict.ACK, delivery)
        await subscription.keep([delivery])
        await nats.start()
        (again,) = await take(subscription, 1)
        assert again.message == delivery.message


async def test_a_message_can_be_settled_after_the_connection_it_came_by_was_lost(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        await publish(bus, message(1), message(2))
        (delivery,) = await take(subscription, 1)
        await nats.stop()
        await nats.start()
        await publish_until_taken(bus, [message(3)])
        await settle(subscription, Verdict.ACK, delivery)
        assert ids(await consume(subscription, 2)) == ["shop/order-1-2", "shop/order-1-3"]


async def test_consumers_that_were_deleted_are_made_again_and_miss_nothing(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        keys = keys_apart(2)
        async with nats.session() as other:
            for partition in range(stream.PARTITIONS):
                await other.api(f"CONSUMER.DELETE.AMENDS.payments-{partition}")
        await publish(bus, *(message(1, key=key) for key in keys))
        assert by_key(await consume(subscription, 2)).keys() == set(keys)


async def test_a_consumer_whose_files_are_gone_is_made_again(nats: NatsServer) -> None:
    """So the server leaves one that is deleted while it is being made again."""
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        shutil.rmtree(nats.consumer_files("payments-0"))
        await nats.api("CONSUMER.DELETE.AMENDS.payments-1")  # which has all of them looked after
        keys = keys_apart(stream.PARTITIONS)
        await publish(bus, *(message(1, key=key) for key in keys))
        assert by_key(await consume(subscription, len(keys))).keys() == set(keys)


async def test_a_stream_that_was_deleted_is_made_again(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        await publish(bus, *(message(n) for n in range(5)))
        await consume(subscription, 5)
        await nats.api("STREAM.DELETE.AMENDS")
        await publish_until_taken(bus, [message(7)])
        assert ids(await consume(subscription, 1)) == ["shop/order-1-7"]


async def test_a_request_that_is_not_heard_of_is_made_again(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "_SILENCE_S", 0.0)
    monkeypatch.setattr(requests, "_CHECK_S", 0.05)
    send = session.Session.send
    swallowed = []

    async def swallow_the_first(
        self: session.Session, subject: str, data: bytes = b"", *, reply: str = "", **more: object
    ) -> None:
        if ".MSG.NEXT." in subject and len(swallowed) < stream.PARTITIONS:
            swallowed.append(subject)
        else:
            await send(self, subject, data, reply=reply, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(session.Session, "send", swallow_the_first)
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        await publish(bus, message(1))
        assert ids(await consume(subscription, 1)) == ["shop/order-1-1"]
    assert len(swallowed) == stream.PARTITIONS


async def test_a_request_that_has_ended_is_followed_by_the_next(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways: answered as often as it asked, and after its time."""
    short = requests._REQUEST.replace(b'"batch": 1000', b'"batch": 2').replace(b"120000000000", b"300000000")
    monkeypatch.setattr(requests, "_REQUEST", short.replace(b"15000000000", b"100000000"))
    monkeypatch.setattr(requests, "_BATCH", 2)
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        for n in range(7):
            await publish(bus, message(n))
            assert ids(await consume(subscription, 1)) == [f"shop/order-1-{n}"]
            await asyncio.sleep(0.1)  # so that some of the requests expire


async def test_a_reader_begins_anew_where_the_server_has_fallen_silent(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_SILENCE_S", 0.05)
    monkeypatch.setattr(reading, "_RETRY_S", 0.01)
    async with opened(nats.url()) as bus:
        pages = bus.read(0, follow=True)
        following = asyncio.ensure_future(anext(pages))
        await asyncio.wait([following], timeout=0.3)
        await publish(bus, message(1))
        async with asyncio.timeout(PATIENCE_S):
            assert ids([one for _, one in await following]) == ["shop/order-1-1"]
        await pages.aclose()  # type: ignore[attr-defined]


async def test_what_is_kept_is_given_to_nobody_else(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_leases(monkeypatch.setattr)
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        keys = keys_apart(2)
        await publish(bus, *(message(1, key=key) for key in keys))
        kept, dropped = await take(subscription, 2)
        again = asyncio.create_task(take(subscription, 1))
        while not again.done():
            await subscription.keep([kept])
            await asyncio.wait([again], timeout=0.1)
        assert ids(again.result()) == ids([dropped])


async def test_what_has_come_and_is_not_fetched_yet_is_kept(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_leases(monkeypatch.setattr)
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        keys = keys_apart(2)
        await publish(bus, *(message(1, key=key) for key in keys))
        (first,) = await take(subscription, 1)
        assert isinstance(subscription, consuming.NatsSubscription)
        # The one that was fetched and is not kept comes again; the other has waited for as long.
        gathered = subscription._gathered
        await until(lambda: first.sequence in gathered)
        found = {one.sequence: one.number for one in await take(subscription, 2)}
        assert found.pop(first.sequence) == 2
        assert list(found.values()) == [1]


async def test_a_subject_that_nobody_wants_any_more_is_offered_for_a_while_and_then_dropped(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(consuming, "_OFFERS_MAX", 3)
    monkeypatch.setattr(consuming, "_OFFER_PAUSE_S", 0.01)
    async with opened(nats.url()) as bus:
        await (await bus.subscribe("payments", [PLACED, PAID])).close()
        subscription = await bus.subscribe("payments", [PLACED])
        await publish(bus, message(1, subject=PAID), message(2))
        assert ids(await consume(subscription, 1)) == ["shop/order-1-2"]
        await logged(caplog, logging.WARNING, PAID)
        filters: list[str] = [PAID]
        async with asyncio.timeout(PATIENCE_S):
            while any(one.endswith(PAID) for one in filters):
                info = await nats.api(f"CONSUMER.INFO.AMENDS.payments-{stream.PARTITIONS - 1}")
                filters = info["config"].get("filter_subjects") or [info["config"]["filter_subject"]]
        assert filters == [f"amends.{stream.PARTITIONS - 1}.{PLACED}"]


async def test_credentials_that_are_refused_later_are_logged_as_an_error_and_tried_again(
    nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(nats.url()) as bus:
        await nats.stop()
        await nats.start_with('authorization { token: "s3cret" }')
        await logged(caplog, logging.ERROR, "refuses the credentials")
        (result,) = await bus.publish([message(1)])
        assert isinstance(result, BusUnavailableError)
        assert "refuses the credentials" in str(result)
        await nats.stop()
        await nats.start_with("")
        await publish_until_taken(bus, [message(1)])


async def test_a_wrong_stream_that_is_found_later_is_logged_as_an_error_and_never_used(
    nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    await nats.api(
        "STREAM.CREATE.AMENDS", {"name": "AMENDS", "subjects": ["amends.>"], "retention": "workqueue"}
    )
    await nats.stop()
    async with opened(nats.url()) as bus:
        await nats.start()
        await logged(caplog, logging.ERROR, "'workqueue'")
        (result,) = await bus.publish([message(1)])
        assert isinstance(result, BusUnavailableError)
        assert "nats stream rm AMENDS" in str(result)


async def test_consumers_that_cannot_be_had_are_logged_as_an_error_and_tried_again(
    nats: NatsServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "_RETRY_S", 0.05)
    async with opened(nats.url()) as bus:
        await publish(bus, message(1))
        await nats.api(
            "CONSUMER.CREATE.AMENDS.payments-1",
            {"stream_name": "AMENDS", "config": {"durable_name": "payments-1", "ack_policy": "none"}},
        )
        with pytest.raises(BusError, match="nats consumer rm AMENDS payments-1"):
            await bus.subscribe("payments", [PLACED])
        await nats.stop()
        subscription = await bus.subscribe("payments", [PLACED])
        await nats.start()
        await logged(caplog, logging.ERROR, "nats consumer rm AMENDS payments-1")
        await nats.api("CONSUMER.DELETE.AMENDS.payments-1")
        await publish_until_taken(bus, [message(2)])
        assert ids(await consume(subscription, 1)) == ["shop/order-1-2"]


async def test_closing_while_the_server_is_away_ends_at_once(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        fetch = asyncio.create_task(subscription.fetch(1))
        pages = bus.read(0, follow=True)
        following = asyncio.ensure_future(anext(pages))
        await nats.kill()
        await bus.close()
        with pytest.raises(RuntimeError, match="closed"):
            await fetch
        with pytest.raises(BusUnavailableError, match="closed"):
            await following
