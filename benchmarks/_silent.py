"""A participant that takes calls and never answers, so that they stay in flight.

``python -m benchmarks._silent`` serves it. It is written by hand, since one made with the SDK would turn
calls away before it held as many.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from amends.v1 import participant_pb2 as pb
from amends.v1 import participant_pb2_grpc
from benchmarks._workspace import announce_and_wait


class SilentService(participant_pb2_grpc.ParticipantServicer):
    """Offers one action, for the coordinator's checks, and keeps every call."""

    async def Describe(self, request: pb.DescribeRequest, context: Any) -> pb.DescribeResponse:  # noqa: N802
        """Lists the action."""
        action = pb.ActionDescription(name="apply", compensatable=True)
        return pb.DescribeResponse(participant="silent", actions=[action])

    async def Exchange(  # noqa: N802
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[pb.ExchangeResponse]:
        """Reads calls."""
        async for _ in request_iterator:
            pass
        yield pb.ExchangeResponse()

    async def Try(self, request: pb.TryRequest, context: Any) -> pb.TryResponse:  # noqa: N802
        """Is called on a stream only."""
        raise NotImplementedError

    async def Compensate(  # noqa: N802
        self, request: pb.CompensateRequest, context: Any
    ) -> pb.CompensateResponse:
        """Is called on a stream only."""
        raise NotImplementedError


async def _serve() -> None:
    server = grpc.aio.server()
    participant_pb2_grpc.add_ParticipantServicer_to_server(SilentService(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await announce_and_wait("silent", f"127.0.0.1:{port}")
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(_serve())
