"""Registered definitions, in every store."""

from dataclasses import replace

from amends_coordinator.store.interface import Store
from tests.store.store_sagas import NOW, definition


async def test_the_first_registration_is_version_one(store: Store) -> None:
    assert await store.put_definition(definition(), NOW) == (replace(definition(), version=1), NOW)
    assert await store.get_definition("order") == (replace(definition(), version=1), NOW)


async def test_equal_content_is_the_same_version(store: Store) -> None:
    await store.put_definition(definition(), NOW)
    assert await store.put_definition(replace(definition(), version=7), NOW + 1) == (
        replace(definition(), version=1),
        NOW,
    )


async def test_other_content_is_the_next_version(store: Store) -> None:
    await store.put_definition(definition(), NOW)
    changed = replace(definition(steps=3), timeout=2.5)
    assert await store.put_definition(changed, NOW + 1) == (replace(changed, version=2), NOW + 1)
    assert await store.get_definition("order") == (replace(changed, version=2), NOW + 1)
    assert await store.get_definition("order", 1) == (replace(definition(), version=1), NOW)


async def test_going_back_to_older_content_is_a_new_version(store: Store) -> None:
    for number, steps in enumerate([2, 3, 2], start=1):
        found, _ = await store.put_definition(definition(steps=steps), NOW)
        assert found.version == number


async def test_there_is_no_version_that_was_not_registered(store: Store) -> None:
    await store.put_definition(definition(), NOW)
    assert await store.get_definition("order", 2) is None
    assert await store.get_definition("trip") is None
    assert await store.get_definition("trip", 1) is None


async def test_lists_the_newest_of_each_by_name(store: Store) -> None:
    for name, steps in [("trip", 1), ("order", 1), ("order", 2), ("call", 1)]:
        await store.put_definition(definition(name, steps), NOW + steps)
    found = await store.list_definitions("", 10)
    assert [(one.name, one.version, time) for one, time in found] == [
        ("call", 1, NOW + 1),
        ("order", 2, NOW + 2),
        ("trip", 1, NOW + 1),
    ]
    assert [one.name for one, _ in await store.list_definitions("call", 1)] == ["order"]
    assert await store.list_definitions("trip", 10) == []
