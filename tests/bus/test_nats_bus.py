"""The bus on NATS: its address, its stream, its credentials, and what is special to its messages."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from amends._bus.interface import (
    BusError,
    BusUnavailableError,
    Delivery,
    Message,
    MessageRefusedError,
    Receipt,
)
from amends._bus.nats import NatsBus, session, stream
from amends._bus.nats.address import read_address
from amends._bus.nats.session import delivery_of
from amends._bus.nats.stream import config_of, faults_of
from amends._bus.opening import bus_at
from amends.errors import UsageError
from tests.bus.messages import PAID, PLACED, by_key, consume, ids, keys_apart, message, publish, take
from tests.bus.nats_accounts import accounts
from tests.bus.nats_server import NatsServer, running
from tests.bus.test_nats_outages import opened

# The address


def test_an_address_names_servers_stream_and_access() -> None:
    address = read_address("nats://ann:p%40ss@one,two:4333,[::1]/ORDERS")
    assert address.hosts == ("one:4222", "two:4333", "[::1]:4222")
    assert address.servers == ["nats://one:4222", "nats://two:4333", "nats://[::1]:4222"]
    assert (address.stream, address.user, address.password) == ("ORDERS", "ann", "p@ss")


def test_a_token_stands_alone_before_the_host() -> None:
    address = read_address("tls://s3cret@host")
    assert (address.token, address.user, address.tls, address.stream) == ("s3cret", None, True, "AMENDS")


@pytest.mark.parametrize("url", ["nats://ann:s3cret@host", "nats://s3cret@host"])
def test_a_bus_never_shows_its_password(url: str) -> None:
    bus = bus_at(url)
    shown = f"{bus!r} {bus.url} {read_address(url)!r} {read_address(url)}"
    assert "s3cret" not in shown
    assert bus.url == "nats://host:4222/AMENDS"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("nats://", "HOST"),
        ("nats://ann:s3cret@:4222", "HOST"),
        ("nats://host:port", "HOST:PORT"),
        ("nats://host/a.b", "letters, digits"),
        ("nats://host/A?replicas=3", "'replicas'"),
        ("nats://host/A#part", "'part'"),
        ("nats://host?creds=/nowhere/at.all", "no such file"),
    ],
)
def test_a_malformed_address_is_refused_without_its_password(url: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        bus_at(url)
    assert complaint in str(caught.value)
    assert "s3cret" not in str(caught.value)


async def test_without_the_client_of_nats_the_bus_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['nats'] = None; "
        "from amends._bus.opening import bus_at; bus_at('nats://host')"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stderr=PIPE)
    _, errors = await process.communicate()
    assert b'UsageError: a bus on NATS needs the package nats-py: pip install "amends[nats]"' in errors


# The stream


async def test_the_stream_is_made_as_it_has_to_be(nats: NatsServer) -> None:
    async with opened(nats.url("ORDERS")):
        config = (await nats.api("STREAM.INFO.ORDERS"))["config"]
    assert (
        config.items()
        >= {
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "max_age": 7 * 24 * 3600 * 10**9,
            "subjects": ["orders.>"],
        }.items()
    )
    assert config["metadata"]["amends-partitions"] == str(stream.PARTITIONS)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"retention": "workqueue"}, "nats stream rm AMENDS"),
        ({"retention": "interest"}, "nats stream rm AMENDS"),
        ({"storage": "memory"}, "nats stream rm AMENDS"),
        ({"discard": "old"}, "nats stream edit AMENDS --discard new"),
        ({"max_age": 3600 * 10**9}, "nats stream edit AMENDS --max-age 168h"),
        ({"max_age": 0}, "nats stream edit AMENDS --max-age 168h"),
        ({"max_msgs_per_subject": 1}, "--max-msgs-per-subject=-1"),
        ({"max_consumers": 10}, "nats stream rm AMENDS"),
        ({"subjects": ["amends.1.>"]}, "--subjects 'amends.>'"),
        ({"metadata": {}}, f"--metadata amends-partitions={stream.PARTITIONS}"),
        ({"metadata": {"amends-partitions": "0"}}, f"--metadata amends-partitions={stream.PARTITIONS}"),
        ({"no_ack": True}, "--ack"),
    ],
)
async def test_a_stream_that_would_lose_something_is_refused_with_what_to_change(
    nats: NatsServer, change: dict[str, Any], advice: str
) -> None:
    await nats.api("STREAM.CREATE.AMENDS", config_of(read_address(nats.url())) | change)
    bus = NatsBus(nats.url())
    with pytest.raises(BusError) as caught:
        await bus.open()
    assert advice in str(caught.value)
    assert nats.address in str(caught.value)
    (result,) = await bus.publish([message(1)])
    assert isinstance(result, BusUnavailableError)


@pytest.mark.parametrize(
    "change", [{"mirror": {"name": "OTHER"}}, {"sources": [{"name": "OTHER"}]}, {"sealed": True}]
)
def test_a_stream_that_others_feed_or_that_is_sealed_is_at_fault(change: dict[str, Any]) -> None:
    address = read_address("nats://host")
    (fault,) = faults_of(config_of(address) | change, address)
    assert "nats stream rm AMENDS" in fault


async def test_the_partitions_are_those_of_the_stream(nats: NatsServer) -> None:
    config = config_of(read_address(nats.url())) | {"metadata": {"amends-partitions": "3"}}
    await nats.api("STREAM.CREATE.AMENDS", config)
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        sent = [message(n, key=f"order-{n % 9}") for n in range(40)]
        await publish(bus, *sent)
        assert by_key(await consume(subscription, 40)) == by_key(sent)
    names = (await nats.api("CONSUMER.NAMES.AMENDS"))["consumers"]
    assert sorted(names) == ["payments-0", "payments-1", "payments-2"]


async def test_services_that_start_together_make_the_stream_once(nats: NatsServer) -> None:
    buses = [NatsBus(nats.url()) for _ in range(5)]
    await asyncio.gather(*(bus.open() for bus in buses))
    await asyncio.gather(*(bus.subscribe("payments", [PLACED]) for bus in buses))
    await publish(buses[0], message(1))
    for bus in buses:
        await bus.close()
    assert (await nats.api("STREAM.INFO.AMENDS"))["state"]["messages"] == 1


async def test_a_server_without_jetstream_is_away_and_says_what_to_start(tmp_path: Path) -> None:
    async with running(tmp_path / "nats") as server:
        await server.stop()
        config = tmp_path / "nats" / "nats-server.conf"
        config.write_text(f'listen: "{server.address}"')
        await server.start()
        async with opened(server.url()) as bus:
            (result,) = await bus.publish([message(1)])
            assert "nats-server -js" in str(result)


# Credentials


@pytest.mark.parametrize(
    ("settings", "right", "wrong"),
    [
        ('authorization { user: "ann", password: "s3cret/@:" }', "ann:s3cret%2F%40%3A@", "ann:n0t@"),
        ('authorization { token: "s3cret" }', "s3cret@", "n0t@"),
    ],
)
async def test_credentials_let_in_or_are_refused(
    tmp_path: Path, settings: str, right: str, wrong: str
) -> None:
    async with running(tmp_path / "nats", settings=settings) as server:
        async with opened(f"nats://{right}{server.address}") as bus:
            await publish(bus, message(1))
        for access in (wrong, ""):
            with pytest.raises(BusError, match="refuses the credentials") as caught:
                await NatsBus(f"nats://{access}{server.address}").open()
            assert "n0t" not in str(caught.value)


async def test_a_file_of_credentials_lets_in_or_is_refused(tmp_path: Path) -> None:
    settings, credentials = accounts()
    (tmp_path / "right.creds").write_text(credentials)
    (tmp_path / "others.creds").write_text(accounts()[1])
    (tmp_path / "no.creds").write_text("nothing of the kind\n")
    async with running(tmp_path / "nats", settings=settings) as server:
        async with opened(f"{server.url()}?creds={tmp_path}/right.creds") as bus:
            await publish(bus, message(1))
        with pytest.raises(BusError, match="refuses the credentials"):
            await NatsBus(f"{server.url()}?creds={tmp_path}/others.creds").open()
        with pytest.raises(BusError, match=r"no\.creds cannot be used"):
            await NatsBus(f"{server.url()}?creds={tmp_path}/no.creds").open()


async def test_a_server_that_does_not_encrypt_is_told_no_password(nats: NatsServer) -> None:
    with pytest.raises(BusError, match="does not encrypt"):
        await NatsBus(f"tls://ann:s3cret@{nats.address}").open()


async def test_a_stream_that_may_not_be_used_is_away_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ANSWER_TIMEOUT_S", 0.5)
    settings = """
    authorization { users = [{
        user: "ann", password: "x", permissions: { publish: { deny: "$JS.API.STREAM.CREATE.>" } }
    }] }
    """
    async with (
        running(tmp_path / "nats", settings=settings) as server,
        opened(f"nats://ann:x@{server.address}") as bus,
    ):
        (result,) = await bus.publish([message(1)])
        assert isinstance(result, BusUnavailableError)
        assert "permissions violation" in str(result)


# Messages


async def test_the_largest_message_is_the_servers_to_say(tmp_path: Path) -> None:
    async with running(tmp_path / "nats", settings="max_payload: 65536") as server:
        bus = NatsBus(server.url())
        before = bus.max_bytes
        await bus.open()
        assert (before, bus.max_bytes) == (1024 * 1024 - 8192, 65536 - 8192)
        refused, taken = await bus.publish(
            [message(1, data=b"x" * 65536), message(1, key="k", data=b"x" * (bus.max_bytes - 200))]
        )
        await bus.close()
    assert isinstance(refused, MessageRefusedError)
    assert "65536 at most" in str(refused)
    assert isinstance(taken, Receipt)


async def test_the_largest_message_may_be_the_streams_to_say(nats: NatsServer) -> None:
    config = config_of(read_address(nats.url())) | {"max_msg_size": 20000}
    await nats.api("STREAM.CREATE.AMENDS", config)
    async with opened(nats.url()) as bus:
        assert bus.max_bytes == 20000 - 8192
        await nats.api("STREAM.UPDATE.AMENDS", config | {"max_msg_size": 1000})
        # Which the bus has not heard of.
        (refused,) = await bus.publish([message(1, data=b"x" * 2000)])
    assert isinstance(refused, MessageRefusedError)


async def test_a_full_stream_takes_nothing_and_drops_nothing(nats: NatsServer) -> None:
    await nats.api("STREAM.CREATE.AMENDS", config_of(read_address(nats.url())) | {"max_msgs": 2})
    async with opened(nats.url()) as bus:
        results = await bus.publish([message(n, key=f"order-{n}") for n in range(4)])
        read = [one async for page in bus.read(0, follow=False) for one in page]
    assert len([one for one in results if isinstance(one, BusUnavailableError)]) == 2
    assert len(read) == 2


async def test_a_subject_with_an_empty_part_is_refused(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        (result,) = await bus.publish([message(1, subject="shop..Placed")])
        assert isinstance(result, MessageRefusedError)
        with pytest.raises(MessageRefusedError, match="empty part"):
            await bus.subscribe("payments", ["shop..Placed"])


async def test_a_subject_may_have_what_means_something_to_nats(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        odd = "shop.a b*>%é.$x"
        subscription = await bus.subscribe("payments", [odd])
        sent = message(1, subject=odd)
        await publish(bus, sent, message(2, subject="shop.other"))
        assert await consume(subscription, 1) == [sent]


async def test_a_name_that_is_too_long_is_refused(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        with pytest.raises(BusError, match="too long"):
            await bus.subscribe("p" * 201, [PLACED])


async def test_a_repeated_id_is_a_duplicate_within_the_window_and_none_after_it(nats: NatsServer) -> None:
    config = config_of(read_address(nats.url())) | {"duplicate_window": 100_000_000}
    await nats.api("STREAM.CREATE.AMENDS", config)
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        (first,) = await bus.publish([message(1)])
        again = first
        async with asyncio.timeout(20):
            while again == first or (isinstance(again, Receipt) and again.duplicate):
                (again,) = await bus.publish([message(1)])
                await asyncio.sleep(0.05)
        assert isinstance(first, Receipt)
        assert isinstance(again, Receipt)
        assert again.sequence == first.sequence + 1
        assert ids(await consume(subscription, 2)) == ["shop/order-1-1", "shop/order-1-1"]


async def test_a_repeated_id_in_the_window_is_told_to_be_a_duplicate(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        (first,) = await bus.publish([message(1)])
        (again,) = await bus.publish([message(1)])
    assert again == Receipt(stream="AMENDS", sequence=1, duplicate=True)
    assert first == Receipt(stream="AMENDS", sequence=1)


async def test_what_others_publish_without_our_headers_is_received(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        subscription = await bus.subscribe("payments", [PLACED])
        async with nats.session() as other:
            headers = {"Ce-Id": "7", "Nats-Expected-Stream": "AMENDS"}
            await other.request(f"amends.5.{PLACED}", b"data", headers)
            await other.request(f"amends.5.{PLACED}", b"")
        first, second = await consume(subscription, 2)
    assert first == Message(id="1", key="", subject=PLACED, headers={"ce-id": "7"}, data=b"data")
    assert second == Message(id="2", key="", subject=PLACED, headers={}, data=b"")


async def test_a_subject_of_another_stream_is_not_taken_for_ours(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        config = config_of(read_address(nats.url()))
        await nats.api("STREAM.UPDATE.AMENDS", config | {"subjects": ["elsewhere.>"]})
        await nats.api("STREAM.CREATE.OTHER", {"name": "OTHER", "subjects": ["amends.>"]})
        (result,) = await bus.publish([message(1)])
    assert isinstance(result, BusUnavailableError)
    assert "OTHER" in str(result)


async def test_a_consumer_begins_where_its_first_partition_did_though_it_was_interrupted(
    nats: NatsServer,
) -> None:
    """A process that dies after the first of its consumers leaves no gap in the others."""
    async with opened(nats.url()) as bus:
        await publish(bus, message(0, key="before"))
        await (await bus.subscribe("payments", [PLACED])).close()
        for partition in range(1, stream.PARTITIONS):
            await nats.api(f"CONSUMER.DELETE.AMENDS.payments-{partition}")
        sent = [message(1, key=key) for key in keys_apart(5)]
        await publish(bus, *sent)
        subscription = await bus.subscribe("payments", [PLACED])
        assert sorted(ids(await consume(subscription, 5))) == sorted(ids(sent))


async def test_a_consumer_of_one_subject_is_widened(nats: NatsServer) -> None:
    async with opened(nats.url()) as bus:
        await (await bus.subscribe("payments", [PLACED])).close()
        subscription = await bus.subscribe("payments", [PAID])
        await publish(bus, message(1, subject=PAID))
        deliveries: list[Delivery] = await take(subscription, 1)
        assert ids(deliveries) == ["shop/order-1-1"]
    config = (await nats.api("CONSUMER.INFO.AMENDS.payments-0"))["config"]
    assert config["filter_subjects"] == [f"amends.0.{PLACED}", f"amends.0.{PAID}"]


def test_both_forms_of_the_subject_that_acknowledges_are_read() -> None:
    assert delivery_of("$JS.ACK.AMENDS.payments-1.3.17.5.1700000000.0") == (17, 3)
    assert delivery_of("$JS.ACK._.hash.AMENDS.payments-1.3.17.5.1700000000.0.token") == (17, 3)
