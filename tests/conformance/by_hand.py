"""A participant written by hand, as in another language, with a seam for every row of its fence.

It is right as it is. A wrong one overrides the one thing that it gets wrong.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import struct_pb2
from google.rpc import status_pb2
from google.rpc.code_pb2 import Code

from amends import new_saga_id
from amends._payload import pack, unpack
from amends.v1 import participant_pb2 as pb
from amends_coordinator.conformance.answers import Request, Response

ACTION = "act"
COMPENSATED = pb.CompensateResponse(compensated=pb.CompensateResponse.Compensated())
_LETTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:~-")

Key = tuple[str, str]


class StatusError(Exception):
    """Ends a call with a status."""

    def __init__(self, code: int, words: str = "as arranged") -> None:
        super().__init__(words)
        self.status = status_pb2.Status(code=code, message=words)


class Row:
    """What the fence knows of one step."""

    def __init__(self, state: str, payload: bytes = b"", answer: pb.TryResponse | None = None) -> None:
        self.state = state
        self.payload = payload
        self.answer = answer


class ByHand:
    """The service. `how` in the input decides what comes of a Try: it is accepted, reject, fail, or wait."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.effects: Counter[Key] = Counter()
        self.locks: dict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.steps_seen: list[str] = []

    # The RPCs

    async def Try(self, request: pb.TryRequest, context: Any) -> Response:
        return await self._unary(request, context)

    async def Compensate(self, request: pb.CompensateRequest, context: Any) -> Response:
        return await self._unary(request, context)

    async def Describe(self, _request: pb.DescribeRequest, _context: Any) -> pb.DescribeResponse:
        action = pb.ActionDescription(
            name=ACTION, input_type=struct_pb2.Struct.DESCRIPTOR.full_name, compensatable=True
        )
        return pb.DescribeResponse(participant="by-hand", actions=[action])

    async def Exchange(
        self, messages: AsyncIterator[pb.ExchangeRequest], context: Any
    ) -> AsyncIterator[pb.ExchangeResponse]:
        async for message in messages:
            replies = await asyncio.gather(*map(self.reply, message.calls))
            yield pb.ExchangeResponse(replies=replies)

    async def reply(self, call: pb.ExchangeRequest.Call) -> pb.ExchangeResponse.Reply:
        is_try = call.HasField("try_request")
        reply = pb.ExchangeResponse.Reply(number=call.number)
        try:
            response = await self.answer(call.try_request if is_try else call.compensate_request)
        except StatusError as error:
            reply.error.CopyFrom(error.status)
            return reply
        if isinstance(response, pb.TryResponse):
            reply.try_response.CopyFrom(response)
        else:
            reply.compensate_response.CopyFrom(response)
        return reply

    async def _unary(self, request: Request, context: Any) -> Response:
        try:
            return await self.answer(request)
        except StatusError as error:
            codes = {code.value[0]: code for code in grpc.StatusCode}
            await context.abort(codes[error.status.code], error.status.message, self.trailers(error))
            raise

    def trailers(self, error: StatusError) -> tuple[tuple[str, bytes], ...]:
        return (("grpc-status-details-bin", error.status.SerializeToString()),)

    # The calls

    async def answer(self, request: Request) -> Response:
        self.steps_seen.append(request.step)
        self.check(request)
        key = self.key(request)
        async with self.locks[key]:
            if isinstance(request, pb.TryRequest):
                return await self.tried(key, request)
            return await self.compensated(key, request)

    def key(self, request: Request) -> Key:
        return request.saga_id, request.step

    def check(self, request: Request) -> None:
        for name in (request.saga_id, request.step):
            if not 0 < len(name) <= 128 or set(name) - _LETTERS:
                raise StatusError(Code.INVALID_ARGUMENT, "malformed")
        if request.action != ACTION:
            raise StatusError(Code.UNIMPLEMENTED, "no such action")

    async def tried(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        row = self.rows.get(key)
        if row is None:
            return self.run(key, request)
        if row.state in ("COMPENSATED", "TOMBSTONE"):
            return self.late(key, row)
        if row.payload != request.input.SerializeToString():
            return self.reused(key, row)
        return self.repeated(key, request, row)

    async def compensated(self, key: Key, request: pb.CompensateRequest) -> pb.CompensateResponse:
        row = self.rows.get(key)
        if row is None:
            return self.lost(key) if request.HasField("result") else self.bury(key)
        if row.state == "TRIED":
            return self.undo(key, request, row)
        return self.confirm(key, row)

    # One seam for each row of the table

    def run(self, key: Key, request: pb.TryRequest) -> pb.TryResponse:
        how = unpack(request.input, dict[str, str]).get("how", "")
        if how == "fail":
            raise StatusError(Code.INTERNAL)
        if how == "wait":
            return pb.TryResponse(pending=pb.Pending())
        if how == "reject":
            answer = pb.TryResponse(rejected=pb.Rejected(reason="NOT_HERE", message=new_saga_id()))
        else:
            answer = pb.TryResponse(succeeded=pb.TryResponse.Succeeded(result=pack({"id": new_saga_id()})))
            self.effects[key] += 1
        state = "REJECTED" if how == "reject" else "TRIED"
        self.rows[key] = Row(state, request.input.SerializeToString(), answer)
        return answer

    def repeated(self, key: Key, request: pb.TryRequest, row: Row) -> pb.TryResponse:
        assert row.answer is not None
        return row.answer

    def reused(self, key: Key, row: Row) -> pb.TryResponse:
        raise StatusError(Code.INVALID_ARGUMENT, "another input")

    def late(self, key: Key, row: Row) -> pb.TryResponse:
        return pb.TryResponse(rejected=pb.Rejected(reason="ALREADY_COMPENSATED"))

    def bury(self, key: Key) -> pb.CompensateResponse:
        self.rows[key] = Row("TOMBSTONE")
        return COMPENSATED

    def lost(self, key: Key) -> pb.CompensateResponse:
        return pb.CompensateResponse(refused=pb.CompensateResponse.Refused(reason="FENCE_LOST"))

    def undo(self, key: Key, request: pb.CompensateRequest, row: Row) -> pb.CompensateResponse:
        self.effects[key] -= 1
        row.state = "COMPENSATED"
        return COMPENSATED

    def confirm(self, key: Key, row: Row) -> pb.CompensateResponse:
        return COMPENSATED

    # What no call tells

    async def count_effects(self, saga_id: str) -> int:
        return sum(count for (saga, _), count in self.effects.items() if saga == saga_id)

    async def restarting(self) -> None:
        """Waits until it may be killed."""

    def restarted(self) -> None:
        """What a restart leaves: all that is committed."""
        self.locks.clear()
