"""Definitions at the door: what is remembered of them, and where the work is done."""

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from amends_coordinator.bindings.checking import Checker
from amends_coordinator.bindings.plan import plan_of
from amends_coordinator.bindings.wanted import Wanted
from amends_coordinator.core.checks import Violation
from amends_coordinator.core.definition import Definition, Step
from amends_coordinator.core.values import Direction
from amends_coordinator.runtime import admission, binder
from amends_coordinator.runtime.admission import Admission
from amends_coordinator.timers import Timers
from tests.api.service_world import until
from tests.descriptors import acme
from tests.runtime.runtime_world import FakeParticipant, FaultyStore


def a_door(*names: str) -> tuple[Admission, FakeParticipant]:
    """An admission, and the last of its participants."""
    participants: dict[str, Any] = {}
    for name in names or ("carrier",):
        participants[name] = participant = FakeParticipant(FaultyStore())
        participant.files = acme.files()
    return Admission(participants, Timers(asyncio.get_running_loop())), participant


def named(name: str) -> Definition:
    """A definition for which the carrier is asked."""
    return replace(acme.definition(descriptors=b""), name=name)


async def test_what_was_sent_is_not_kept_beyond_what_is_needed() -> None:
    """It may be many times as much, and differ each time."""
    door, _ = a_door()
    padding = acme.d.FileDescriptorProto(name="padding.proto", package="x" * 100_000)
    sent = acme.definition(descriptors=acme.files(padding).SerializeToString())
    bound = await door.admit(sent)
    assert len(bound.descriptors) < 1_000
    again, gone = replace(sent), weakref.ref(sent)
    del sent
    gc.collect()
    assert gone() is None
    assert door.admitted(again) is bound


async def test_a_result_that_nobody_described_is_read_as_any_type_that_was_sent() -> None:
    """Here as one that no method takes or gives."""
    door, shop = a_door("carrier", "shop")
    shop.description = None
    book = replace(acme.BOOK, request="BookRequest{reference: results.note.name}")
    note = Step(name="note", participant="shop", action="note")
    bound = await door.admit(acme.definition(note, acme.ship(needs=("note",), try_method=book)))
    result = acme.message("acme.v1.Unrelated")
    result.name = "N-1"
    saga = acme.begun(bound)
    saga.runs[0].result = acme.payload(result)
    assert b"N-1" in plan_of(bound).request(saga, 1, Direction.FORWARD)


@pytest.mark.parametrize("bound", ["MAX_REMEMBERED", "MAX_REMEMBERED_BYTES"])
async def test_of_too_many_definitions_those_are_forgotten_that_were_not_used_for_longest(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, carrier = a_door()
    first = await door.admit(named("a"))
    weight = len(repr(first.steps)) + len(first.descriptors)
    monkeypatch.setattr(admission, bound, 2 if bound == "MAX_REMEMBERED" else 2 * weight)
    await door.admit(named("b"))
    await door.admit(named("b"))
    assert door.admitted(named("a")) is first
    await door.admit(named("c"))
    assert [door.admitted(named(name)) is not None for name in "abc"] == [True, False, True]
    assert len(carrier.reflected) == 4


async def test_the_loop_is_not_held_up_by_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read, linked, cut and put together, and expressions are checked, in threads."""
    threads: dict[str, set[int]] = {}

    def noted(name: str, work: Any) -> Any:
        def note(*args: Any, **kwargs: Any) -> Any:
            threads.setdefault(name, set()).add(threading.get_ident())
            return work(*args, **kwargs)

        return note

    for name in ("Wanted", "Types", "Checker", "merged"):
        monkeypatch.setattr(binder, name, noted(name, getattr(binder, name)))
    for owner, name in ((Wanted, "files"), (Wanted, "symbols"), (Checker, "step_faults")):
        monkeypatch.setattr(owner, name, noted(name, getattr(owner, name)))
    door, _ = a_door()
    await door.admit(named("a"))
    await door.admit(acme.definition())
    assert len(threads) == 7
    assert threading.get_ident() not in set().union(*threads.values())


async def test_no_more_is_worked_out_once_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread cannot be ended, and the coordinator ends with the last of them: so each checks one step."""
    begun, go, checked = threading.Event(), threading.Event(), []

    def step_faults(_self: Checker, place: int) -> list[Violation]:
        checked.append(place)
        begun.set()
        assert go.wait(10)
        return []

    monkeypatch.setattr(Checker, "step_faults", step_faults)
    door, _ = a_door()
    many = acme.definition(*(acme.ship(f"s{number}") for number in range(100)))
    admitting = asyncio.ensure_future(door.admit(many))
    assert await asyncio.to_thread(begun.wait, 10)
    admitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await admitting
    go.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert checked == [0]


async def test_definitions_are_worked_out_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """More threads would take turns, and take them from the event loop."""
    under_way: list[int] = []
    most = 0

    def step_faults(_self: Checker, place: int) -> list[Violation]:
        nonlocal most
        under_way.append(place)
        most = max(most, len(under_way))
        os.sched_yield()  # another would have its chance
        under_way.pop()
        return []

    monkeypatch.setattr(Checker, "step_faults", step_faults)
    door, _ = a_door()
    steps = [acme.ship(f"s{number}") for number in range(20)]
    definitions = [replace(acme.definition(*steps), name=name) for name in "abcd"]
    await asyncio.gather(*map(door.admit, definitions))
    assert most == 1


async def test_a_step_with_faults_enough_is_the_last_that_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[int] = []

    def step_faults(_self: Checker, place: int) -> list[Violation]:
        checked.append(place)
        return [Violation(f"steps[{place}]", "is wrong")] * 15

    monkeypatch.setattr(Checker, "step_faults", step_faults)
    door, _ = a_door()
    with pytest.raises(admission.InvalidRequestError) as caught:
        await door.admit(acme.definition(*(acme.ship(f"s{number}") for number in range(10))))
    assert checked == [0, 1]
    assert caught.value.violations[-1].description == "is wrong too, and there may be more faults"


async def test_a_renewal_that_fails_by_a_mistake_of_ours_is_left_to_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is somebody to be told of it."""
    monkeypatch.setattr(admission, "REFLECTED_FOR", -1.0)
    door, carrier = a_door()
    await door.admit(named("a"))

    async def mistaken(_symbols: Iterable[str]) -> FileDescriptorSet:
        raise ZeroDivisionError

    monkeypatch.setattr(carrier, "reflect", mistaken)
    assert door.admitted(named("a")) is not None
    await until(lambda: not door.renewing)
    assert door.admitted(named("a")) is None
    with pytest.raises(ZeroDivisionError):
        await door.admit(named("a"))
