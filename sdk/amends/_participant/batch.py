"""Runs calls that came together in one transaction, with a savepoint each and one commit for all.

If the transaction breaks, nothing of the batch is stored. Where the disk or another process is to blame, all
of its calls are told so. Where a handler is (one that makes SQLite roll back, or leaves a deferred
constraint violated), every call is run again in a transaction of its own, so that only the culprit fails.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from amends._fence import Fence, Ledger
from amends._fence.ledger import TransactionLostError
from amends._participant import faults
from amends._participant.call import Call, Response, Work, conclude, has_effect, log_fields, prepare
from amends._participant.invocation import invoke, invoke_async
from amends.errors import Fault

ASYNC_HANDLER_SECONDS_MAX: Final = 5.0
"""How long one async handler may hold the write lock: half of a coordinator's patience with one call."""

ASYNC_BATCH_SECONDS: Final = 0.05
"""After how long a transaction starts no further async handler, so that plain calls get their turn."""

_HANDLERS_DOING = (TransactionLostError, sqlite3.IntegrityError)

_log = logging.getLogger("amends.participant")


def run_plain(ledger: Ledger, calls: Sequence[Call]) -> None:
    """Answers calls whose handlers are plain, in the connection's thread."""
    try:
        _run_plain_together(ledger, calls)
    except _HANDLERS_DOING as error:
        if len(calls) == 1:
            calls[0].answer = _blamed(calls[0], error)
            return
        for call in calls:
            run_plain(ledger, [call])
    except sqlite3.Error as error:
        _fail_all(calls, error)


def _run_plain_together(ledger: Ledger, calls: Sequence[Call]) -> None:
    try:
        ledger.begin()
        for call in calls:
            try:
                call.answer = (call.perform or perform_plain)(ledger, call)
            except Fault as fault:
                call.answer = fault
        ledger.commit()
    except BaseException:
        ledger.rollback()
        raise


async def run_async(fence: Fence, calls: Sequence[Call]) -> int:
    """Answers calls whose handlers are coroutines, one after another; returns how many came to their turn."""
    try:
        return await _run_async_together(fence, calls)
    except _HANDLERS_DOING as error:
        if len(calls) == 1:
            calls[0].answer = _blamed(calls[0], error)
            return 1
        # Which of them is to blame shows when each is alone; the others of the batch come later.
        return await run_async(fence, calls[:1])
    except sqlite3.Error as error:
        _fail_all(calls, error)
        return len(calls)


async def _run_async_together(fence: Fence, calls: Sequence[Call]) -> int:
    enough = time.monotonic() + ASYNC_BATCH_SECONDS
    done = 0
    try:
        await fence.run(lambda ledger: ledger.begin())
        for call in calls:
            call.answer = await _perform_async(fence, call)
            done += 1
            if time.monotonic() >= enough:
                break
        await fence.run(lambda ledger: ledger.commit())
    except BaseException:
        await fence.run(lambda ledger: ledger.rollback())
        raise
    return done


async def _perform_async(fence: Fence, call: Call) -> Response | Fault:
    try:
        prepared = await fence.run(partial(_prepare_at_savepoint, call=call))
        if not isinstance(prepared, Work):
            return prepared
        try:
            response = await invoke_async(call, prepared, fence.async_db, _patience(call))
        except Fault:
            await fence.run(lambda ledger: ledger.undo())
            raise
        await fence.run(partial(settle, call=call, work=prepared, response=response))
    except Fault as fault:
        return fault
    return response


def _prepare_at_savepoint(ledger: Ledger, call: Call) -> Work | Response:
    prepared = prepare(ledger, call)
    if isinstance(prepared, Work):
        ledger.savepoint()
    return prepared


def _patience(call: Call) -> float:
    if call.deadline is None:
        return ASYNC_HANDLER_SECONDS_MAX
    return min(ASYNC_HANDLER_SECONDS_MAX, call.deadline - time.monotonic())


def perform_plain(ledger: Ledger, call: Call) -> Response:
    """Takes one call from its fence row to its answer. Raises Fault if it fails, with no effect."""
    prepared = prepare(ledger, call)
    if not isinstance(prepared, Work):
        return prepared
    ledger.savepoint()
    try:
        response = invoke(call, prepared, ledger.db)
    except Fault:
        ledger.undo()
        raise
    settle(ledger, call, prepared, response)
    return response


def settle(ledger: Ledger, call: Call, work: Work, response: Response) -> None:
    """Keeps or takes back what a handler did, and remembers what is to be remembered."""
    if has_effect(response):
        ledger.release()
    else:
        ledger.undo()
    conclude(ledger, call, work, response)


def _blamed(call: Call, error: Exception) -> Fault:
    _log.error(
        "the handler ended the transaction, or left it so that it cannot be committed",
        exc_info=error,
        extra=log_fields(call),
    )
    return faults.transaction_lost()


def _fail_all(calls: Sequence[Call], error: sqlite3.Error) -> None:
    _log.error("the store failed; %d calls are to be repeated", len(calls), exc_info=error)
    fault = faults.store_failed(error)
    for call in calls:
        call.answer = fault
