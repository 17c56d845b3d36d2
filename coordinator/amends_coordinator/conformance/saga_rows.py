"""What a client can see of sagas, and do about them."""

from typing import Final

import grpc

from amends import new_saga_id
from amends.v1 import coordinator_pb2 as pb
from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.conformance.client import Client, ClientRow, expect

_INVALID: Final = grpc.StatusCode.INVALID_ARGUMENT
_NOT_FOUND: Final = grpc.StatusCode.NOT_FOUND
_PRECONDITION: Final = grpc.StatusCode.FAILED_PRECONDITION

_ABOUT_ONE: Final = {
    "GetSaga": pb.GetSagaRequest,
    "WatchSaga": pb.WatchSagaRequest,
    "CancelSaga": pb.CancelSagaRequest,
    "RetrySaga": pb.RetrySagaRequest,
}
"""RPCs about one saga that need nothing but its id."""


async def _unknown(client: Client) -> None:
    for method, kind in _ABOUT_ONE.items():
        await client.fails(method, kind(saga_id=f"conformance-{new_saga_id()}"), _NOT_FOUND)


async def _malformed(client: Client) -> None:
    for method, kind in _ABOUT_ONE.items():
        for wrong in ("", "a b", "a" * 129):
            await client.fails(method, kind(saga_id=wrong), _INVALID, field="saga_id")


async def _lists(client: Client) -> None:
    label = new_saga_id()
    started = [await client.started("accept", label=label) for _ in range(5)]
    for saga_id in started:
        await client.ended(saga_id)
    request = pb.ListSagasRequest(labels={"conformance": label})
    found = await client.call("ListSagas", request)
    expect("the ids", [saga.id for saga in found.sagas], started[::-1])
    request.states.append(saga_pb2.Saga.COMPENSATED)
    expect("the sagas in another state", len((await client.call("ListSagas", request)).sagas), 0)


async def _pages(client: Client) -> None:
    label = new_saga_id()
    started = [await client.started("accept", label=label) for _ in range(5)]
    request = pb.ListSagasRequest(labels={"conformance": label}, page_size=2)
    sizes, ids = [], []
    while True:
        page = await client.call("ListSagas", request)
        sizes.append(len(page.sagas))
        ids += [saga.id for saga in page.sagas]
        request.page_token = page.next_page_token
        if not page.next_page_token or len(ids) > len(started):
            break
    expect("the sizes of the pages", sizes, [2, 2, 1])
    expect("the ids", ids, started[::-1])
    request.page_token = (await client.call("ListSagas", request)).next_page_token
    request.labels["conformance"] = "other"
    await client.fails("ListSagas", request, _INVALID, field="page_token")
    for saga_id in started:
        await client.ended(saga_id)


async def _list_malformed(client: Client) -> None:
    for field, request in (
        ("page_size", pb.ListSagasRequest(page_size=-1)),
        ("page_token", pb.ListSagasRequest(page_token="no token")),  # noqa: S106 - of no secret
        ("states", pb.ListSagasRequest(states=[99])),  # type: ignore[list-item] # what no client should send
    ):
        await client.fails("ListSagas", request, _INVALID, field=field)


async def _watches(client: Client) -> None:
    saga_id = await client.held("accept", "hold")
    async with client.watching(saga_id) as events:
        seen = []
        async for event in events:
            seen.append(event)
            if event.WhichOneof("fact") == "attempt_pending":
                client.probe.release(saga_id)
                await client.call("RetrySaga", pb.RetrySagaRequest(saga_id=saga_id))
    expect("the sequence numbers", [event.sequence for event in seen], list(range(1, len(seen) + 1)))
    expect("the first and the last event", _ends(seen), ("saga_started", "saga_completed"))
    expect("the saga of the events", {event.saga_id for event in seen}, {saga_id})


async def _resumes(client: Client) -> None:
    saga_id = await client.started("accept", "accept")
    everything = await client.events(saga_id)
    rest = await client.events(saga_id, after_sequence=2)
    expect("the events after the second", rest, everything[2:])
    held = await client.held("hold")
    so_far = await client.events(held, history_only=True)
    expect("the first event so far", so_far[0].WhichOneof("fact"), "saga_started")
    await client.cancelled(held)


def _ends(events: list[event_pb2.Event]) -> tuple[str | None, str | None]:
    return events[0].WhichOneof("fact"), events[-1].WhichOneof("fact")


async def _cancels(client: Client) -> None:
    saga_id = await client.held("accept", "hold")
    saga = await client.cancelled(saga_id)
    expect("the state", saga_pb2.Saga.State.Name(saga.state), "COMPENSATED")
    expect("the cause", saga_pb2.TurnBack.Cause.Name(saga.turn_back.cause), "CANCELLED")
    expect("the steps that were compensated", client.probe.undone.get(saga_id), ["one"])
    again = await client.cancelled(saga_id)
    expect("the events after another cancel", again.sequence, saga.sequence)


async def _ended(client: Client) -> None:
    saga_id = await client.started("accept")
    await client.ended(saga_id)
    await client.fails("CancelSaga", pb.CancelSagaRequest(saga_id=saga_id), _PRECONDITION)
    await client.fails("RetrySaga", pb.RetrySagaRequest(saga_id=saga_id), _PRECONDITION)
    request = pb.ResolveStepRequest(
        saga_id=saga_id, step="one", resolution=event_pb2.StepResolved.COMPENSATED, reason="it ended"
    )
    await client.fails("ResolveStep", request, _PRECONDITION)


async def _retries(client: Client) -> None:
    saga_id = await client.held("hold")
    client.probe.release(saga_id)
    await client.call("RetrySaga", pb.RetrySagaRequest(saga_id=saga_id, reason="for the certificate"))
    saga = await client.ended(saga_id)
    expect("the state", saga_pb2.Saga.State.Name(saga.state), "COMPLETED")


async def _resolves(client: Client) -> None:
    saga_id = await client.held("hold")
    request = pb.ResolveStepRequest(
        saga_id=saga_id, step="one", resolution=event_pb2.StepResolved.SUCCEEDED, reason="for the certificate"
    )
    await client.call("ResolveStep", request)
    saga = await client.ended(saga_id)
    expect("the state", saga_pb2.Saga.State.Name(saga.state), "COMPLETED")


async def _resolve_malformed(client: Client) -> None:
    saga_id = await client.held("hold")
    good = pb.ResolveStepRequest(
        saga_id=saga_id, step="one", resolution=event_pb2.StepResolved.SUCCEEDED, reason="for the certificate"
    )
    for field in ("step", "resolution", "reason"):
        wrong = pb.ResolveStepRequest()
        wrong.CopyFrom(good)
        wrong.ClearField(field)
        await client.fails("ResolveStep", wrong, _INVALID, field=field)
    await client.cancelled(saga_id)


SAGA_ROWS: Final = (
    ClientRow(
        name="unknown-saga",
        what="an id that no saga has fails with NOT_FOUND: get, watch, cancel and retry",
        check=_unknown,
    ),
    ClientRow(
        name="malformed-saga-id",
        what="a malformed saga_id fails with INVALID_ARGUMENT: get, watch, cancel and retry",
        check=_malformed,
    ),
    ClientRow(
        name="list",
        what="sagas are listed by label and state, the newest first",
        check=_lists,
        after=("start",),
    ),
    ClientRow(
        name="list-pages",
        what="pages hold each saga once; a token of other conditions fails with INVALID_ARGUMENT",
        check=_pages,
        after=("list",),
    ),
    ClientRow(
        name="list-malformed",
        what="a malformed list fails with INVALID_ARGUMENT, and a BadRequest names the field",
        check=_list_malformed,
    ),
    ClientRow(
        name="watch",
        what="a watch sends the events so far, then each as it happens, and ends with the saga",
        check=_watches,
        after=("start",),
    ),
    ClientRow(
        name="watch-resumed",
        what="a watch goes on after a sequence number, or ends after the events so far",
        check=_resumes,
        after=("watch",),
    ),
    ClientRow(
        name="cancel",
        what="a cancelled saga turns back; another cancel changes nothing",
        check=_cancels,
        after=("start",),
    ),
    ClientRow(
        name="ended",
        what="a saga that has completed cannot be cancelled, retried or resolved: FAILED_PRECONDITION",
        check=_ended,
        after=("start",),
    ),
    ClientRow(name="retry", what="a retry calls now what waits for later", check=_retries, after=("start",)),
    ClientRow(
        name="resolve",
        what="a step that is resolved as succeeded lets its saga go on",
        check=_resolves,
        after=("start",),
    ),
    ClientRow(
        name="resolve-malformed",
        what="a malformed resolution fails with INVALID_ARGUMENT, and a BadRequest names the field",
        check=_resolve_malformed,
        after=("start",),
    ),
)
"""In the order of the contract."""
