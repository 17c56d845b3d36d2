"""P10: the same start is the same saga, whatever state it is in; other content is an error."""

import asyncio

import pytest
from google.protobuf import struct_pb2

from amends_coordinator.core.definition import Definition
from amends_coordinator.core.outcomes import Refused
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import Direction, Payload, Refusal
from amends_coordinator.runtime.errors import (
    AlreadyExistsError,
    ExistsInStoreError,
    RequestError,
    UnavailableError,
)
from tests.runtime.runtime_world import FAR, HOLD, REJECTED, SUCCEEDED, World, order, started, step, world
from tests.runtime.virtual_time import in_virtual_time

STRUCT = "type.googleapis.com/google.protobuf.Struct"


async def _start(w: World, saga_id: str, *, until_end: bool = False, **content: object) -> Saga:
    """Starts a saga as the API does: what turns out to be in the store is joined there."""
    asking = w.start(saga_id, until_end=until_end, **content)
    try:
        return await asking.answer
    except ExistsInStoreError:
        definition = content.pop("definition", None)
        assert definition is None or isinstance(definition, Definition)
        joining = w.ask(until_end=until_end)
        fact = started(definition or order(), **content)  # type: ignore[arg-type]
        await w.runtime.join_stored(saga_id, fact, joining.waiter)
        return await joining.answer


async def _live(w: World) -> None:
    w.shop.script["reserve"] = HOLD
    await w.start("a").answer


async def _asleep(w: World) -> None:
    w.shop.script["reserve"] = FAR
    await w.start("a").answer
    await w.asleep()
    assert len(w.runtime) == 0


async def _ended(w: World) -> None:
    await w.run("a")


STATES = pytest.mark.parametrize("reach", [_live, _asleep, _ended])


@STATES
def test_p10_the_same_start_returns_the_saga(reach) -> None:  # type: ignore[no-untyped-def]
    """Live, asleep or ended: the answer is that saga, and nothing is written or called."""

    @in_virtual_time
    async def run() -> None:
        async with world() as w:
            await reach(w)
            calls, facts = list(w.shop.calls), w.store.facts("a")
            assert (await _start(w, "a")).id == "a"
            assert (w.shop.calls, w.store.facts("a")) == (calls, facts)

    run()


@STATES
def test_p10_other_content_is_an_error_and_changes_nothing(reach) -> None:  # type: ignore[no-untyped-def]
    """The message names what differs."""

    @in_virtual_time
    async def run() -> None:
        async with world() as w:
            await reach(w)
            before = w.store.log("a")
            with pytest.raises(AlreadyExistsError, match="another input"):
                await _start(w, "a", input=Payload("text", b"other"))
            assert w.store.log("a") == before

    run()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"definition": order(name="other")}, "definition"),
        ({"definition": order(step("reserve"))}, "definition"),
        ({"input": Payload("text", b"other")}, "input"),
        ({"input": Payload("number", b"text")}, "input"),
        ({"step_inputs": {"reserve": Payload("text", b"")}}, "set of step inputs"),
        ({"labels": {"color": "red"}}, "set of labels"),
        ({"by_name": True}, "definition"),
    ],
)
def test_p10_the_error_names_the_part_that_differs(content: dict[str, object], part: str) -> None:
    """A definition, an input, a step's input, the labels, and whether the definition was sent or named."""

    @in_virtual_time
    async def run() -> None:
        async with world() as w:
            await _live(w)
            with pytest.raises(AlreadyExistsError, match=f"another {part};"):
                await _start(w, "a", **content)

    run()


@in_virtual_time
async def test_p10_another_input_of_one_step_is_named() -> None:
    """Of many step inputs, the one that differs."""
    async with world() as w:
        await w.start("a", step_inputs={"ship": Payload("text", b"here")}).answer
        with pytest.raises(AlreadyExistsError, match="another input of step 'ship'"):
            await _start(w, "a", step_inputs={"ship": Payload("text", b"there")})


@in_virtual_time
async def test_p10_the_same_start_twice_in_the_same_moment_is_one_saga() -> None:
    """Both are answered with it, and it is written and called once."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        first, second = await asyncio.gather(_start(w, "a"), _start(w, "a"))
        assert first is second
        await w.until(lambda: w.shop.calls)
        assert w.store.facts("a") == ["SagaStarted"]
        assert w.shop.calls == ["a/reserve Try 1"]


@in_virtual_time
async def test_p10_other_content_in_the_same_moment_is_an_error() -> None:
    """The first wins."""
    async with world() as w:
        results = await asyncio.gather(
            _start(w, "a"), _start(w, "a", input=Payload("text", b"other")), return_exceptions=True
        )
        assert isinstance(results[0], Saga)
        assert isinstance(results[1], AlreadyExistsError)


@in_virtual_time
async def test_p10_an_odd_start_does_not_spoil_the_right_one_that_comes_with_it() -> None:
    """A saga that ended is started again with other content and, before that is refused, with its own."""
    async with world() as w:
        await w.run("a")
        odd, right = await asyncio.gather(
            _start(w, "a", input=Payload("text", b"other")), _start(w, "a"), return_exceptions=True
        )
        assert isinstance(odd, AlreadyExistsError)
        assert isinstance(right, Saga)


@in_virtual_time
async def test_a_repetition_shares_the_fate_of_a_start_that_cannot_be_written() -> None:
    """Both are told that nothing has happened."""
    async with world() as w:
        w.store.failing = True
        results = await asyncio.gather(_start(w, "a"), _start(w, "a"), return_exceptions=True)
        assert [type(each) for each in results] == [UnavailableError, UnavailableError]
        assert all(isinstance(each, RequestError) and each.reason == "STORE_UNAVAILABLE" for each in results)


@in_virtual_time
async def test_a_repetition_of_a_start_that_the_store_cannot_take_is_told_the_same() -> None:
    """And not that there is no such saga, as if the store held another."""
    async with world() as w:
        w.store.poison = b"poison"
        w.store.open.clear()
        first, second = (w.start("a", input=Payload("text", b"poison")) for _ in range(2))
        w.store.open.set()
        for asking in (first, second):
            error = await asking.error()
            assert isinstance(error, UnavailableError)
            assert error.reason == "STORE_UNAVAILABLE"


@in_virtual_time
async def test_p10_a_repetition_may_wait_for_the_end() -> None:
    """Who only started it and who waits for its end get the same saga."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await _start(w, "a")
        waiting = asyncio.create_task(_start(w, "a", until_end=True))
        await w.until(lambda: w.shop.held)
        w.shop.answer(REJECTED)
        assert (await waiting).state.name == "COMPENSATED"


@in_virtual_time
async def test_p10_json_is_compared_by_content() -> None:
    """Some languages write the keys of an object in another order each time."""
    one, other = (struct_pb2.Struct(), struct_pb2.Struct())
    one.update({"a": 1, "b": 2})
    a, b = (Payload(STRUCT, _entry(one, *keys)) for keys in ("ab", "ba"))
    assert a.value != b.value
    other.update({"a": 1, "b": 3})
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await _start(w, "a", input=a)
        assert (await _start(w, "a", input=b)).id == "a"
        with pytest.raises(AlreadyExistsError):
            await _start(w, "a", input=Payload(STRUCT, other.SerializeToString()))


def _entry(struct: struct_pb2.Struct, *keys: str) -> bytes:
    """The bytes of a struct with its keys in this order."""
    return b"".join(struct_pb2.Struct(fields={key: struct.fields[key]}).SerializeToString() for key in keys)


@in_virtual_time
async def test_p10_by_name_it_is_the_same_saga_whatever_was_registered_since() -> None:
    """The newest version would be run by a new saga; this one keeps its own."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await _start(w, "a", definition=order(version=1), by_name=True)
        newer = order(step("reserve"), version=2)
        saga = await _start(w, "a", definition=newer, by_name=True)
        assert saga.definition.version == 1


@in_virtual_time
async def test_a_saga_keeps_its_definition_across_a_restart() -> None:
    """A newer version with other steps changes nothing for a saga under way."""
    async with world() as w:
        w.shop.script["reserve"] = HOLD
        await _start(w, "a", definition=order(version=1), by_name=True)
        await w.store.put_definition(order(step("reserve"), version=2), 0.0)
        await w.restart()
        await w.until(lambda: w.shop.held)
        w.shop.answer(SUCCEEDED)
        await w.until(lambda: w.store.facts("a")[-1] == "SagaCompleted")
        assert [call for call in w.shop.calls if "ship" in call] == ["a/ship Try 1"]


@in_virtual_time
async def test_a_repetition_that_waits_for_a_saga_which_was_just_parked_is_answered() -> None:
    """Also in the moment in which the parking is not durable yet."""
    async with world() as w:
        w.shop.script |= {"ship": REJECTED, "charge": SUCCEEDED}
        w.shop.script["reserve"] = HOLD
        definition = order(step("reserve"), step("ship"))
        await _start(w, "a", definition=definition)
        await _park(w)
        waiting = asyncio.create_task(_start(w, "a", until_end=True, definition=definition))
        await w.quiet()
        assert not waiting.done()
        w.store.open.set()
        assert (await waiting).state.name == "PARKED"


async def _park(w: World) -> None:
    """Has the saga parked, with the fact of it on its way to the disk."""
    w.shop.script["reserve", Direction.BACKWARD] = HOLD
    w.shop.answer(SUCCEEDED)
    await w.until(lambda: w.shop.held)
    w.store.open.clear()
    w.shop.answer(Refused(Refusal("TOO_LATE")))
    assert w.live("a").saga.state.name == "PARKED"
