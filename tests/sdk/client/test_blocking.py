"""The client for synchronous code. The fake coordinator runs on a loop of its own, in another thread."""

import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import amends
from amends import BlockingClient, Client, Definition, EventKind
from tests.sdk.client.fake_coordinator import FakeServer


@pytest.fixture
def blocking(distant: FakeServer) -> Iterator[BlockingClient]:
    with BlockingClient(distant.target, patience=5) as client:
        yield client


def test_every_method_of_the_client_has_a_blocking_twin() -> None:
    """What the async client can do, the blocking one can, with the same arguments and description."""
    public = {name for name, member in vars(Client).items() if callable(member) and not name.startswith("_")}
    for name in public - {"starter", "close"}:
        twin, method = getattr(BlockingClient, name), getattr(Client, name)
        assert inspect.signature(twin) == inspect.signature(method)
        assert twin.__doc__ == method.__doc__


def test_blocking_client_runs_a_saga(blocking: BlockingClient, order: Definition) -> None:
    """A call returns when the answer is there."""
    assert blocking.run(order, saga_id="order-1").completed
    assert blocking.get("order-1").completed


def test_blocking_iterators_are_plain(blocking: BlockingClient, order: Definition) -> None:
    """Watch and list are iterated with a plain for."""
    blocking.start(order, saga_id="order-1")
    assert [event.kind for event in blocking.watch("order-1")] == [
        EventKind.SAGA_STARTED,
        EventKind.SAGA_COMPLETED,
    ]
    assert [saga.id for saga in blocking.list()] == ["order-1"]


def test_blocking_iteration_can_be_left(blocking: BlockingClient, order: Definition) -> None:
    """Leaving an iteration early ends it on the other side too."""
    blocking.start(order, saga_id="order-1")
    for event in blocking.watch("order-1"):
        assert event.kind is EventKind.SAGA_STARTED
        break
    assert blocking.get("order-1").completed


def test_blocking_errors_are_the_same(blocking: BlockingClient) -> None:
    """An error reaches the caller's thread as itself."""
    with pytest.raises(amends.NotFound):
        blocking.get("nobody")


def test_many_threads_share_a_blocking_client(blocking: BlockingClient, order: Definition) -> None:
    """Calls from many threads are under way at the same time."""
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: blocking.run(order, saga_id=f"order-{n}").id, range(40)))
    assert ids == [f"order-{n}" for n in range(40)]


def test_blocking_call_continues_the_callers_trace(
    blocking: BlockingClient, distant: FakeServer, order: Definition
) -> None:
    """The trace of the calling thread goes along, although another thread makes the call."""
    span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))
    with trace.use_span(span):
        blocking.start(order)
    assert distant.coordinator.metadata["traceparent"] == f"00-{0xABC:032x}-{0xDEF:016x}-01"


def test_closed_blocking_client_says_so(distant: FakeServer) -> None:
    """After it is closed a client refuses calls, has no thread any more, and may be closed again."""
    client = BlockingClient(distant.target)
    assert repr(client) == f"BlockingClient('{distant.target}')"
    client.close()
    client.close()
    assert not client._thread.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        client.get("order-1")


def test_closing_interrupts_calls_of_other_threads(distant: FakeServer, order: Definition) -> None:
    """A thread that waits for a saga is released when another closes the client."""
    client = BlockingClient(distant.target)
    distant.coordinator.auto_complete = False
    client.start(order, saga_id="order-1")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.wait, "order-1")
        while "WatchSaga" not in distant.coordinator.calls:
            client.get("order-1")
        client.close()
        with pytest.raises(BaseException):  # noqa: B017, PT011 # cancelled, by whichever name it has there
            waiting.result(timeout=5)
