"""The gRPC service: the contract on one side, the engine on the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from grpc_status import rpc_status
from opentelemetry import trace

from amends._participant import tracing
from amends._participant.call import Request
from amends._participant.engine import Engine
from amends._participant.exchange import ExchangeStream
from amends._transactions import faults
from amends.errors import Fault
from amends.v1 import participant_pb2 as pb
from amends.v1 import participant_pb2_grpc


class ParticipantService(participant_pb2_grpc.ParticipantServicer):
    """Answers RPCs; see protos/amends/v1/participant.proto for what each one means."""

    def __init__(self, engine: Engine, describe: Callable[[], pb.DescribeResponse]) -> None:
        self._engine = engine
        self._describe = describe
        self._streams: dict[ExchangeStream, None] = {}  # in the order in which they were opened

    async def Try(self, request: pb.TryRequest, context: Any) -> pb.TryResponse:  # noqa: N802
        """Applies the effect of one step."""
        response: pb.TryResponse = await self._answer(request, context)
        return response

    async def Compensate(  # noqa: N802
        self, request: pb.CompensateRequest, context: Any
    ) -> pb.CompensateResponse:
        """Undoes the effect of one step."""
        response: pb.CompensateResponse = await self._answer(request, context)
        return response

    async def Describe(self, request: pb.DescribeRequest, context: Any) -> pb.DescribeResponse:  # noqa: N802
        """Lists the actions."""
        return self._describe()

    async def Exchange(  # noqa: N802
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[pb.ExchangeResponse]:
        """Carries many calls on one stream."""
        stream = ExchangeStream(self._engine)
        self._streams[stream] = None
        try:
            async for message in stream.serve(request_iterator):
                yield message
        finally:
            self._streams.pop(stream, None)

    def stop_reading(self) -> None:
        """Has every stream end once the calls that it brought are answered."""
        for stream in self._streams:
            stream.stop_reading()

    async def _answer(self, request: Request, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        answer = await self._engine.answer(request, context.time_remaining())
        if tracing.configured():
            span = trace.get_current_span()
            span.set_attributes({**tracing.attributes(request), "saga.outcome": tracing.outcome_of(answer)})
        if isinstance(answer, Fault):
            await context.abort_with_status(rpc_status.to_status(faults.to_status(answer)))
        return answer
