"""Starts whose definition is not admitted yet: how many may wait, and what their participants are asked."""

import asyncio

import grpc
import pytest

from amends.v1 import coordinator_pb2 as pb
from amends.v1 import participant_pb2
from amends_coordinator.api import starting
from tests.api.service_world import (
    Failure,
    Service,
    definition,
    failure,
    offers,
    service,
    start_request,
    until,
)


def count_questions(s: Service, *, failing: bool = False) -> list[str]:
    """Notes whenever the shop is asked what it offers."""
    asked: list[str] = []
    describe = s.shop.describe

    async def counted() -> participant_pb2.DescribeResponse:
        asked.append("shop")
        answer = await describe()
        if failing:
            raise grpc.RpcError("it is away")
        return answer

    s.shop.describe = counted  # type: ignore[assignment, method-assign]
    return asked


async def test_a_participant_is_asked_once_for_all_who_wait() -> None:
    """A thousand clients at once must not become a thousand questions, whatever definitions they bring."""
    async with service() as s:
        asked = count_questions(s)
        described = s.shop.hold_description()
        starts = [
            asyncio.ensure_future(s.begin(f"a{number}", definition=definition("ship", name=f"d{number}")))
            for number in range(20)
        ]
        await until(lambda: s.starter.admitting == 20)
        described.set()
        await asyncio.gather(*starts)
        assert asked == ["shop"]


async def test_who_waits_for_a_participant_that_is_away_does_not_ask_it_again() -> None:
    """That it gave no answer is an answer for all of them, and no obstacle."""
    async with service() as s:
        asked = count_questions(s, failing=True)
        described = s.shop.hold_description()
        starts = [asyncio.ensure_future(s.begin(f"a{number}")) for number in range(3)]
        await until(lambda: s.starter.admitting == 3)
        described.set()
        await asyncio.gather(*starts)
        assert asked == ["shop"]


async def test_a_question_whose_asker_went_away_is_asked_by_another() -> None:
    """Here a client gives up on registering a definition, while a start waits for the same answer."""
    async with service() as s:
        asked = count_questions(s)
        described = s.shop.hold_description()
        register = s.stub.RegisterDefinition(pb.RegisterDefinitionRequest(definition=definition()))
        registering = asyncio.ensure_future(register.code())
        await until(lambda: asked)
        start = asyncio.ensure_future(s.begin("a"))
        await until(lambda: s.starter.admitting == 1)
        register.cancel()
        await registering
        await until(lambda: len(asked) == 2)
        described.set()
        assert (await start).id == "a"


async def test_starts_that_wait_to_be_admitted_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """RESOURCE_EXHAUSTED and a time to come back, for one start and for those of a stream alike."""
    monkeypatch.setattr(starting, "MAX_ADMITTING", 2)
    async with service() as s:
        described = s.shop.hold_description()
        waiting = [asyncio.ensure_future(s.begin(saga_id)) for saga_id in ("a", "b")]
        await until(lambda: s.starter.admitting == 2)
        refused = await failure(s.begin("c"))
        assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_STARTS")
        assert refused.retry_info.retry_delay.ToTimedelta().total_seconds() == starting.ADMITTING_DELAY
        stream = s.stub.StartSagas(timeout=10.0)
        await stream.write(
            pb.StartSagasRequest(starts=[pb.StartSagasRequest.Start(number=1, request=start_request("d"))])
        )
        (result,) = (await stream.read()).results
        assert Failure(result.error).reason == "TOO_MANY_STARTS"
        await stream.done_writing()
        described.set()
        assert [saga.id for saga in await asyncio.gather(*waiting)] == ["a", "b"]
        assert (await s.begin("c")).id == "c"
        assert s.starter.admitting == 0


async def test_a_participant_that_hangs_leaves_room_for_the_definitions_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that wait for it are as many as may, whichever definitions they bring."""
    monkeypatch.setattr(starting, "MAX_ADMITTING_ALIKE", 2)
    async with service() as s:
        described = s.shop.hold_description()
        waiting = [
            asyncio.ensure_future(s.begin(name, definition=definition("ship", name=name)))
            for name in ("a", "b")
        ]
        await until(lambda: s.starter.admitting == 2)
        assert (await failure(s.begin("c"))).reason == "TOO_MANY_STARTS"
        assert (await s.begin("d", definition=definition("pay", participant="bank"))).id == "d"
        described.set()
        assert [saga.id for saga in await asyncio.gather(*waiting)] == ["a", "b"]
        assert (await s.begin("c")).id == "c"


async def test_what_a_participant_says_while_it_is_replaced_is_believed_by_nobody_else() -> None:
    """It may be its predecessor that has said so."""
    async with service() as s:
        asked = count_questions(s)
        s.shop.description, described = offers("reserve"), s.shop.hold_description()
        start = asyncio.ensure_future(s.begin("a", definition=definition("reserve")))
        await until(lambda: asked == ["shop"])
        s.admission.participant_changed("shop")
        described.set()
        await start
        s.shop.description = offers("something else")
        assert (await failure(s.begin("b", definition=definition("reserve")))).code == "INVALID_ARGUMENT"
