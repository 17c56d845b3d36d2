"""Participants that answer with anything, at a real daemon: no saga is lost, and no other one notices.

Once they answer as they should, and an operator has whatever they left behind retried, every saga ends.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from amends import Client, Definition, Retry, Saga, Step
from amends.errors import FailedPrecondition
from amends.v1 import participant_pb2 as pb
from tests.fuzz.effort import SEED, times
from tests.fuzz.hostile import Hostile
from tests.fuzz.messages import PAYLOAD, REPLIES, STATUSES
from tests.integration.conftest import Stage, three_steps

SAGAS = times(60)
PATIENCE_S = 60.0
QUICK = Retry(max_attempts=3, initial_backoff=0.005, max_backoff=0.01)


class Liar(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types for it
    """A participant by its bytes alone. It is honest about itself, and about calls after enough lies."""

    def __init__(self, random: Random, *, lies: int, exchange: bool) -> None:
        self._random = random
        self._lies = lies
        self._exchange = exchange
        self.honest = asyncio.Event()

    def service(self, details: Any) -> Any:
        """Finds what answers a method."""
        method = details.method.rpartition("/")[2]
        if method == "Exchange":
            return grpc.stream_stream_rpc_method_handler(self._answer_stream)
        return grpc.unary_unary_rpc_method_handler(
            {"Try": self._try, "Compensate": self._compensate, "Describe": self._describe}[method]
        )

    async def _answer_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        if not self._exchange:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "by unary calls only")
        async for data in requests:
            response = pb.ExchangeResponse()
            for call in pb.ExchangeRequest.FromString(data).calls:
                reply = response.replies.add(number=call.number)
                if call.HasField("try_request"):
                    reply.try_response.succeeded.result.CopyFrom(PAYLOAD)
                else:
                    reply.compensate_response.compensated.SetInParent()
            yield await self._send(response, context)

    async def _try(self, _request: bytes, context: Any) -> bytes:
        response = pb.TryResponse(succeeded=pb.TryResponse.Succeeded(result=PAYLOAD))
        return await self._send(response, context)

    async def _compensate(self, _request: bytes, context: Any) -> bytes:
        response = pb.CompensateResponse(compensated=pb.CompensateResponse.Compensated())
        return await self._send(response, context)

    async def _describe(self, _request: bytes, _context: Any) -> bytes:
        action = pb.ActionDescription(name="do", compensatable=True)
        return pb.DescribeResponse(participant="liar", actions=[action]).SerializeToString()

    async def _send(self, response: Any, context: Any) -> bytes:
        """Gives an answer, or something else."""
        if self.honest.is_set():
            return response.SerializeToString()  # type: ignore[no-any-return]
        self._lies -= 1
        if self._lies <= 0:
            self.honest.set()
        if self._random.random() < 0.2:
            code = self._random.choice([each for each in grpc.StatusCode if each is not grpc.StatusCode.OK])
            details = (("grpc-status-details-bin", Hostile(self._random, STATUSES).make()[:2_000]),)
            await context.abort(code, self._random.choice(["", "words", "ä" * 500]), details)
        samples = [response] if self._random.random() < 0.7 else [response, *REPLIES]
        return Hostile(self._random, samples).make()


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "unary"])
async def test_every_saga_ends_once_its_participant_stops_lying(tmp_path: Path, exchange: bool) -> None:
    """By streams or by unary calls; meanwhile the sagas of others complete."""
    liar = Liar(
        Random(f"{SEED}/{exchange}"), lies=2 * SAGAS if not exchange else SAGAS // 2, exchange=exchange
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((liar,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stage = Stage(tmp_path)
    try:
        await stage.start_ledger()
        await stage.start_daemon("--participant", f"liar=127.0.0.1:{port}")
        async with asyncio.timeout(PATIENCE_S), stage.client() as client:
            for number in range(SAGAS):
                await client.start(two_lies(), {}, saga_id=f"s{number}")
            assert (await client.run(three_steps(), {}, timeout=20.0)).completed
            await keep_lying(client, liar)
            for number in range(SAGAS):
                ended = await helped(client, f"s{number}")
                assert ended.state.name in ("COMPLETED", "COMPENSATED"), ended
        # gRPC logs a traceback of its own for bytes that it cannot parse; ours would name our files.
        assert "/amends_coordinator/" not in (tmp_path / "amends.log").read_text()
    finally:
        await stage.close()
        await server.stop(None)


def two_lies() -> Definition:
    """Two steps of the liar's."""
    return Definition("lies", [Step(name, "liar", "do", timeout=1.0, retry=QUICK) for name in ("a", "b")])


async def keep_lying(client: Client, liar: Liar) -> None:
    """Has calls made until the liar has told all of its lies."""
    while not liar.honest.is_set():
        for number in range(SAGAS):
            with suppress(FailedPrecondition):  # it has ended, by a lie that was believed
                await client.retry(f"s{number}", reason="again")
        await client.start(two_lies(), {})


async def helped(client: Client, saga_id: str) -> Saga:
    """Retries a saga as an operator would, and waits for its end."""
    with suppress(FailedPrecondition):
        await client.retry(saga_id, reason="the participant is well again")
    return await client.wait(saga_id, timeout=20.0)
