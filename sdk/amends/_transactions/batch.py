"""Does jobs that came together in one transaction, with a savepoint each and one commit for all.

If the transaction breaks, nothing of the batch is stored. Where the disk or another process is to blame, all
of its jobs are told so. Where a handler is (one that makes SQLite roll back, or leaves a deferred
constraint violated), every job is done again in a transaction of its own, so that only the culprit fails.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final

from amends._fence import Fence, Ledger
from amends._fence.ledger import TransactionLostError
from amends._transactions import faults
from amends._transactions.job import Job
from amends.errors import Fault

ASYNC_BATCH_SECONDS: Final = 0.05
"""After how long a transaction starts no further async handler, so that plain ones get their turn."""

_HANDLERS_DOING = (TransactionLostError, sqlite3.IntegrityError)

_log = logging.getLogger("amends.participant")


def run_plain(ledger: Ledger, jobs: Sequence[Job]) -> None:
    """Does jobs whose handlers are plain, in the connection's thread."""
    try:
        _run_plain_together(ledger, jobs)
    except _HANDLERS_DOING as error:
        if len(jobs) == 1:
            jobs[0].answer = _blamed(jobs[0], error)
            return
        for job in jobs:
            run_plain(ledger, [job])
    except sqlite3.Error as error:
        _fail_all(jobs, error)


def _run_plain_together(ledger: Ledger, jobs: Sequence[Job]) -> None:
    try:
        ledger.begin()
        for job in jobs:
            try:
                job.answer = job.perform(ledger)
            except Fault as fault:
                job.answer = fault
        ledger.commit()
    except BaseException:
        ledger.rollback()
        raise


async def run_async(fence: Fence, jobs: Sequence[Job]) -> int:
    """Does jobs whose handlers are coroutines, one after another; returns how many came to their turn."""
    try:
        return await _run_async_together(fence, jobs)
    except _HANDLERS_DOING as error:
        if len(jobs) == 1:
            jobs[0].answer = _blamed(jobs[0], error)
            return 1
        # Which of them is to blame shows when each is alone; the others of the batch come later.
        return await run_async(fence, jobs[:1])
    except sqlite3.Error as error:
        _fail_all(jobs, error)
        return len(jobs)


async def _run_async_together(fence: Fence, jobs: Sequence[Job]) -> int:
    enough = time.monotonic() + ASYNC_BATCH_SECONDS
    done = 0
    try:
        await fence.run(lambda ledger: ledger.begin())
        for job in jobs:
            job.answer = await _perform_async(fence, job)
            done += 1
            if time.monotonic() >= enough:
                break
        await fence.run(lambda ledger: ledger.commit())
    except BaseException:
        await fence.run(lambda ledger: ledger.rollback())
        raise
    return done


async def _perform_async(fence: Fence, job: Job) -> Any:
    try:
        return await job.perform_async(fence)
    except Fault as fault:
        return fault


def _blamed(job: Job, error: Exception) -> Fault:
    _log.error(
        "the handler ended the transaction, or left it so that it cannot be committed",
        exc_info=error,
        extra=job.log_fields(),
    )
    return faults.transaction_lost()


def _fail_all(jobs: Sequence[Job], error: sqlite3.Error) -> None:
    _log.error("the store failed; %d jobs are to be repeated", len(jobs), exc_info=error)
    fault = faults.store_failed(error)
    for job in jobs:
        job.answer = fault
