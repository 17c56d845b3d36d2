"""Does jobs that came together in one transaction, with a savepoint each and one commit for all.

If the transaction breaks, nothing of the batch is stored. Where the disk or another process is to blame, all
of its jobs are told so. Where one of them is (a handler that makes SQLite roll back, or leaves a deferred
constraint violated, or anything that nobody foresaw), every job is done again in a transaction of its own, so
that only the culprit fails; and it is given up before the next one is done.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from amends._fence import Fence, Ledger
from amends._transactions import faults
from amends._transactions.job import Job
from amends.errors import Fault

ASYNC_BATCH_SECONDS: Final = 0.05
"""After how long a transaction starts no further async handler, so that plain ones get their turn."""

_log = logging.getLogger("amends.transactions")


def run_plain(ledger: Ledger, jobs: Sequence[Job]) -> None:
    """Does jobs whose handlers are plain, in the connection's thread."""
    try:
        _run_plain_together(ledger, jobs)
    except Exception as error:
        if _blames_store(error):
            _fail_all(jobs, error)
        elif len(jobs) == 1:
            jobs[0].answer = _given_up(ledger, jobs[0], error)
        else:
            for job in jobs:
                run_plain(ledger, [job])


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
    except Exception as error:
        if _blames_store(error):
            _fail_all(jobs, error)
            return len(jobs)
        if len(jobs) == 1:
            jobs[0].answer = await fence.run(partial(_given_up, job=jobs[0], error=error))
            return 1
        # Which of them is to blame shows when each is alone; the others of the batch come later.
        return await run_async(fence, jobs[:1])


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


def _blames_store(error: Exception) -> bool:
    """Tells whether the disk or another process is to blame, and not one of the jobs."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def _given_up(ledger: Ledger, job: Job, error: Exception) -> Any:
    _log.error(
        "the handler ended the transaction, or left it so that it cannot be committed",
        exc_info=error,
        extra=job.log_fields(),
    )
    try:
        ledger.begin()
        answer = job.give_up(ledger)
        ledger.commit()
    except Exception:
        ledger.rollback()
        _log.exception("nor could that be written down", extra=job.log_fields())
        return faults.internal()
    return answer


def _fail_all(jobs: Sequence[Job], error: Exception) -> None:
    _log.error("the store failed; %d jobs are to be repeated", len(jobs), exc_info=error)
    fault = faults.store_failed(error)
    for job in jobs:
        job.answer = fault
