"""Ids of sagas."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from amends import new_saga_id
from amends._ids import IdSource, is_id


def test_ids_are_uuid7() -> None:
    """RFC 9562, section 5.7: the time in milliseconds, the version, the variant."""
    made = uuid.UUID(IdSource(clock=lambda: 1_645_557_742_000_000_000)())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 0x017F22E279B0


def test_ids_grow_within_a_millisecond() -> None:
    """RFC 9562, section 6.2: ids of one process sort as they were made, though the clock stands still."""
    source = IdSource(clock=lambda: 10**18)
    made = [source() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_ids_grow_though_the_clock_is_set_back() -> None:
    """A clock that jumps back does not bring back old ids."""
    times = iter([10**18, 10**18 - 10**12, 10**18 + 10**9])
    source = IdSource(clock=lambda: next(times))
    first, second, third = source(), source(), source()
    assert first < second < third


def test_ids_of_many_threads_differ() -> None:
    """Threads share a source without making an id twice."""
    barrier = threading.Barrier(4)

    def make(_: int) -> list[str]:
        barrier.wait()
        return [new_saga_id() for _ in range(2_000)]

    with ThreadPoolExecutor(4) as pool:
        made = [each for ids in pool.map(make, range(4)) for each in ids]
    assert len(set(made)) == 8_000


@pytest.mark.parametrize("text", ["a", "A-z_0.9:~", "x" * 128, "2024-05-01:order"])
def test_ids_may_look_like_this(text: str) -> None:
    """The stated characters, 1 to 128 of them."""
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "x" * 129, "a b", "a/b", "é", "a\n", "\n"])
def test_ids_may_not_look_like_this(text: str) -> None:
    """Nothing that needs quoting anywhere."""
    assert not is_id(text)


def test_made_ids_have_the_form_of_ids() -> None:
    """What is made here is accepted there."""
    assert is_id(new_saga_id())
