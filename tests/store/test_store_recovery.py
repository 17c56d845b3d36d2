"""Finding the sagas that are unfinished, that sleep, and that are due, in every store."""

from amends_coordinator.core.facts import CompensationStarted, SagaCompleted
from amends_coordinator.core.fold import rebuild
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Cause, TurnBack
from amends_coordinator.store.interface import Append, Store
from tests.store.store_sagas import NOW, more, row, start

BACK = CompensationStarted(TurnBack(Cause.CANCELLED, "", "CANCELLED", "enough"))


def turned_back(saga_id: str, time: float) -> Append:
    return more(saga_id, 2, BACK, time=time, renewed=row(saga_id, time, SagaState.COMPENSATING))


def completed(saga_id: str, time: float) -> Append:
    return more(saga_id, 2, SagaCompleted(), time=time, renewed=row(saga_id, time, SagaState.COMPLETED))


async def ids(store: Store, after: str = "", limit: int = 10, now: float = NOW) -> list[str]:
    return [saga_id for saga_id, _ in await store.read_unfinished(after, limit, now)]


async def test_reads_whole_logs_of_the_unfinished_oldest_first(store: Store) -> None:
    await store.append([start("c", NOW), start("a", NOW + 1), start("b", NOW + 2), start("d", NOW - 1)])
    await store.append([turned_back("a", NOW + 1), completed("b", NOW + 2)])
    page = await store.read_unfinished("", 10, NOW)
    assert [saga_id for saga_id, _ in page] == ["d", "c", "a"]
    assert [rebuild(saga_id, events).state for saga_id, events in page] == [
        SagaState.RUNNING,
        SagaState.RUNNING,
        SagaState.COMPENSATING,
    ]


async def test_pages_of_the_unfinished_meet_without_overlap(store: Store) -> None:
    """Sagas created at the same moment are in the order of their ids, across states and pages."""
    names = [f"saga-{number}" for number in range(10)]
    await store.append([start(name, NOW + number // 4) for number, name in enumerate(names)])
    await store.append([turned_back(name, NOW + int(name[-1]) // 4) for name in names[::3]])
    found: list[str] = []
    while page := await ids(store, found[-1] if found else "", limit=3):
        assert len(page) == min(3, len(names) - len(found))
        found += page
    assert found == names


async def test_pages_go_on_after_a_saga_that_ended_meanwhile(store: Store) -> None:
    await store.append([start(name, NOW + place) for place, name in enumerate("abcd")])
    assert await ids(store, limit=2) == ["a", "b"]
    await store.append([completed("b", NOW + 1)])
    assert await ids(store, after="b") == ["c", "d"]


async def test_pages_begin_again_after_a_saga_that_was_removed_meanwhile(store: Store) -> None:
    """It repeats some, and leaves out none."""
    await store.append([start(name, NOW + place) for place, name in enumerate("abcd")])
    await store.append([completed("b", NOW + 1)])
    await store.remove_ended(NOW + 100, 10)
    assert await ids(store, after="b") == ["a", "c", "d"]


async def test_sleepers_are_left_out_until_their_time(store: Store) -> None:
    await store.append([start("a"), start("b")])
    await store.sleep({"a": NOW + 60})
    assert await ids(store) == ["b"]
    assert await ids(store, now=NOW + 60) == ["a", "b"]


async def test_a_page_is_full_though_many_sleep(store: Store) -> None:
    names = [f"saga-{number:03}" for number in range(50)]
    await store.append([start(name) for name in names])
    await store.sleep(dict.fromkeys(names[:45], NOW + 60))
    assert await ids(store, limit=5) == names[45:]


async def test_takes_the_due_the_earliest_first(store: Store) -> None:
    await store.append([start("a"), start("b"), start("c"), more("b", 2)])
    await store.sleep({"a": NOW + 3, "b": NOW + 2, "c": NOW + 9})
    assert await store.next_wake_time() == NOW + 2
    due = await store.take_due(NOW + 5, 10)
    assert [(saga_id, len(events)) for saga_id, events in due] == [("b", 2), ("a", 1)]
    assert await store.next_wake_time() == NOW + 9


async def test_what_was_taken_is_awake(store: Store) -> None:
    await store.append([start("a"), start("b")])
    await store.sleep({"a": NOW + 1, "b": NOW + 1})
    assert len(await store.take_due(NOW + 1, 1)) == 1
    assert len(await store.take_due(NOW + 1, 1)) == 1
    assert await store.take_due(NOW + 1, 1) == []
    assert await store.next_wake_time() is None
    assert await ids(store) == ["a", "b"]


async def test_an_append_wakes_its_saga(store: Store) -> None:
    await store.append([start("a"), start("b")])
    await store.sleep({"a": NOW + 60, "b": NOW + 70})
    await store.append([more("a", 2)])
    assert await store.next_wake_time() == NOW + 70
    assert await ids(store) == ["a"]


async def test_a_refused_append_wakes_nobody(store: Store) -> None:
    await store.append([start("a")])
    await store.sleep({"a": NOW + 60})
    await store.append([more("a", 9)])
    assert await store.next_wake_time() == NOW + 60


async def test_a_sleeper_can_be_put_off(store: Store) -> None:
    await store.append([start("a")])
    await store.sleep({"a": NOW + 60})
    await store.sleep({"a": NOW + 90})
    assert await store.next_wake_time() == NOW + 90


async def test_only_unfinished_sagas_sleep(store: Store) -> None:
    await store.append([start("a"), completed("a", NOW)])
    await store.sleep({"a": NOW + 60, "nobody": NOW + 60})
    assert await store.next_wake_time() is None


async def test_counts_the_unfinished(store: Store) -> None:
    empty = await store.census()
    assert (dict(empty.unfinished), empty.oldest_create_time) == ({}, None)
    await store.append([start("a", NOW + 1), start("b", NOW + 2), start("c", NOW + 3), start("d", NOW)])
    await store.append([turned_back("b", NOW + 2), completed("d", NOW)])
    census = await store.census()
    assert dict(census.unfinished) == {SagaState.RUNNING: 2, SagaState.COMPENSATING: 1}
    assert census.oldest_create_time == NOW + 1
