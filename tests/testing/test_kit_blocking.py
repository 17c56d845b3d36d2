"""The kit for tests that are plain functions."""

import threading

import pytest

from amends import SagaState
from amends.errors import UsageError
from amends_coordinator.testing import BlockingLocalCoordinator
from tests.testing.kit_shop import INPUT, ORDER, Shop


def test_a_saga_runs_from_a_plain_function(shop: Shop) -> None:
    with BlockingLocalCoordinator(*shop.participants()) as coordinator:
        coordinator.faults.lose_reply("payments", "charge")
        saga = coordinator.run(ORDER, INPUT)
        assert saga.completed
        assert [event.sequence for event in coordinator.watch(saga.id)] == list(range(1, saga.sequence + 1))
    assert shop.done == ["reserve", "charge", "ship"]


def test_time_and_crashes(shop: Shop) -> None:
    shop.pendings = 1
    with BlockingLocalCoordinator(*shop.participants()) as coordinator:
        saga = coordinator.start(ORDER, INPUT)
        coordinator.advance(60.0)
        coordinator.crash()
        assert coordinator.get(saga.id).state is SagaState.RUNNING
        coordinator.advance(3_600.0)
        assert coordinator.get(saga.id).completed


def test_it_leaves_no_thread_behind(shop: Shop) -> None:
    before = set(threading.enumerate())
    with BlockingLocalCoordinator(*shop.participants()) as coordinator:
        assert repr(coordinator) == "BlockingLocalCoordinator(inventory, payments, shipping)"
    assert set(threading.enumerate()) <= before


def test_nor_where_it_cannot_begin(shop: Shop) -> None:
    before = set(threading.enumerate())
    inventory, payments, shipping = shop.participants()
    with BlockingLocalCoordinator(payments), pytest.raises(UsageError, match="open already"):
        BlockingLocalCoordinator(inventory, payments, shipping).__enter__()
    assert set(threading.enumerate()) <= before
