"""The door of the orders: what a customer is answered."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from amends._bus.interface import Message
from amends._choreography.cloudevent import CloudEvent
from amends._payload import pack
from sample_services.demo.choreographed.customer import Customer
from sample_services.demo.stage import ROOT
from sample_services.events import StockRefused
from sample_services.orders.door import Door
from sample_services.orders.ledger import BOOKKEEPING
from sample_services.orders.reactions import Orders, orders
from tests.addresses import free_address
from tests.samples.counter import ORDER


@asynccontextmanager
async def opened_door(ledger: Path) -> AsyncIterator[tuple[Orders, Customer]]:
    """An open door without a bus, and a customer at it."""
    built = orders("sqlite:///nowhere.db", f"sqlite:///{ledger}")
    await built.service.open()
    address = free_address()
    try:
        async with Door(built, address), Customer(address) as customer:
            yield built, customer
    finally:
        await built.service.stop()


@pytest.fixture
async def door(ledger: Path) -> AsyncIterator[Customer]:
    async with opened_door(ledger) as (_, customer):
        yield customer


def amounts(ledger: Path) -> list[int]:
    return [movement.amount for movement in BOOKKEEPING.read(ledger).movements]


async def test_an_order_that_is_answered_is_on_disk(door: Customer, ledger: Path) -> None:
    await door.place("order-1", ORDER)
    (placed,) = BOOKKEEPING.read(ledger).movements
    assert (placed.saga, placed.step, placed.amount) == ("order-1", "place", 1)


async def test_p10_the_same_order_again_is_the_same_order(door: Customer, ledger: Path) -> None:
    await door.place("order-1", ORDER)
    await door.place("order-1", ORDER)
    assert amounts(ledger) == [1]


async def test_p10_the_same_id_for_another_order_is_an_error(door: Customer, ledger: Path) -> None:
    await door.place("order-1", ORDER)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.place("order-1", replace(ORDER, quantity=3))
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert amounts(ledger) == [1]


async def test_an_id_of_another_form_is_an_error_that_says_so(door: Customer, ledger: Path) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.place("order 1", ORDER)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "saga_id" in (caught.value.details() or "")
    assert amounts(ledger) == []


async def test_an_order_that_has_been_cancelled_since_was_taken_all_the_same(ledger: Path) -> None:
    """Whoever got no answer asks again, and that may be late."""
    async with opened_door(ledger) as (built, customer):
        await customer.place("order-1", ORDER)
        await built.service.handle(refusal_of("order-1"))
        await customer.place("order-1", ORDER)
    assert amounts(ledger) == [1, -1]


def program(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a service that is to end by itself."""
    command = [sys.executable, "-m", f"sample_services.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.processes
@pytest.mark.parametrize("name", ["orders", "payments"])
def test_a_bus_of_another_form_is_an_error_that_says_so(name: str) -> None:
    done = program(name, "--bus", "pigeon://")
    assert done.returncode == 2
    assert "bus is 'pigeon://', and must be " in done.stderr


@pytest.mark.processes
def test_a_service_whose_door_cannot_open_does_not_start(tmp_path: Path) -> None:
    address = free_address()
    with socket.socket() as other:
        host, port = address.split(":")
        other.bind((host, int(port)))
        other.listen()
        bus, store = f"sqlite:///{tmp_path}/bus.db", f"sqlite:///{tmp_path}/orders.db"
        done = program("orders", "--bus", bus, "--store", store, "--listen", address)
    assert done.returncode == 1
    assert f"orders: cannot listen at {address}: the port is in use" in done.stderr.splitlines()
    assert done.stdout == ""


@pytest.mark.processes
def test_the_ledger_of_the_orders_is_shown(door: Customer, ledger: Path) -> None:
    done = program("orders", "--ledger", str(ledger))
    assert done.returncode == 0
    assert "placed" in done.stdout


@pytest.mark.processes
def test_a_service_with_a_bus_does_not_listen_as_well() -> None:
    done = program("shipping", "--bus", "sqlite:///b.db", "--listen", "a:1")
    assert done.returncode == 2
    assert "--listen goes without --bus" in done.stderr


def refusal_of(saga_id: str) -> Message:
    """The event that inventory tells of a refusal by."""
    return CloudEvent(
        id="1",
        source="inventory",
        type="shop.v1.StockRefused",
        saga_id=saga_id,
        payload=pack(StockRefused(reason="OUT_OF_STOCK", message="none left")),
        time=0.0,
    ).to_message()
