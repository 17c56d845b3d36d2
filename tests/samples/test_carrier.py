"""The carrier: a gRPC service that knows nothing of Amends, on a real ledger."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from sample_services.carrier import ledger
from sample_services.carrier.__main__ import main
from sample_services.carrier.carrier_pb2 import BookRequest, CancelBookingRequest
from sample_services.carrier.carrier_pb2_grpc import CarrierStub, add_CarrierServicer_to_server
from sample_services.carrier.service import CarrierService
from sample_services.demo.processes import Process
from sample_services.demo.stage import ROOT, environment
from tests.addresses import free_address

CODE = grpc.StatusCode
PARCEL = {"order_ref": "order-1", "address": "Herengracht 1, Amsterdam, NL", "weight_grams": 500}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the ledger."""
    path = tmp_path / "carrier.db"
    ledger.make(path)
    return path


@pytest.fixture
def stub(path: Path) -> Iterator[CarrierStub]:
    """The carrier."""
    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool)
        add_CarrierServicer_to_server(CarrierService(path), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield CarrierStub(channel)
        server.stop(None).wait()


def book(stub: CarrierStub, key: str = "", **changed: Any) -> Any:
    metadata = [("idempotency-key", key)] if key else []
    return stub.Book(BookRequest(**{**PARCEL, **changed}), metadata=metadata, timeout=10)


def cancel(stub: CarrierStub, booking_id: str, key: str = "") -> Any:
    metadata = [("idempotency-key", key)] if key else []
    return stub.CancelBooking(CancelBookingRequest(booking_id=booking_id), metadata=metadata, timeout=10)


def test_a_parcel_is_booked_and_costs_by_weight(stub: CarrierStub, path: Path) -> None:
    booking = book(stub)
    assert (booking.booking_id, booking.tracking_code, booking.price_cents) == ("B-1", "ACME1", 505)
    (entry,) = ledger.read(path)
    assert (entry.order_ref, entry.price_cents, entry.cancelled) == ("order-1", 505, 0)


def test_a_booking_is_cancelled_and_refunded(stub: CarrierStub, path: Path) -> None:
    booking = book(stub)
    assert cancel(stub, booking.booking_id).refund_cents == booking.price_cents
    assert [entry.cancelled for entry in ledger.read(path)] == [1]


def test_calls_without_a_key_are_new_calls(stub: CarrierStub) -> None:
    assert book(stub).booking_id != book(stub).booking_id


def test_a_repeated_key_is_answered_as_before(stub: CarrierStub, path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        bookings = list(pool.map(lambda _: book(stub, "key"), range(8)))
    assert all(booking == bookings[0] for booking in bookings)
    refunds = [cancel(stub, bookings[0].booking_id, "another") for _ in range(2)]
    assert refunds[0] == refunds[1]
    assert [entry.cancelled for entry in ledger.read(path)] == [1]


def test_what_was_refused_is_judged_anew(stub: CarrierStub) -> None:
    with pytest.raises(grpc.RpcError):
        cancel(stub, "B-1", "key")
    book(stub)
    assert cancel(stub, "B-1", "key").refund_cents == 505


def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_a_key_for_another_request_is_refused(stub: CarrierStub, path: Path) -> None:
    book(stub, "key")
    code, why = refusal(lambda: book(stub, "key", weight_grams=501))
    assert (code, why) == (CODE.INVALID_ARGUMENT, "the idempotency-key came with another request before")
    assert refusal(lambda: cancel(stub, "B-1", "key"))[0] is CODE.INVALID_ARGUMENT
    assert len(ledger.read(path)) == 1


def test_an_address_that_is_not_served_is_refused(stub: CarrierStub, path: Path) -> None:
    code, why = refusal(lambda: book(stub, address="Base 1, South Pole, AQ"))
    assert (code, why) == (CODE.FAILED_PRECONDITION, "no parcel goes to AQ")
    assert ledger.read(path) == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"order_ref": ""}, "order_ref"),
        ({"order_ref": "a" * 201}, "order_ref"),
        ({"weight_grams": 0}, "weight_grams"),
        ({"weight_grams": 30_001}, "weight_grams"),
        ({"address": ""}, "address"),
        ({"address": "Herengracht 1"}, "address"),
    ],
)
def test_what_is_no_parcel_is_refused(stub: CarrierStub, changed: dict[str, Any], field: str) -> None:
    code, why = refusal(lambda: book(stub, **changed))
    assert code is CODE.INVALID_ARGUMENT
    assert why.startswith(f"{field} must be ")


def test_a_booking_that_there_is_not_cannot_be_cancelled(stub: CarrierStub) -> None:
    assert refusal(lambda: cancel(stub, "B-9")) == (CODE.NOT_FOUND, "there is no booking 'B-9'")


def test_a_booking_is_cancelled_once(stub: CarrierStub) -> None:
    book(stub)
    cancel(stub, "B-1")
    code, why = refusal(lambda: cancel(stub, "B-1"))
    assert (code, why) == (CODE.FAILED_PRECONDITION, "booking B-1 was cancelled before")


# As a program


@pytest.mark.processes
async def test_it_serves_with_reflection_until_it_is_asked_to_stop(tmp_path: Path) -> None:
    address, path = free_address(), tmp_path / "carrier.db"
    command = [sys.executable, "-m", "sample_services.carrier", "--listen", address]
    command += ["--store", f"sqlite:///{path}"]
    process = Process("carrier", command, log=tmp_path / "log", cwd=ROOT, env=environment())
    await process.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = CarrierStub(channel)
            assert (await stub.Book(BookRequest(**PARCEL), timeout=10)).booking_id == "B-1"  # type: ignore[misc]
            assert "acme.carrier.v1.Carrier" in await services(channel)
    finally:
        assert await process.stop() == 0
    assert len(ledger.read(path)) == 1


async def services(channel: grpc.aio.Channel) -> list[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="*")])
    async for response in stub.ServerReflectionInfo(asked, timeout=10):
        return [service.name for service in response.list_services_response.service]
    return []


def test_it_never_heard_of_amends() -> None:
    code = "import sys, sample_services.carrier.__main__; print([m for m in sys.modules if 'amends' in m])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_its_ledger_can_be_shown(
    stub: CarrierStub, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    book(stub)
    book(stub, order_ref="order-2")
    cancel(stub, "B-1")
    monkeypatch.setattr(sys, "argv", ["carrier", "--ledger", str(path)])
    assert main() == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["booking", "cents", "order"],
        ["B-1", "505", "cancelled", "order-1"],
        ["B-2", "505", "booked", "order-2"],
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ledger", "/no/such/file"], "carrier: there is no ledger /no/such/file"),
        (["--store", "sqlite:////no/such/folder/file"], "carrier: unable to open database file"),
        (["--store", "postgres://"], "--store is sqlite:///FILE, not postgres://"),
        (["--listen", "nowhere:port", "--store", "sqlite:///{tmp}/db"], "carrier: cannot listen at nowhere"),
    ],
)
def test_bad_input_is_named(words: list[str], said: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "sample_services.carrier",
        *(word.format(tmp=tmp_path) for word in words),
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode in (1, 2)
    assert said in ran.stderr
