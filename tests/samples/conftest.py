"""The three services on real files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sample_services.inventory.ledger import BOOKKEEPING as INVENTORY
from sample_services.inventory.service import inventory
from sample_services.payments.ledger import BOOKKEEPING as PAYMENTS
from sample_services.payments.service import payments
from sample_services.shipping.ledger import BOOKKEEPING as SHIPPING
from sample_services.shipping.service import shipping
from sample_services.turnstile import Turnstile
from tests.samples.counter import Counter, opened_counter


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The file of the service under test."""
    return tmp_path / "ledger.db"


@pytest.fixture
async def stock(ledger: Path) -> AsyncIterator[Counter]:
    """The inventory."""
    async with opened_counter(inventory(f"sqlite:///{ledger}"), "reserve", INVENTORY, ledger) as counter:
        yield counter


@pytest.fixture
async def bank(ledger: Path) -> AsyncIterator[Counter]:
    """The payments."""
    participant = payments(f"sqlite:///{ledger}", Turnstile())
    async with opened_counter(participant, "charge", PAYMENTS, ledger) as counter:
        yield counter


@pytest.fixture
async def carrier(ledger: Path) -> AsyncIterator[Counter]:
    """The shipping."""
    async with opened_counter(shipping(f"sqlite:///{ledger}"), "ship", SHIPPING, ledger) as counter:
        yield counter


def pytest_configure(config: pytest.Config) -> None:
    """Names the marker of what starts processes, so that it can be found and left out."""
    config.addinivalue_line("markers", "processes: starts real processes and takes seconds")
