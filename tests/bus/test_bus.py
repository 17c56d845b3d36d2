"""What every bus promises, checked on each: see amends/_bus/interface.py."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from amends._bus.interface import (
    Bus,
    BusError,
    BusUnavailableError,
    Message,
    MessageRefusedError,
    Receipt,
    Verdict,
)
from amends._bus.opening import bus_at
from tests.bus.conftest import OpenBus
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
from tests.bus.patience import shorten_leases

ROOT = Path(__file__).resolve().parents[2]


async def test_a_message_arrives_as_it_was_published(bus: Bus) -> None:
    sent = Message(
        id="größe/№ 7 %25",
        key="påmelding 7/ü",
        subject="shop.v1.OrderPlaced",
        headers={
            "ce-id": "a%20b",
            "content-type": "application/json; charset=utf-8",
            "traceparent": "00-1-2-01",
        },
        data=bytes(range(256)),
    )
    subscription = await bus.subscribe("audit", [sent.subject])
    await publish(bus, sent)
    (delivery,) = await take(subscription, 1)
    assert delivery.message == sent
    assert delivery.number == 1


async def test_a_message_without_data_and_headers_arrives(bus: Bus) -> None:
    sent = Message(id="1", key="", subject="Placed", headers={}, data=b"")
    subscription = await bus.subscribe("audit", ["Placed"])
    await publish(bus, sent)
    assert await consume(subscription, 1) == [sent]


async def test_sequence_numbers_begin_at_one_and_grow(bus: Bus) -> None:
    subscription = await bus.subscribe("audit", [PLACED])
    numbers = await publish(bus, *(message(n) for n in range(3)))
    assert numbers == [1, 2, 3]
    (delivery,) = await subscription.fetch(1)
    assert delivery.sequence == 1


async def test_a_consumer_receives_the_subjects_it_asked_for_and_no_others(bus: Bus) -> None:
    subscription = await bus.subscribe("payments", [PLACED, PAID])
    await publish(bus, message(1, subject="shop.Shipped"), message(2, subject=PAID), message(3))
    assert ids(await consume(subscription, 2)) == ["shop/order-1-2", "shop/order-1-3"]


async def test_every_consumer_receives_every_message(bus: Bus) -> None:
    names = ["payments", "shipping & more", "zahlungsausgänge.eu"]
    subscriptions = [await bus.subscribe(name, [PLACED]) for name in names]
    await publish(bus, message(1))
    for subscription in subscriptions:
        assert ids(await consume(subscription, 1)) == ["shop/order-1-1"]


async def test_two_processes_of_one_consumer_share_its_messages(open_bus: OpenBus) -> None:
    subscriptions = [await (await open_bus()).subscribe("payments", [PLACED]) for _ in range(2)]
    sent = [message(n, key=f"order-{n}") for n in range(40)]
    async with working(*subscriptions) as taken:
        await publish(await open_bus(), *sent)
        await taken.until(lambda: len(taken.all) >= len(sent))
    assert sorted(ids(taken.all)) == sorted(ids(sent))


async def test_messages_of_a_key_come_in_the_order_of_publishing(bus: Bus) -> None:
    subscription = await bus.subscribe("payments", [PLACED, PAID])
    sent = [
        message(n, key=f"order-{n % 7}", subject=PAID if n % 3 else PLACED, data=b"x" * (n * 37 % 500))
        for n in range(140)
    ]
    await publish(bus, *sent)
    assert by_key(await consume(subscription, len(sent))) == by_key(sent)


async def test_several_publishers_keep_the_order_of_their_keys(open_bus: OpenBus) -> None:
    subscription = await (await open_bus()).subscribe("payments", [PLACED])
    sent = {key: [message(n, key=key) for n in range(20)] for key in ("a", "b", "c")}
    buses = [await open_bus() for _ in sent]
    await asyncio.gather(
        *(publish(bus, *messages) for bus, messages in zip(buses, sent.values(), strict=True))
    )
    assert by_key(await consume(subscription, 60)) == sent


async def test_what_is_not_settled_and_what_follows_it_stay_with_one_process(open_bus: OpenBus) -> None:
    first, second = [await (await open_bus()).subscribe("payments", [PLACED]) for _ in range(2)]
    bus = await open_bus()
    keys = keys_apart(12)
    await publish(bus, message(1, key=keys[0]))
    fetches = {asyncio.ensure_future(take(one, 1)): one for one in (first, second)}
    async with asyncio.timeout(PATIENCE_S):
        done, waiting = await asyncio.wait(fetches, return_when=asyncio.FIRST_COMPLETED)
    for fetch in waiting:
        fetch.cancel()
        await asyncio.wait([fetch])
    (holder,) = [fetches[fetch] for fetch in done]
    others = [message(1, key=key) for key in keys[1:]]
    async with working(first, second) as taken:
        await publish(bus, message(2, key=keys[0]), message(3, key=keys[0]), *others)
        await taken.until(lambda: len([one for one in taken.all if one.key != keys[0]]) == len(others))
    elsewhere = second if holder is first else first
    assert keys[0] not in by_key(taken.by[elsewhere])


async def test_a_message_that_is_given_back_comes_again_and_counts(bus: Bus) -> None:
    subscription = await bus.subscribe("payments", [PLACED])
    await publish(bus, message(1))
    for number in (1, 2, 3):
        (delivery,) = await take(subscription, 1)
        assert delivery.number == number
        await settle(subscription, Verdict.NAK, delivery)


async def test_a_message_that_is_given_back_holds_back_those_after_it(bus: Bus) -> None:
    subscription = await bus.subscribe("payments", [PLACED])
    await publish(bus, *(message(n) for n in range(3)))
    deliveries = await take(subscription, 1)
    await settle(subscription, Verdict.NAK, deliveries[0], delay=0.05)
    assert ids(await consume(subscription, 3)) == [f"shop/order-1-{n}" for n in range(3)]


async def test_a_delay_holds_back_its_key_and_others_flow(bus: Bus) -> None:
    subscription = await bus.subscribe("payments", [PLACED])
    held_up, *others = keys_apart(6)
    await publish(bus, message(1, key=held_up), message(2, key=held_up))
    (delivery,) = await take(subscription, 1)
    await settle(subscription, Verdict.NAK, delivery, delay=3600)
    sent = [message(1, key=key) for key in others]
    await publish(bus, *sent)
    assert sorted(ids(await consume(subscription, 5))) == sorted(ids(sent))


async def test_a_terminated_message_never_comes_again_and_the_next_does(bus: Bus) -> None:
    subscription = await bus.subscribe("payments", [PLACED])
    await publish(bus, message(1), message(2), message(3))
    (delivery,) = await take(subscription, 1)
    await settle(subscription, Verdict.TERMINATE, delivery)
    assert ids(await consume(subscription, 2)) == ["shop/order-1-2", "shop/order-1-3"]


async def test_fetch_takes_no_more_than_it_is_asked_for(bus: Bus) -> None:
    subscription = await bus.subscribe("payments", [PLACED])
    await publish(bus, *(message(1, key=key) for key in keys_apart(6)))
    async with asyncio.timeout(PATIENCE_S):
        taken = [len(await subscription.fetch(2)), len(await subscription.fetch(1))]
    assert taken[0] in (1, 2)
    assert taken[1] == 1


async def test_a_fetch_that_is_cancelled_loses_nothing(bus: Bus) -> None:
    subscription = await bus.subscribe("payments", [PLACED])
    fetch = asyncio.create_task(subscription.fetch(10))
    await asyncio.sleep(0)
    fetch.cancel()
    await asyncio.wait([fetch])
    await publish(bus, message(1))
    assert ids(await consume(subscription, 1)) == ["shop/order-1-1"]


async def test_what_was_not_settled_goes_elsewhere_when_a_subscription_closes(
    open_bus: OpenBus,
) -> None:
    bus = await open_bus()
    first = await bus.subscribe("payments", [PLACED])
    sent = [message(1), message(2), message(1, key="another")]
    await publish(bus, *sent)
    await take(first, 1)
    second = await (await open_bus()).subscribe("payments", [PLACED])
    await first.close()
    assert by_key(await consume(second, 3)) == by_key(sent)


async def test_what_a_killed_process_had_taken_comes_again(
    open_bus: OpenBus, bus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_leases(monkeypatch.setattr)
    bus = await open_bus()
    await (await bus.subscribe("payments", [PLACED, PAID])).close()
    sent = [message(1, key=key) for key in keys_apart(3)]
    await publish(bus, *sent)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bus.child", bus_url, "payments", "3", stdout=PIPE, cwd=ROOT
    )
    try:
        assert child.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            taken = [(await child.stdout.readline()).decode().strip() for _ in range(4)]
    finally:
        child.kill()
        await child.communicate()
    assert sorted(taken[:3]) == sorted(ids(sent))
    subscription = await bus.subscribe("payments", [PLACED, PAID])
    again = await take(subscription, 3)
    assert sorted(ids(again)) == sorted(ids(sent))
    assert all(delivery.number > 1 for delivery in again)


async def test_a_consumer_receives_what_came_while_no_process_took_part(open_bus: OpenBus) -> None:
    bus = await open_bus()
    first = await bus.subscribe("payments", [PLACED])
    await publish(bus, message(1))
    await consume(first, 1)
    await first.close()
    await publish(bus, message(2))
    second = await (await open_bus()).subscribe("payments", [PLACED])
    assert ids(await consume(second, 1)) == ["shop/order-1-2"]


async def test_a_new_consumer_begins_with_what_comes_next(bus: Bus) -> None:
    await publish(bus, message(1))
    subscription = await bus.subscribe("late", [PLACED])
    await publish(bus, message(2))
    assert ids(await consume(subscription, 1)) == ["shop/order-1-2"]


async def test_a_consumer_may_want_more_later(open_bus: OpenBus) -> None:
    bus = await open_bus()
    first = await bus.subscribe("payments", [PLACED])
    await publish(bus, message(1))
    await first.close()
    second = await bus.subscribe("payments", [PLACED, PAID])
    await publish(bus, message(2, subject=PAID))
    assert ids(await consume(second, 2)) == ["shop/order-1-1", "shop/order-1-2"]


async def test_what_an_older_version_does_not_want_is_left_to_the_newer(open_bus: OpenBus) -> None:
    newer = await (await open_bus()).subscribe("payments", [PLACED, PAID])
    older = await (await open_bus()).subscribe("payments", [PLACED])
    sent = [message(n, key=f"order-{n}", subject=PAID) for n in range(4)]
    bus = await open_bus()
    unwanted = asyncio.create_task(older.fetch(10))
    await newer.close()
    newer = await bus.subscribe("payments", [PLACED, PAID])
    await publish(bus, *sent)
    assert sorted(ids(await consume(newer, 4))) == sorted(ids(sent))
    assert not unwanted.done()
    unwanted.cancel()
    await asyncio.wait([unwanted])


async def test_a_message_of_the_largest_size_is_taken(bus: Bus) -> None:
    subscription = await bus.subscribe("payments", [PLACED])
    sent = message(1, data=b"x" * (bus.max_bytes - 200))
    await publish(bus, sent)
    assert await consume(subscription, 1) == [sent]


async def test_a_message_that_is_too_large_is_refused_with_its_size_and_holds_up_its_key(bus: Bus) -> None:
    size = 2 * bus.max_bytes
    results = await bus.publish(
        [message(1), message(2, data=b"x" * size), message(3), message(1, key="another")]
    )
    assert isinstance(results[0], Receipt)
    assert isinstance(results[1], MessageRefusedError)
    assert str(size)[:3] in str(results[1])
    assert isinstance(results[2], BusUnavailableError)
    assert isinstance(results[3], Receipt)


async def test_publishing_again_harms_nothing(bus: Bus) -> None:
    await publish(bus, message(1))
    await publish(bus, message(1), message(2))
    pages = [page async for page in bus.read(0, follow=False)]
    found = [one.id for page in pages for _, one in page]
    assert list(dict.fromkeys(found)) == ["shop/order-1-1", "shop/order-1-2"]


async def test_everything_is_read_in_order_without_a_consumer(bus: Bus) -> None:
    sent = [message(n, key=f"order-{n % 5}") for n in range(600)]
    numbers = await publish(bus, *sent)
    read = [one async for page in bus.read(0, follow=False) for one in page]
    assert [number for number, _ in read] == sorted(numbers)
    assert dict(read) == dict(zip(numbers, sent, strict=True))


async def test_reading_goes_on_after_a_sequence_number(bus: Bus) -> None:
    await publish(bus, *(message(n) for n in range(5)))
    read = [one async for page in bus.read(3, follow=False) for one in page]
    assert ids([one for _, one in read]) == ["shop/order-1-3", "shop/order-1-4"]
    assert [page async for page in bus.read(5, follow=False)] == []


async def test_following_waits_for_more(bus: Bus) -> None:
    await publish(bus, message(1))
    pages = bus.read(0, follow=True)
    found: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        found += ids([one for _, one in await anext(pages)])
        following = asyncio.ensure_future(anext(pages))
        await publish(bus, message(2))
        found += ids([one for _, one in await following])
    await pages.aclose()  # type: ignore[attr-defined]
    assert found == ["shop/order-1-1", "shop/order-1-2"]


async def test_a_name_is_claimed_by_one_store_at_a_time(open_bus: OpenBus) -> None:
    first, second = await open_bus(), await open_bus()
    await first.claim("zahlung.eu", "store-1", 60)
    await second.claim("zahlung.eu", "store-1", 60)
    with pytest.raises(BusError, match=r"zahlung\.eu"):
        await second.claim("zahlung.eu", "store-2", 60)
    await second.claim("other", "store-2", 60)


async def test_a_claim_runs_out(bus: Bus) -> None:
    await bus.claim("payments", "store-1", 0.2)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await bus.claim("payments", "store-2", 60)
                break
            except BusError:
                await asyncio.sleep(0.05)
    with pytest.raises(BusError):
        await bus.claim("payments", "store-1", 60)


async def test_of_two_claims_at_once_one_holds(open_bus: OpenBus) -> None:
    buses = [await open_bus() for _ in range(4)]
    results = await asyncio.gather(
        *(bus.claim("payments", f"store-{n}", 60) for n, bus in enumerate(buses)), return_exceptions=True
    )
    assert [result for result in results if result is None] == [None]
    assert all(isinstance(result, BusError) for result in results if result is not None)


async def test_descriptions_of_services_are_kept_the_last_of_each(open_bus: OpenBus) -> None:
    bus = await open_bus()
    assert await bus.announced() == {}
    await bus.announce("payments", b"\x00old")
    await bus.announce("lieferung.größe", b"")
    await bus.announce("payments", b"\x00new")
    assert await (await open_bus()).announced() == {"payments": b"\x00new", "lieferung.größe": b""}


async def test_a_bus_that_is_not_open_is_away(bus_url: str) -> None:
    bus = bus_at(bus_url)
    (result,) = await bus.publish([message(1)])
    assert isinstance(result, BusUnavailableError)
    with pytest.raises(BusUnavailableError):
        await bus.claim("payments", "store-1", 60)


async def test_a_bus_that_was_closed_may_be_opened_again(bus: Bus) -> None:
    await bus.close()
    assert isinstance((await bus.publish([message(1)]))[0], BusUnavailableError)
    await bus.open()
    await bus.open()
    await publish(bus, message(1))


async def test_a_bus_without_subjects_is_never_sent_anything(bus: Bus) -> None:
    nothing = await bus.subscribe("nothing", [])
    something = await bus.subscribe("something", [PLACED])
    fetch = asyncio.create_task(nothing.fetch(1))
    await publish(bus, message(1))
    await consume(something, 1)
    assert not fetch.done()
    fetch.cancel()
    await asyncio.wait([fetch])


async def test_a_bus_tells_how_long_it_keeps_messages(bus: Bus) -> None:
    assert bus.retention == 7 * 24 * 3600
