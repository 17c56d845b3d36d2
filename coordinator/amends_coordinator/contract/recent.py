"""What was used last, in a bounded number of bytes."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Remembers values by their keys, and of too many forgets those that were not used for longest.

    An ``lru_cache`` counts what it holds, and a few hundred things that clients make up can fill the memory.
    This one weighs it. Any thread may use it.
    """

    def __init__(self, most: int) -> None:
        """Holds up to so many bytes, by the weights that come with the values."""
        self._most = most
        self._held: dict[K, tuple[V, int]] = {}  # in the order of use, the last one last
        self._weight = 0
        self._lock = threading.Lock()

    @property
    def weight(self) -> int:
        """The bytes that are held."""
        return self._weight

    def get(self, key: K, make: Callable[[], V], weigh: Callable[[V], int]) -> V:
        """Finds a value, or makes it. One that is heavier than all that may be held is not remembered."""
        with self._lock:
            found = self._held.pop(key, None)
            if found is not None:
                self._held[key] = found
                return found[0]
        made = make()  # without the lock: others need not wait for it, and may make the same
        self._put(key, made, weigh(made))
        return made

    def _put(self, key: K, value: V, weight: int) -> None:
        if weight > self._most:
            return
        with self._lock:
            _, before = self._held.pop(key, (value, 0))
            self._held[key] = (value, weight)
            self._weight += weight - before
            while self._weight > self._most:
                _, forgotten = self._held.pop(next(iter(self._held)))
                self._weight -= forgotten
