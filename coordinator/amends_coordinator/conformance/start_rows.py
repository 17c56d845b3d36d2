"""Starting sagas: once for each id, with every mistake named, one by one and by the stream."""

from typing import Final

import grpc
from google.protobuf.duration_pb2 import Duration

from amends._payload import pack
from amends.v1 import coordinator_pb2 as pb
from amends.v1 import saga_pb2
from amends_coordinator.conformance.client import PATIENCE, Client, ClientRow, check_details, expect
from amends_coordinator.conformance.probe import REJECTION
from amends_coordinator.conformance.results import NonconformingError

_INVALID: Final = grpc.StatusCode.INVALID_ARGUMENT


async def _starts(client: Client) -> None:
    request = client.a_start("accept", label="start")
    saga = await client.call("StartSaga", request)
    expect("the id", saga.id, request.saga_id)
    expect("the definition's name", saga.definition.name, request.definition.name)
    expect("the labels", dict(saga.labels), dict(request.labels))
    expect("the input", saga.input, request.input)
    ended = await client.ended(saga.id)
    expect("the state", saga_pb2.Saga.State.Name(ended.state), "COMPLETED")


async def _makes_ids(client: Client) -> None:
    request = client.a_start("accept")
    request.saga_id = ""
    ids = [(await client.call("StartSaga", request)).id for _ in range(2)]
    if not all(ids) or ids[0] == ids[1]:
        raise NonconformingError(f"two starts without an id should have made two ids; they made {ids}")


async def _waits(client: Client) -> None:
    request = client.a_start("accept", "accept", wait=Duration(seconds=int(PATIENCE) - 1))
    saga = await client.call("StartSaga", request)
    expect("the state", saga_pb2.Saga.State.Name(saga.state), "COMPLETED")
    expect("the result of a step", saga.steps[1].result, pack({"saga": saga.id, "step": "two"}))


async def _starts_once(client: Client) -> None:
    request = client.a_start("accept")
    first = await client.call("StartSaga", request)
    await client.ended(first.id)
    again = await client.call("StartSaga", request)
    expect("the time of the start", again.create_time, first.create_time)
    expect("the number of events", len(await client.events(first.id)), 3)
    expect("the number of calls to the participant", client.probe.tried[first.id, "one"], 1)


async def _keeps_content(client: Client) -> None:
    request = client.a_start("accept")
    first = await client.call("StartSaga", request)
    request.input.CopyFrom(pack({"by": "somebody else"}))
    await client.fails("StartSaga", request, grpc.StatusCode.ALREADY_EXISTS)
    expect("the input", (await client.ended(first.id)).input, first.input)


async def _refuses(client: Client) -> None:
    await client.fails("StartSaga", client.a_start(), _INVALID, field="definition")
    for field, wrong in (
        ("saga_id", client.a_start("accept")),
        ("labels", client.a_start("accept")),
        ("definition", client.a_start("accept")),
        ("definition_name", pb.StartSagaRequest()),
    ):
        if field == "saga_id":
            wrong.saga_id = "not an id"
        elif field == "labels":
            wrong.labels["conformance"] = "a" * 257
        elif field == "definition":
            wrong.definition.steps[0].needs.steps.append("one")
        await client.fails("StartSaga", wrong, _INVALID, field=field)


async def _refuses_strangers(client: Client) -> None:
    request = client.a_start("accept")
    request.definition.steps[0].participant = "conformance-nobody"
    await client.fails("StartSaga", request, _INVALID, field="definition")
    await client.fails("GetSaga", pb.GetSagaRequest(saga_id=request.saga_id), grpc.StatusCode.NOT_FOUND)


async def _refuses_unregistered(client: Client) -> None:
    request = pb.StartSagaRequest(definition_name="conformance-not-registered")
    await client.fails("StartSaga", request, grpc.StatusCode.NOT_FOUND)


async def _streams(client: Client) -> None:
    good, bad, last = client.a_start("accept"), client.a_start("accept"), client.a_start("accept")
    bad.saga_id = "not an id"
    stream = client.stub.StartSagas(timeout=PATIENCE)
    results: dict[int, pb.StartSagasResponse.Result] = {}
    try:
        for number, request in enumerate((good, bad, last), start=1):
            message = pb.StartSagasRequest()
            message.starts.add(number=number, request=request)
            await stream.write(message)
        await stream.done_writing()
        async for response in stream:
            results |= {result.number: result for result in response.results}
    except grpc.aio.AioRpcError as error:
        raise NonconformingError(f"the stream ended with {error.code().name}: {error.details()}") from error
    expect("the numbers of the results", sorted(results), [1, 2, 3])
    expect("the ids", [results[1].saga_id, results[3].saga_id], [good.saga_id, last.saga_id])
    expect("the code of the second result", results[2].error.code, _INVALID.value[0])
    check_details("StartSagas", results[2].error, field="saga_id")


async def _turns_back(client: Client) -> None:
    saga = await client.ended(await client.started("accept", "accept", "reject"))
    expect("the state", saga_pb2.Saga.State.Name(saga.state), "COMPENSATED")
    cause = saga_pb2.TurnBack.Cause.Name(saga.turn_back.cause)
    expect("the cause", (cause, saga.turn_back.step), ("STEP_REJECTED", "three"))
    expect("the reason", saga.turn_back.reason, REJECTION)
    expect("the metadata", dict(saga.turn_back.metadata), {"step": "three"})
    expect("the steps that were compensated", client.probe.undone.get(saga.id), ["two", "one"])


START_ROWS: Final = (
    ClientRow(name="start", what="a saga starts with the content it was given, and completes", check=_starts),
    ClientRow(
        name="start-without-id",
        what="a start without an id makes one",
        check=_makes_ids,
        after=("start",),
    ),
    ClientRow(
        name="start-wait",
        what="a start that waits returns the saga as it ended, with its results",
        check=_waits,
        after=("start",),
    ),
    ClientRow(
        name="start-again",
        what="a repeated start returns the same saga, and starts nothing",
        check=_starts_once,
        after=("start",),
    ),
    ClientRow(
        name="start-other",
        what="a start of the same id with other content fails with ALREADY_EXISTS, and changes nothing",
        check=_keeps_content,
        after=("start",),
    ),
    ClientRow(
        name="start-malformed",
        what="a malformed start fails with INVALID_ARGUMENT, and a BadRequest names the field",
        check=_refuses,
    ),
    ClientRow(
        name="start-stranger",
        what="a start with an unknown participant fails with INVALID_ARGUMENT, and starts nothing",
        check=_refuses_strangers,
    ),
    ClientRow(
        name="start-unregistered",
        what="a start of a definition that is not registered fails with NOT_FOUND",
        check=_refuses_unregistered,
    ),
    ClientRow(
        name="start-stream",
        what="StartSagas answers each start by its number; one that fails does not end the stream",
        check=_streams,
        after=("start",),
    ),
    ClientRow(
        name="turn-back",
        what="a rejected step turns its saga back, which tells why and compensates in reverse",
        check=_turns_back,
        after=("start",),
    ),
)
"""How sagas begin and end."""
