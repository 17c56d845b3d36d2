"""What thousands of sagas share of their definitions, and how much is remembered beyond that."""

import gc

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from amends.v1 import saga_pb2
from amends_coordinator.contract import definitions
from amends_coordinator.contract.definitions import (
    MAX_RECENT,
    definition_from_proto,
    definition_to_proto,
    shared_definition,
    shared_message,
)
from amends_coordinator.contract.facts import decode_event, encode_fact
from amends_coordinator.contract.recent import Recent
from amends_coordinator.core import facts as f


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have left is not remembered."""
    for name in ("_read", "_written", "_descriptors", "_large_descriptors"):
        monkeypatch.setattr(definitions, name, Recent(MAX_RECENT))


def large(descriptors: int, steps: int = 1, name: str = "large", version: int = 0) -> saga_pb2.Definition:
    """A definition with about so many bytes of descriptors."""
    message = saga_pb2.Definition(name=name, version=version)
    for number in range(steps):
        message.steps.add(name=f"step-{number}", participant="carrier", action="book")
    file = message.descriptors.file.add(name=f"{name}.proto")
    for number in range(descriptors // 30):
        file.message_type.add(name=f"a_message_of_thirty_byt_{number:05}")
    return message


def in_pieces(message: saga_pb2.Definition) -> saga_pb2.Definition:
    """The same as another message, as the next saga brings it."""
    return saga_pb2.Definition.FromString(message.SerializeToString())


@pytest.mark.parametrize(("descriptors", "steps"), [(0, 1), (250_000, 1), (0, 1_000), (250_000, 1_000)])
def test_sagas_read_from_the_log_hold_one_definition_however_large(descriptors: int, steps: int) -> None:
    """Fifty thousand with descriptors of 256 KiB would take 12 GiB else."""
    read = definition_from_proto(large(descriptors, steps))
    data = encode_fact(f.SagaStarted(definition=read, input=None, step_inputs={}, labels={}), 0.0)
    held = {id(event.fact.definition): event for event in (decode_event(str(n), 1, data) for n in range(20))}
    assert len(held) == 1


def test_a_definition_is_shared_for_as_long_as_anybody_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if so many others came since that it is not remembered."""
    monkeypatch.setattr(definitions, "_read", Recent(0))
    message = large(100_000)
    held = shared_definition(message)
    assert shared_definition(in_pieces(message)) is held
    live, known = definitions._live, len(definitions._live)
    del held
    gc.collect()
    assert len(live) == known - 1


@pytest.mark.parametrize("descriptors", [100_000, 1_000_000])
def test_definitions_that_differ_share_their_descriptors(descriptors: int) -> None:
    """As those do that a client makes for each start, with a timeout of its own, and the registered ones."""
    one, other = large(descriptors), large(descriptors, steps=2)
    first, second = shared_definition(one), shared_definition(other)
    assert first != second
    assert first.descriptors is second.descriptors
    assert definition_from_proto(in_pieces(one)).descriptors is first.descriptors
    assert FileDescriptorSet.FromString(first.descriptors) == one.descriptors


def test_descriptors_that_no_saga_could_keep_drive_out_none_that_are_kept() -> None:
    """A client may send 4 MiB with each start, of which little is needed."""
    kept = shared_definition(large(100_000))
    for number in range(10):
        shared_definition(large(4_000_000, name=f"sent-{number}"))
    assert shared_definition(large(100_000, steps=2)).descriptors is kept.descriptors


def test_a_definition_of_another_version_is_another() -> None:
    """What is shared is what is equal in every field."""
    first, second = shared_definition(large(99, version=1)), shared_definition(large(99, version=2))
    assert (first.version, second.version) == (1, 2)


def test_what_is_remembered_of_definitions_is_bounded_by_bytes() -> None:
    """Clients send hundreds that differ, with large descriptors or with many steps."""
    for number in range(100):
        shared_message(shared_definition(large(200_000, name=f"fat-{number}")))
        shared_message(shared_definition(large(0, steps=1_000, name=f"long-{number}")))
    for number in range(5):
        shared_definition(large(4_000_000, name=f"sent-{number}"))
    for form in ("_read", "_written", "_descriptors", "_large_descriptors"):
        assert MAX_RECENT // 2 < getattr(definitions, form).weight <= MAX_RECENT


def test_a_definition_is_written_once_for_all_its_sagas() -> None:
    """The message is the same object, and is what the definition says."""
    definition = shared_definition(large(100_000))
    assert shared_message(definition) is shared_message(definition)
    assert shared_message(definition) == definition_to_proto(definition)


# What was used last


def kept(recent: Recent[str, str], key: str, weight: int = 1) -> bool:
    """Whether a value was remembered; it is now."""
    made: list[str] = []
    recent.get(key, lambda: made.append(key) or key, lambda _: weight)
    return not made


def test_of_too_many_the_one_that_was_not_used_for_longest_is_forgotten() -> None:
    """Being found is being used."""
    recent: Recent[str, str] = Recent(3)
    assert [kept(recent, key) for key in "abcad"] == [False, False, False, True, False]
    assert [kept(recent, key) for key in "acd"] == [True, True, True]
    assert not kept(recent, "b")


def test_a_heavy_value_takes_the_place_of_several() -> None:
    """What counts is the weight of all."""
    recent: Recent[str, str] = Recent(3)
    for key in "abc":
        kept(recent, key)
    kept(recent, "heavy", 2)
    assert recent.weight == 3
    assert kept(recent, "c")
    assert not kept(recent, "a")


def test_what_is_too_heavy_is_made_each_time() -> None:
    """It drives out nothing."""
    recent: Recent[str, str] = Recent(3)
    kept(recent, "a")
    assert not kept(recent, "heavy", 4)
    assert not kept(recent, "heavy", 4)
    assert kept(recent, "a")


def test_a_value_that_two_threads_make_at_once_counts_once() -> None:
    """The second finds it there when it has made its own."""
    recent: Recent[str, str] = Recent(3)
    recent.get("a", lambda: str(kept(recent, "a")), lambda _: 1)
    assert recent.weight == 1
