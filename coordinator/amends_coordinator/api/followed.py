"""Sagas that a tracker follows, beside those that the runtime drives, whose ids come first."""

from collections.abc import AsyncIterator

from amends._ids import is_id
from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.api.requests import check_saga_id, is_shown_id
from amends_coordinator.runtime.errors import NotAllowedError
from amends_coordinator.runtime.runtime import Runtime
from amends_coordinator.store.interface import Cursor, Filter, SagaRow
from amends_coordinator.store.tracking import TrackedRow
from amends_coordinator.tracker.tracker import Tracker


class Followed:
    """Looks into the tracker, where there is one. Without one, nothing is looked for."""

    def __init__(self, runtime: Runtime, tracker: Tracker | None) -> None:
        """Stands beside a runtime."""
        self._runtime = runtime
        self._tracker = tracker

    def check_id(self, saga_id: str) -> None:
        """Checks the id of a saga that is asked for. Raises InvalidRequestError."""
        if self._tracker is None or not is_shown_id(saga_id):
            check_saga_id(saga_id)

    async def get(self, saga_id: str) -> saga_pb2.Saga | None:
        """Shows a saga that is followed; None if there is none. Raises as Tracker.get."""
        tracker = await self._tracker_of(saga_id)
        return None if tracker is None else await tracker.get(saga_id)

    async def watch(self, saga_id: str, after: int, *, live: bool) -> AsyncIterator[event_pb2.Event] | None:
        """Watches a saga that is followed; None if there is none. Raises as Tracker.watch."""
        tracker = await self._tracker_of(saga_id)
        return None if tracker is None else tracker.watch(saga_id, after, live=live)

    async def refuse(self, saga_id: str) -> None:
        """Refuses what an operator wishes of a saga that is followed.

        Raises:
            NotAllowedError: nobody here drives it.
        """
        if await self._tracker_of(saga_id) is not None:
            raise NotAllowedError(
                "SAGA_IS_CHOREOGRAPHED",
                f"saga {saga_id!r} is carried on by its services: the coordinator follows it, and cannot "
                "command it; amends dead-letters replay sends again what a service could not deal with",
            )

    async def list_rows(
        self, condition: Filter, after: Cursor | None, limit: int
    ) -> list[SagaRow | TrackedRow]:
        """Lists a page of all sagas, the newest first. Raises StoreUnavailableError."""
        driven: list[SagaRow | TrackedRow] = []
        if condition.states or not condition.stalled:
            driven += await self._runtime.store.list_rows(condition, after, limit)
        if self._tracker is None:
            return driven
        both = [*driven, *await self._tracker.list_rows(condition, after, limit)]
        return sorted(both, key=_place, reverse=True)[:limit]

    async def _tracker_of(self, saga_id: str) -> Tracker | None:
        """The tracker, if it has a saga of this id and the runtime has none."""
        if self._tracker is None or not is_shown_id(saga_id) or self._runtime.live(saga_id) is not None:
            return None
        if is_id(saga_id) and await self._runtime.store.get_row(saga_id) is not None:
            return None
        return self._tracker if await self._tracker.has(saga_id) else None


def _place(row: SagaRow | TrackedRow) -> tuple[float, str]:
    return row.create_time, row.id
