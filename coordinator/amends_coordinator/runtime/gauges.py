"""What can be looked up about a runtime at any moment, for metrics.

What is in memory is looked up when somebody scrapes. Sagas that sleep are not in memory, so all unfinished
sagas are counted in the store, now and then: that takes a turn of its own on the event loop.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from amends_coordinator.core.transitions import SagaState
from amends_coordinator.runtime.metrics import Metrics, gauge
from amends_coordinator.runtime.runtime import Runtime
from amends_coordinator.store.interface import Census, Filter

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MAX_NEEDING_ATTENTION = 1_000
"""Sagas that need an operator, counted at most; as many as one list shows. More is more than enough."""

UNFINISHED = [state for state in SagaState if not state.ended]


class Gauges:
    """Tells how a runtime is, to whoever scrapes."""

    def __init__(self, runtime: Runtime) -> None:
        """Looks at a runtime; before the first survey there are no sagas."""
        self._runtime = runtime
        self._census = Census({}, None)
        self._needing_attention = 0

    async def survey(self) -> None:
        """Counts the sagas in the store. Raises StoreUnavailableError."""
        store = self._runtime.store
        census = await store.census()
        flagged = Filter(states=UNFINISHED, needs_attention=True)
        rows = await store.list_rows(flagged, None, MAX_NEEDING_ATTENTION)
        self._census, self._needing_attention = census, len(rows)

    def collect(self) -> Iterator["Metric"]:
        """Makes the metrics as they are now. Called in another thread, so it only reads."""
        yield from self._sagas()
        yield from self._calls()
        journal = self._runtime.journal
        yield gauge("amends_commit_backlog", "Turns of sagas that wait for the next commit.", len(journal))
        yield gauge(
            "amends_store_writable", "1 while the store can be written, else 0.", int(journal.trouble is None)
        )

    def _sagas(self) -> Iterator["Metric"]:
        census = self._census
        yield gauge(
            "amends_sagas_unfinished",
            "Unfinished sagas, by state, those that sleep too.",
            {(state.name.lower(),): census.unfinished.get(state, 0) for state in UNFINISHED},
            "state",
        )
        oldest = census.oldest_create_time
        yield gauge(
            "amends_oldest_unfinished_saga_age_seconds",
            "Time since the oldest unfinished saga was started; 0 if there is none.",
            0.0 if oldest is None else max(self._runtime.timers.now() - oldest, 0.0),
        )
        yield gauge(
            "amends_sagas_needing_attention",
            f"Unfinished sagas that need an operator; {MAX_NEEDING_ATTENTION} stands for that many or more.",
            self._needing_attention,
        )
        yield gauge("amends_sagas_in_memory", "Unfinished sagas in memory.", len(self._runtime))

    def _calls(self) -> Iterator["Metric"]:
        participants = self._runtime.participants.items()
        yield gauge(
            "amends_calls_in_flight",
            "Calls that were sent and not answered.",
            {(name,): each.in_flight for name, each in participants},
            "participant",
        )
        yield gauge(
            "amends_calls_waiting",
            "Calls that wait to be sent: the backlog of a participant.",
            {(name,): each.waiting for name, each in participants},
            "participant",
        )


def report(metrics: Metrics, runtime: Runtime) -> None:
    """Has the state of a runtime scraped along with its metrics; the keeper sees to the surveys."""
    gauges = Gauges(runtime)
    if metrics.add(gauges):
        metrics.survey = gauges.survey
