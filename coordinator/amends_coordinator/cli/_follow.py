"""Follows a saga to its end, or to where an operator is needed, across restarts of the coordinator."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final

import grpc

from amends.v1 import coordinator_pb2, event_pb2, saga_pb2
from amends_coordinator.cli._coordinator import CALL_TIMEOUT
from amends_coordinator.cli._exits import ExitStatus

if TYPE_CHECKING:
    from amends.v1.coordinator_pb2_grpc import CoordinatorStub

PATIENCE: Final = 60.0
"""Seconds to wait for a coordinator that went away: longer than a restart with a large log takes, and short
enough that a script notices an outage."""

_PAUSE: Final = 0.2
"""Seconds between two looks for a coordinator that is away or about to leave."""

_AWAY: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
_ENDS: Final = frozenset({"saga_completed", "saga_compensated"})
_RESTS: Final = frozenset({saga_pb2.Saga.COMPLETED, saga_pb2.Saga.COMPENSATED, saga_pb2.Saga.PARKED})

_STATUSES: Final = {
    saga_pb2.Saga.COMPENSATED: ExitStatus.COMPENSATED,
    saga_pb2.Saga.PARKED: ExitStatus.PARKED,
    saga_pb2.Saga.STALLED: ExitStatus.PARKED,
}


def status_of(state: "saga_pb2.Saga.State.ValueType") -> ExitStatus:
    """Returns the exit status that tells this state."""
    return _STATUSES.get(state, ExitStatus.OK)


def get_patiently(stub: "CoordinatorStub", saga_id: str) -> saga_pb2.Saga:
    """Returns a saga, waiting for a coordinator that is away. Raises grpc.RpcError."""
    request = coordinator_pb2.GetSagaRequest(saga_id=saga_id)
    return stub.GetSaga(request, timeout=PATIENCE, wait_for_ready=True)


def history(stub: "CoordinatorStub", saga_id: str) -> Iterator[event_pb2.Event]:
    """Yields the events so far. Raises grpc.RpcError."""
    request = coordinator_pb2.WatchSagaRequest(saga_id=saga_id, history_only=True)
    yield from stub.WatchSaga(request, timeout=CALL_TIMEOUT)


def follow(
    stub: "CoordinatorStub",
    saga_id: str,
    *,
    interrupted: Callable[[], None],
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[event_pb2.Event]:
    """Yields the events of a saga, each once, until it ends or waits for an operator.

    A coordinator that was there and goes away is waited for, as long as `PATIENCE`; `interrupted` is
    called when that begins. Raises grpc.RpcError.
    """
    seen, parked = 0, False
    away_since: float | None = None
    while True:
        try:
            if away_since is not None:
                if _rests(get_patiently(stub, saga_id), seen):
                    return
                away_since = None
            with closing(_events(stub, saga_id, seen)) as events:
                for event in events:
                    seen = event.sequence
                    yield event
                    kind = event.WhichOneof("fact")
                    if kind in _ENDS:
                        return
                    # Once parked, any event may be the last for a long time, and any may be long past.
                    parked = parked or kind == "saga_parked"
                    if parked and _rests(_get(stub, saga_id), seen):
                        return
        except grpc.RpcError as error:
            given_up = away_since is not None and now() - away_since > PATIENCE
            if not seen or given_up or error.code() not in _AWAY:
                raise
        # Also reached where the stream ended before the saga did, as when a coordinator shuts down.
        if away_since is None:
            away_since = now()
            interrupted()
        pause(_PAUSE)


def _events(stub: "CoordinatorStub", saga_id: str, seen: int) -> Generator[event_pb2.Event, None, None]:
    stream = stub.WatchSaga(coordinator_pb2.WatchSagaRequest(saga_id=saga_id, after_sequence=seen))
    try:
        yield from stream
    finally:
        stream.cancel()


def _get(stub: "CoordinatorStub", saga_id: str) -> saga_pb2.Saga:
    return stub.GetSaga(coordinator_pb2.GetSagaRequest(saga_id=saga_id), timeout=CALL_TIMEOUT)


def _rests(saga: saga_pb2.Saga, seen: int) -> bool:
    """Whether the saga has ended or waits for an operator, and all of its events have been seen."""
    return saga.state in _RESTS and saga.sequence <= seen
