"""Writing and reading logs, in every store."""

import pytest

from amends_coordinator.core.facts import (
    AttemptFailed,
    CompensationStarted,
    Event,
    Fact,
    SagaCompleted,
    SagaParked,
    StepRejected,
    StepSucceeded,
)
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Cause, Direction, Rejection, TurnBack
from amends_coordinator.store.interface import Append, ConflictError, Store
from tests.store.store_sagas import NOW, PAYLOAD, more, row, start, started

FACTS: list[Fact] = [
    StepSucceeded("s0", 1, PAYLOAD),
    AttemptFailed("s1", Direction.FORWARD, 1, 14, "nobody listens \N{SNOWMAN}", NOW + 0.1),
    StepRejected("s1", 2, Rejection("OUT_OF_STOCK", 'none "left"', {"sku": "\u00e9\U0001f600"})),
    CompensationStarted(TurnBack(Cause.STEP_REJECTED, "s1", "OUT_OF_STOCK", "none left")),
]


def conflict(found: ConflictError | None) -> tuple[str, int]:
    assert found is not None
    return found.saga_id, found.sequence


async def test_reads_back_what_was_appended(store: Store) -> None:
    assert await store.append([start("a")]) == [None]
    assert await store.append([more("a", 2, *FACTS, time=NOW + 1)]) == [None]
    expected = [Event(1, NOW, started())]
    expected += [Event(sequence, NOW + 1, fact) for sequence, fact in enumerate(FACTS, start=2)]
    assert await store.read_log("a") == expected


async def test_reads_events_after_a_number(store: Store) -> None:
    await store.append([start("a"), more("a", 2, *FACTS)])
    assert [event.sequence for event in await store.read_log("a", 3)] == [4, 5]
    assert await store.read_log("a", 5) == []


async def test_an_unknown_saga_has_an_empty_log_and_no_row(store: Store) -> None:
    assert await store.read_log("nobody") == []
    assert await store.get_row("nobody") is None


async def test_an_empty_batch_writes_nothing(store: Store) -> None:
    assert await store.append([]) == []


async def test_a_batch_may_hold_several_appends_of_one_saga(store: Store) -> None:
    assert await store.append([start("a"), start("b"), more("a", 2), more("a", 3, *FACTS)]) == [None] * 4
    assert [event.sequence for event in await store.read_log("a")] == [1, 2, 3, 4, 5, 6]


async def test_the_row_is_that_of_the_last_append_with_one(store: Store) -> None:
    labels = {"customer": "7", "odd \"'\\": "\u00e9\n\U0001f600"}
    parked = row("a", NOW, SagaState.PARKED, labels=labels, needs_attention="s1 refused: \N{SNOWMAN}")
    await store.append([start("a", labels=labels)])
    await store.append([more("a", 2)])
    assert await store.get_row("a") == row("a", NOW, labels=labels)
    await store.append([more("a", 3, SagaParked("s1 refused"), renewed=parked)])
    assert await store.get_row("a") == parked
    done = row("a", NOW, SagaState.COMPLETED, labels=labels, end_time=NOW + 9)
    await store.append([more("a", 4, SagaCompleted(), renewed=done)])
    assert await store.get_row("a") == done


async def test_p10_a_second_start_changes_nothing(store: Store) -> None:
    await store.append([start("a", labels={"n": "1"})])
    (found,) = await store.append([start("a", NOW + 5, name="other", labels={"n": "2"})])
    assert conflict(found) == ("a", 1)
    assert await store.get_row("a") == row("a", labels={"n": "1"})
    assert await store.read_log("a") == [Event(1, NOW, started(labels={"n": "1"}))]


async def test_only_the_append_in_conflict_is_left_out(store: Store) -> None:
    await store.append([start("a"), start("b"), more("b", 2)])
    found = await store.append([more("a", 2), more("b", 2, *FACTS), start("c"), more("c", 2)])
    assert [one is None for one in found] == [True, False, True, True]
    assert conflict(found[1]) == ("b", 2)
    assert [len(await store.read_log(saga_id)) for saga_id in "abc"] == [2, 2, 2]


@pytest.mark.parametrize("sequence", [3, 9])
async def test_p9_an_append_beyond_the_end_of_the_log_is_a_conflict(store: Store, sequence: int) -> None:
    await store.append([start("a")])
    (found,) = await store.append([more("a", sequence)])
    assert conflict(found) == ("a", sequence)
    assert len(await store.read_log("a")) == 1


async def test_p9_who_was_refused_one_event_cannot_write_the_next(store: Store) -> None:
    """A writer that lost a saga may have several appends of it under way."""
    await store.append([start("a"), more("a", 2)])
    stale = [more("a", 2, *FACTS), more("a", 6), more("a", 7, renewed=row("a", needs_attention="?"))]
    found = await store.append(stale)
    assert [conflict(one) for one in found] == [("a", 2), ("a", 6), ("a", 7)]
    assert len(await store.read_log("a")) == 2
    assert await store.get_row("a") == row("a")


async def test_p9_what_follows_a_conflict_is_left_out_even_where_it_would_fit(store: Store) -> None:
    """The facts of the other writer may have just the number of those that were refused."""
    await store.append([start("a"), more("a", 2)])
    found = await store.append(
        [start("b"), more("a", 2), more("a", 3, renewed=row("a", needs_attention="?"))]
    )
    assert found[0] is None
    assert [conflict(one) for one in found[1:]] == [("a", 2), ("a", 3)]
    assert len(await store.read_log("a")) == 2
    assert await store.get_row("a") == row("a")
    assert await store.append([more("a", 3), more("b", 2)]) == [None, None]


async def test_p9_nothing_can_be_written_for_a_saga_that_was_removed(store: Store) -> None:
    done = row("a", NOW, SagaState.COMPLETED)
    await store.append([start("a"), more("a", 2, SagaCompleted(), renewed=done)])
    assert await store.remove_ended(NOW + 100, 10) == 1
    found = await store.append([more("a", 3), more("a", 2, SagaCompleted(), renewed=done)])
    assert [conflict(one) for one in found] == [("a", 3), ("a", 2)]
    assert await store.get_row("a") is None


async def test_an_append_is_all_or_nothing(store: Store) -> None:
    """Facts that partly exist already are refused together with the new ones and the row."""
    await store.append([start("a"), more("a", 2), more("a", 3)])
    late = more("a", 3, *FACTS, renewed=row("a", needs_attention="?"))
    (found,) = await store.append([late])
    assert conflict(found) == ("a", 3)
    assert len(await store.read_log("a")) == 3
    assert await store.get_row("a") == row("a")


async def test_facts_without_a_start_are_a_mistake_of_ours(store: Store) -> None:
    with pytest.raises(AssertionError):
        await store.append([Append(saga_id="a", first_sequence=1, time=NOW, facts=[SagaCompleted()])])


async def test_a_probe_changes_nothing(store: Store) -> None:
    await store.append([start("a")])
    await store.probe()
    assert len(await store.read_log("a")) == 1
    assert await store.append([more("a", 2)]) == [None]
