"""Does a call in a transaction that others share, at a savepoint of its own: row, handler, row."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from amends._fence import Fence, Ledger
from amends._participant.call import Call, Response, Work, conclude, has_effect, prepare
from amends._participant.invocation import invoke, invoke_async
from amends.errors import Fault

ASYNC_HANDLER_SECONDS_MAX: Final = 5.0
"""How long one async handler may hold the write lock: half of a coordinator's patience with one call."""


class FencedCall(Call):
    """A call whose handler runs in the transaction."""

    __slots__ = ()

    is_part = False

    def perform(self, ledger: Ledger) -> Response:
        """Takes the call from its fence row to its answer. Raises Fault if it fails, with no effect."""
        prepared = prepare(ledger, self)
        if not isinstance(prepared, Work):
            return prepared
        ledger.savepoint()
        try:
            response = invoke(self, prepared, ledger.db)
        except Fault:
            ledger.undo()
            raise
        _settle(ledger, self, prepared, response)
        return response

    async def perform_async(self, fence: Fence) -> Response:
        """The same with a handler that waits."""
        prepared = await fence.run(partial(_prepare_at_savepoint, call=self))
        if not isinstance(prepared, Work):
            return prepared
        try:
            response = await invoke_async(self, prepared, fence.async_db, _patience(self))
        except Fault:
            await fence.run(lambda ledger: ledger.undo())
            raise
        await fence.run(partial(_settle, call=self, work=prepared, response=response))
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


def _settle(ledger: Ledger, call: Call, work: Work, response: Response) -> None:
    """Keeps or takes back what a handler did, and remembers what is to be remembered."""
    if has_effect(response):
        ledger.release()
    else:
        ledger.undo()
    conclude(ledger, call, work, response)
