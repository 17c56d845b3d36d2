"""Lists of sagas and removal, in every store."""

import random
from typing import TypeVar

import pytest

from amends_coordinator.core.transitions import SagaState
from amends_coordinator.store import MemoryStore, SqliteStore
from amends_coordinator.store.interface import Cursor, Filter, SagaRow, Store
from tests.store.store_sagas import NOW, row, start, whole

T = TypeVar("T")

ROWS = [
    row("a", NOW, SagaState.COMPLETED, labels={"city": "Rome", "tier": "1"}),
    row("b", NOW + 1, SagaState.COMPENSATED, labels={"city": "Rome"}),
    row("c", NOW + 1, SagaState.COMPENSATING, name="trip", needs_attention="fails again and again"),
    row("d", NOW + 2, SagaState.PARKED, needs_attention="refused", labels={"city": "Oslo"}),
    row("e", NOW + 3, SagaState.RUNNING, name="trip", labels={"city": "Rome", "tier": "2"}),
    row("f", NOW + 4, SagaState.COMPLETED, name="trip"),
]


@pytest.fixture
async def full(store: Store) -> Store:
    """A store with the rows above."""
    for stored in ROWS:
        assert await store.append(whole(stored)) == [None, None]
    return store


async def listed(store: Store, condition: Filter, after: Cursor | None = None, limit: int = 10) -> str:
    return "".join(found.id for found in await store.list_rows(condition, after, limit))


async def test_lists_whole_rows_the_newest_first(full: Store) -> None:
    """Ties are broken by id, descending."""
    assert await full.list_rows(Filter(), None, 10) == ROWS[::-1]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Filter(states=[SagaState.COMPLETED]), "fa"),
        (Filter(states=[SagaState.PARKED, SagaState.COMPENSATED, SagaState.PARKED]), "db"),
        (Filter(definition_name="trip"), "fec"),
        (Filter(definition_name="trip", states=[SagaState.RUNNING]), "e"),
        (Filter(definition_name="nothing"), ""),
        (Filter(labels={"city": "Rome"}), "eba"),
        (Filter(labels={"city": "Rome", "tier": "1"}), "a"),
        (Filter(labels={"tier": "1", "city": "Oslo"}), ""),
        (Filter(labels={"city": "rome"}), ""),
        (Filter(labels={"city": "Rome"}, definition_name="trip", states=[SagaState.RUNNING]), "e"),
        (Filter(labels={"city": "Rome"}, states=[SagaState.PARKED]), ""),
        (Filter(needs_attention=True), "dc"),
        (Filter(needs_attention=True, labels={"city": "Oslo"}), "d"),
        (Filter(needs_attention=True, definition_name="trip", states=[SagaState.COMPENSATING]), "c"),
        (Filter(needs_attention=True, states=[SagaState.RUNNING]), ""),
        (Filter(created_from=NOW + 1), "fedcb"),
        (Filter(created_before=NOW + 1), "a"),
        (Filter(created_from=NOW + 1, created_before=NOW + 3, labels={"city": "Rome"}), "b"),
    ],
    ids=repr,
)
async def test_keeps_sagas_that_meet_every_condition(full: Store, condition: Filter, expected: str) -> None:
    assert await listed(full, condition) == expected


async def test_a_page_begins_right_after_its_cursor(full: Store) -> None:
    """Also between sagas that were created in the same microsecond."""
    assert await listed(full, Filter(), limit=4) == "fedc"
    assert await listed(full, Filter(), Cursor(NOW + 1, "c"), limit=4) == "ba"
    assert await listed(full, Filter(), Cursor(NOW, "a")) == ""


async def test_a_cursor_holds_though_its_saga_is_gone(full: Store) -> None:
    assert await listed(full, Filter(), Cursor(NOW + 1, "bb")) == "ba"


async def test_every_store_pages_alike(sqlite: SqliteStore) -> None:
    """Random sagas under random conditions: SQLite, page by page, lists what memory lists at once."""
    chance = random.Random(2)
    memory = MemoryStore()
    for number in range(150):
        state = chance.choice(list(SagaState))
        stored = row(
            f"saga-{chance.randrange(10**6)}-{number}",
            NOW + chance.randrange(30),
            state,
            name=chance.choice(["order", "trip"]),
            labels={name: chance.choice("xy") for name in ("one", "two") if chance.random() < 0.5},
            needs_attention=chance.choice(["", "look"]) if not state.ended else "",
        )
        await sqlite.append(whole(stored))
        await memory.append(whole(stored))
    for _ in range(80):
        condition = random_filter(chance)
        assert await pages(sqlite, condition, chance.randrange(1, 40)) == await memory.list_rows(
            condition, None, 1000
        ), condition


def random_filter(chance: random.Random) -> Filter:
    def maybe(value: T, otherwise: T) -> T:
        return value if chance.random() < 0.4 else otherwise

    return Filter(
        states=maybe(chance.sample(list(SagaState), chance.randrange(1, 4)), []),
        definition_name=maybe("order", ""),
        labels=maybe({"one": "x"} | maybe({"two": "y"}, {}), {}),
        created_from=maybe(NOW + chance.randrange(15), None),
        created_before=maybe(NOW + chance.randrange(15, 30), None),
        needs_attention=maybe(True, False),
    )


async def pages(store: Store, condition: Filter, limit: int) -> list[SagaRow]:
    found: list[SagaRow] = []
    after = None
    while page := await store.list_rows(condition, after, limit):
        found += page
        after = Cursor(page[-1].create_time, page[-1].id)
    return found


async def test_removes_sagas_past_their_retention_in_batches(full: Store) -> None:
    await full.append([start("old", NOW - 1000)])
    assert await full.remove_ended(NOW + 3, 1) == 1
    assert await listed(full, Filter()) == "fedcbold"
    assert await full.remove_ended(NOW + 3, 10) == 1
    assert await full.remove_ended(NOW + 3, 10) == 0
    assert await listed(full, Filter()) == "fedcold"


async def test_never_removes_an_unfinished_saga(full: Store) -> None:
    assert await full.remove_ended(NOW + 10**6, 100) == 3
    assert await listed(full, Filter()) == "edc"
    assert [saga_id for saga_id, _ in await full.read_unfinished("", 10, NOW)] == ["c", "d", "e"]


async def test_nothing_is_left_of_a_removed_saga(full: Store) -> None:
    await full.remove_ended(NOW + 10**6, 100)
    assert await full.read_log("a") == []
    assert await full.get_row("a") is None
    assert await listed(full, Filter(labels={"tier": "1"})) == ""


async def test_the_id_of_a_removed_saga_is_free_again(full: Store) -> None:
    await full.remove_ended(NOW + 10**6, 100)
    assert await full.append([start("a", NOW + 50)]) == [None]
    assert await full.get_row("a") == row("a", NOW + 50)
