"""One piece of work for all who want it at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Together(Generic[K, V]):
    """Has work done once for all who ask for it meanwhile; if who began it goes away, another begins anew."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Future[V]] = {}

    async def do(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """Gives what the work gives, or raises what it raises, by whomever of those it is done."""
        while True:
            other = self._under_way.get(key)
            if other is None:
                return await self._begin(key, work)
            await asyncio.wait([other])
            if not other.cancelled():
                return other.result()

    def forget(self, key: K) -> None:
        """Has whoever asks from now on not be content with what is under way."""
        self._under_way.pop(key, None)

    async def _begin(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        told = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            value = await work()
            told.set_result(value)
            return value
        except Exception as error:  # whatever it is, all who wait are to be told
            told.set_exception(error)
            told.exception()  # it is raised here, whether or not anybody else waits for it
            raise
        finally:
            told.cancel()  # of no effect once there is an answer; without one, somebody else has to begin
            if self._under_way.get(key) is told:
                del self._under_way[key]
