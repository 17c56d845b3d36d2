"""Participants that are asked what they offer, and do not say."""

import asyncio
from typing import Any

import grpc
import pytest

from amends.v1 import participant_pb2 as pb
from amends_coordinator.runtime.descriptions import PATIENCE, UNDESCRIBED, Descriptions
from amends_coordinator.runtime.reflections import Reflections, UnansweredError
from amends_coordinator.timers import Timers
from tests.descriptors import acme
from tests.runtime.runtime_world import FakeParticipant, FaultyStore
from tests.runtime.virtual_time import in_virtual_time


def error(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "words")


def asking(kind: Any) -> tuple[Any, FakeParticipant]:
    shop = FakeParticipant(FaultyStore())
    return kind({"shop": shop}, Timers(asyncio.get_running_loop())), shop


@in_virtual_time
async def test_a_participant_that_hung_is_asked_again_by_one_while_the_others_are_told() -> None:
    reflections, shop = asking(Reflections)
    shop.files = error(grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(UnansweredError):
        await reflections.of("shop", ["x.Y"])
    await asyncio.sleep(PATIENCE)
    shop.files, answer = acme.files(), shop.hold_reflection()
    first = asyncio.ensure_future(reflections.of("shop", ["x.Y"]))
    await asyncio.sleep(0)
    with pytest.raises(UnansweredError, match="DEADLINE_EXCEEDED: words"):
        await reflections.of("shop", ["x.Y"])
    answer.set()
    assert (await first) == acme.files()
    assert (await reflections.of("shop", ["x.Y"])) == acme.files()
    assert len(shop.reflected) == 3


@in_virtual_time
async def test_a_participant_that_answers_with_an_error_is_asked_each_time() -> None:
    """That takes no time, and it may be back."""
    reflections, shop = asking(Reflections)
    shop.files = error(grpc.StatusCode.UNAVAILABLE)
    for _ in range(2):
        with pytest.raises(UnansweredError):
            await reflections.of("shop", ["x.Y"])
    shop.files = acme.files()
    assert (await reflections.of("shop", ["x.Y"])) == acme.files()


@in_virtual_time
async def test_a_participant_without_describe_is_asked_again_later() -> None:
    """Another version of it may have more to say, and no stream says that it is another."""
    descriptions, shop = asking(Descriptions)
    shop.description = error(grpc.StatusCode.UNIMPLEMENTED)
    assert (await descriptions.of(["shop"], lambda *_: True)) == {"shop": UNDESCRIBED}
    shop.description = pb.DescribeResponse(actions=[pb.ActionDescription(name="pay")])
    assert (await descriptions.of(["shop"], lambda *_: True))["shop"] is UNDESCRIBED
    await asyncio.sleep(PATIENCE)
    assert list((await descriptions.of(["shop"], lambda *_: True))["shop"]) == ["pay"]
