"""A participant on a port of its own, which can be restarted, and the kit looking at it."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import grpc

from amends._payload import pack
from amends.v1 import participant_pb2 as pb
from amends.v1 import participant_pb2_grpc
from amends_coordinator.conformance import Inputs, Result, Subject, Verdict, certify_participant
from tests.addresses import free_address
from tests.conformance.by_hand import ACTION, ByHand

ALL = Inputs(
    succeeding=pack({"how": "accept"}),
    rejected=pack({"how": "reject"}),
    other=pack({"how": "accept", "more": "words"}),
    failing=pack({"how": "fail"}),
    pending=pack({"how": "wait"}),
)
"""Inputs of the participant by hand, of every kind."""


class Stage:
    """A participant by hand, and the server around it."""

    def __init__(self, participant: ByHand, *, without: Collection[str] = ()) -> None:
        self.participant = participant
        self.address = free_address()
        self._without = without
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        server = self._server = grpc.aio.server()
        service = participant_pb2_grpc.ParticipantServicer()
        for name in {"Try", "Compensate", "Describe", "Exchange"} - set(self._without):
            setattr(service, name, getattr(self.participant, name))
        participant_pb2_grpc.add_ParticipantServicer_to_server(service, server)
        server.add_insecure_port(self.address)
        await server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def restart(self) -> None:
        await self.participant.restarting()
        await self.stop()
        self.participant.restarted()
        await self.start()

    def subject(self, inputs: Inputs = ALL) -> Subject:
        """All that can be told of it."""
        return Subject(
            action=ACTION,
            inputs=inputs,
            count_effects=self.participant.count_effects,
            restart=self.restart,
        )


@asynccontextmanager
async def staged(participant: ByHand, *, without: Collection[str] = ()) -> AsyncIterator[Stage]:
    """Serves a participant; RPCs may be left out."""
    stage = Stage(participant, without=without)
    await stage.start()
    try:
        yield stage
    finally:
        await stage.stop()


async def certified(stage: Stage, subject: Subject | None = None) -> list[Result]:
    """Has the kit certify a participant, with all that can be told of it unless something else is given."""
    options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)]
    async with grpc.aio.insecure_channel(stage.address, options=options) as channel:
        stub = participant_pb2_grpc.ParticipantStub(channel)
        described = await stub.Describe(pb.DescribeRequest(), wait_for_ready=True)
        return await certify_participant(channel, described, subject or stage.subject())


def ended(results: list[Result], verdict: Verdict) -> dict[tuple[str, str], str]:
    """The rows that ended one way, with the reasons."""
    return {(each.over, each.row): each.why for each in results if each.verdict is verdict}
