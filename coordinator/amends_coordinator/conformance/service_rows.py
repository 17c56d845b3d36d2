"""Definitions, and what stands around the coordinator's own service: health and reflection."""

from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from amends import new_saga_id
from amends.v1 import coordinator_pb2 as pb
from amends.v1 import saga_pb2
from amends_coordinator.conformance.client import PATIENCE, Client, ClientRow, expect
from amends_coordinator.conformance.results import NonconformingError

SERVICE: Final = pb.DESCRIPTOR.services_by_name["Coordinator"].full_name


async def _health(client: Client) -> None:
    stub: Any = health_pb2_grpc.HealthStub(client.channel)
    for service in ("", SERVICE):
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE)
        except grpc.aio.AioRpcError as error:
            raise NonconformingError(f"the health of {service!r}: {error.code().name}") from error
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        expect(f"the health of {service!r}", status, "SERVING")


async def _reflection(client: Client) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(client.channel)  # type: ignore[arg-type] # untyped for aio
    stream = stub.ServerReflectionInfo(timeout=PATIENCE)
    try:
        await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await stream.read()
    except grpc.aio.AioRpcError as error:
        raise NonconformingError(f"reflection failed with {error.code().name}") from error
    finally:
        stream.cancel()
    names = [service.name for service in answer.list_services_response.service]
    if SERVICE not in names:
        raise NonconformingError(f"reflection should list {SERVICE}; it lists {', '.join(names)}")


async def _registers(client: Client) -> None:
    definition = client.definition("accept")
    request = pb.RegisterDefinitionRequest(definition=definition)
    versions = [(await client.call("RegisterDefinition", request)).version for _ in range(2)]
    expect("the version of the same content, twice", versions, [1, 1])
    request.definition.CopyFrom(client.definition("accept", "accept"))
    request.definition.name = definition.name
    expect("the version of other content", (await client.call("RegisterDefinition", request)).version, 2)
    for version, steps in ((1, 1), (2, 2), (0, 2)):
        found = await client.call(
            "GetDefinition", pb.GetDefinitionRequest(name=definition.name, version=version)
        )
        expect(f"the steps of version {version}", len(found.steps), steps)
    start = pb.StartSagaRequest(definition_name=definition.name)
    saga = await client.ended((await client.call("StartSaga", start)).id)
    expect("the version that a saga runs", saga.definition.version, 2)
    expect("the state", saga_pb2.Saga.State.Name(saga.state), "COMPLETED")


async def _definition_pages(client: Client) -> None:
    names = []
    for _ in range(3):
        definition = client.definition("accept")
        names.append(definition.name)
        await client.call("RegisterDefinition", pb.RegisterDefinitionRequest(definition=definition))
    found: list[str] = []
    request = pb.ListDefinitionsRequest(page_size=2)
    while True:
        page = await client.call("ListDefinitions", request)
        if len(page.definitions) > 2:
            raise NonconformingError(f"a page of at most 2 has {len(page.definitions)} definitions")
        found += [definition.name for definition in page.definitions]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    expect("the names", found, sorted(set(found)))
    expect("the names of this row", [name for name in found if name in names], names)


async def _definition_unknown(client: Client) -> None:
    name = f"conformance-{new_saga_id()}"
    await client.fails("GetDefinition", pb.GetDefinitionRequest(name=name), grpc.StatusCode.NOT_FOUND)


async def _definition_malformed(client: Client) -> None:
    wrong = client.definition("accept", "accept")
    wrong.steps[1].name = "one"
    request = pb.RegisterDefinitionRequest(definition=wrong)
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    await client.fails("RegisterDefinition", request, invalid, field="definition")
    await client.fails("GetDefinition", pb.GetDefinitionRequest(name="a b"), invalid, field="name")


SERVICE_ROWS: Final = (
    ClientRow(name="health", what=f"health tells that {SERVICE} is serving", check=_health),
    ClientRow(name="reflection", what=f"reflection lists {SERVICE}", check=_reflection),
)
"""What comes first."""

DEFINITION_ROWS: Final = (
    ClientRow(
        name="definitions",
        what="the same content is the same version; other content is the next, for new sagas",
        check=_registers,
        after=("start",),
    ),
    ClientRow(
        name="definition-pages",
        what="pages hold each definition once, by name",
        check=_definition_pages,
        after=("definitions",),
    ),
    ClientRow(
        name="unknown-definition",
        what="a name that no definition has fails with NOT_FOUND",
        check=_definition_unknown,
    ),
    ClientRow(
        name="malformed-definition",
        what="a malformed definition fails with INVALID_ARGUMENT, and a BadRequest names it",
        check=_definition_malformed,
    ),
)
"""What sagas run."""
