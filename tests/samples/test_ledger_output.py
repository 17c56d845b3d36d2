"""What a service shows of its ledger."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sample_services.payments import reactions
from sample_services.payments.ledger import BOOKKEEPING
from sample_services.payments.service import payments
from sample_services.serving import run
from tests.samples.counter import Counter


@pytest.fixture
async def paid(bank: Counter, ledger: Path) -> Path:
    """A ledger with one charge."""
    await bank.try_("my-order")
    return ledger


def show(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["payments", *arguments])
    return run(BOOKKEEPING, payments, reactions.payments)


def test_it_is_a_table_for_people(
    paid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(monkeypatch, "--ledger", str(paid)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["ada", "500000", "498700"]
    assert lines[-1].split() == ["ada", "-1300", "my-order"]


def test_it_is_json_for_programs(
    paid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(monkeypatch, "--ledger", str(paid), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["balances"]["ada"] == {"opening": 500000, "closing": 498700}
    assert told["movements"] == [
        {"saga": "my-order", "step": "charge", "subject": "ada", "amount": -1300, "undoes": False}
    ]
    assert told["fence"] == [{"saga": "my-order", "step": "charge", "state": "TRIED"}]


def test_it_says_in_one_line_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(monkeypatch, "--ledger", str(tmp_path / "none.db")) == 1
    assert "there is no ledger" in capsys.readouterr().err


def test_it_says_in_one_line_that_a_file_is_another_kind_of_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.db"
    other.write_text("this is no database, though it is long enough to be taken for one" * 20)
    assert show(monkeypatch, "--ledger", str(other)) == 1
    assert "file is not a database" in capsys.readouterr().err
