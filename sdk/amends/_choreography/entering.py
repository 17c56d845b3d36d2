"""How a saga begins: by a call of the service's own code, which is a step like any other."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, NamedTuple, TypeAlias

from google.protobuf import any_pb2

from amends import _payload
from amends._choreography.problems import DeadError, DeferredError
from amends._choreography.reacting import Reactor, keep
from amends._choreography.reaction import Reaction
from amends._choreography.step import Effects, Occasion, do, record_of, rejection_of
from amends._choreography.work import Answer, Work
from amends._fence import Deed, Ledger, Row, State
from amends._fence.ledger import Key
from amends._transactions import faults
from amends.errors import Rejected, UsageError


class Begun(NamedTuple):
    """A saga that began, durably."""

    saga_id: str
    """Identifies it."""
    event: Any
    """What the entry returned; None for nothing."""
    repeated: bool
    """Whether it had begun before, with the same input, and nothing was done now."""


Steps: TypeAlias = Generator[Work, Answer, "Begun | BaseException"]


def enter(
    ledger: Ledger, reactor: Reactor, entry: Reaction[Any, Any], saga_id: str, payload: any_pb2.Any
) -> Steps:
    """Runs an entry; returns what is to be returned or raised where it was called."""
    effects = Effects()
    emission = reactor.emission(saga_id, entry.name, "")
    key = (saga_id, entry.name)
    ledger.savepoint()
    try:
        deed = yield from do(ledger, entry, Occasion(payload, "", 1), emission, effects)
    except (DeferredError, DeadError) as problem:
        ledger.undo()
        return _told(problem, key)
    ledger.release()
    keep(ledger, effects, time.time())
    row = ledger.get(key)
    assert row is not None, "Invariant: an entry that has run has a row"
    if row.state is State.TOMBSTONE:
        return Rejected("ALREADY_COMPENSATED", "a failure of the saga came before it could begin")
    if row.input_hash != _payload.digest(payload):
        return faults.key_reused(*key)
    return _come_to(entry, saga_id, row, repeated=deed is not Deed.RUN)


def _come_to(entry: Reaction[Any, Any], saga_id: str, row: Row, *, repeated: bool) -> Begun | BaseException:
    """What the call comes to; also where the saga has failed since and the entry is undone: it did begin."""
    rejection = rejection_of(row)
    if rejection is not None:
        return rejection
    return Begun(saga_id, entry.decode_result(record_of(row)), repeated)


def _told(problem: DeferredError | DeadError, key: Key) -> BaseException:
    """What the caller is told: the handler's own exception, or what was wrong with the call."""
    if isinstance(problem, DeadError) and problem.reason == "KEY_REUSED":
        return faults.key_reused(*key)
    if problem.__cause__ is not None:
        return problem.__cause__
    return UsageError(str(problem))
