"""Has `amends conformance` certify the payments in a language, with all there is to go by."""

import asyncio
import json
import shlex
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sample_services.demo.processes import Process
from sample_services.demo.stage import ROOT, environment, free_addresses, program
from sample_services.interop.checking import CheckFailedError, ended

_ORDER: Final = {"sku": "tea-green", "quantity": 2, "address": "Herengracht 1", "country": "NL"}

_RESERVATION: Final = {"sku": "tea-green", "quantity": 2, "total": 2590}

_TROUBLED: Final = "grace"

_TROUBLE: Final = f"""
CREATE TRIGGER trouble BEFORE INSERT ON entry WHEN NEW.account = '{_TROUBLED}'
BEGIN SELECT RAISE(ABORT, 'the database is in trouble'); END
"""
"""Makes charges of one account fail for no reason of the domain, after other statements took effect."""

_INAPPLICABLE: Final = frozenset({("unary", "try-pending")})
"""The rows over unary RPCs that say nothing about payments: a charge is never pending."""


async def certify(command: Sequence[str], folder: Path) -> str:
    """Certifies a participant and tells how many rows it passed.

    Args:
        command: runs it, given --listen and --store.
        folder: where its ledger and its log are to be.

    Raises:
        CheckFailedError: it did not pass every row that says something about it.
        ProcessError: it did not start.
    """
    ledger, pid = folder / "payments.db", folder / "payments.pid"
    (address,) = free_addresses(1)
    process = program(folder, "payments", [*command, "--listen", address, "--store", str(ledger)])
    await process.start()
    supervisor = asyncio.create_task(_supervise(process, pid))
    try:
        with closing(sqlite3.connect(ledger, isolation_level=None)) as db:
            db.execute(_TROUBLE)
        rows = await _rows(address, ledger, pid)
    finally:
        supervisor.cancel()
        await asyncio.wait([supervisor])
        await process.stop()
    return judge(rows)


def judge(rows: Sequence[dict[str, Any]]) -> str:
    """Says how many rows passed. Raises CheckFailedError if one failed, or was skipped that should not be."""
    failed = [f"{row['row']} over {row['over']}: {row['why']}" for row in rows if row["result"] == "failed"]
    if failed or not rows:
        raise CheckFailedError("; ".join(failed) or "the kit checked nothing")
    # A participant without an Exchange has all rows over it skipped, and that is its right.
    skipped = {(row["over"], row["row"]) for row in rows if row["result"] == "skipped"}
    unchecked = {row for over, row in skipped - _INAPPLICABLE if over != "exchange"}
    if unchecked:
        raise CheckFailedError(f"the kit did not check {', '.join(sorted(unchecked))}")
    exchange = any(row["over"] == "exchange" and row["row"] == "try" for row in _passed(rows))
    return f"{len(_passed(rows))} rows, {'over unary RPCs and Exchange' if exchange else 'over unary RPCs'}"


def _passed(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["result"] == "passed"]


async def _supervise(process: Process, pid: Path) -> None:
    """Starts the participant again whenever the kit has killed it."""
    while True:
        pid.write_text(str(process.pid))  # noqa: ASYNC240 - a few bytes
        await process.until_gone()
        await process.start()


async def _rows(address: str, ledger: Path, pid: Path) -> list[dict[str, Any]]:
    effects = [sys.executable, "-m", "sample_services.interop.effects", str(ledger)]
    command = [sys.executable, "-m", "amends_coordinator.cli", "conformance", address, "--json"]
    command += ["--input", json.dumps({**_ORDER, "account": "ada"})]
    command += ["--rejected-input", json.dumps({**_ORDER, "account": "linus"})]
    command += ["--failing-input", json.dumps({**_ORDER, "account": _TROUBLED})]
    command += ["--result", f"reserve={json.dumps(_RESERVATION)}"]
    command += ["--effects", shlex.join(effects), "--restart", f"kill -9 $(cat {shlex.quote(str(pid))})"]
    kit = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment(), stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    try:
        output, errors = await kit.communicate()
    finally:
        await ended(kit)
    if errors:
        raise CheckFailedError(f"the kit could not do its work: {errors.decode('utf-8', 'replace').strip()}")
    return [json.loads(line) for line in output.splitlines()]
