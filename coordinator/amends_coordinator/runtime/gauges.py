"""What can be looked up about a runtime at any moment, for metrics."""

from collections import Counter
from collections.abc import Iterable

from opentelemetry.metrics import Observation

from amends_coordinator.runtime.metrics import Metrics
from amends_coordinator.runtime.runtime import Runtime


def report(metrics: Metrics, runtime: Runtime) -> None:
    """Reports the state of a runtime through its metrics."""

    def sagas() -> Iterable[Observation]:
        states = Counter(live.saga.state.name.lower() for live in list(runtime.lives()))
        return [Observation(count, {"state": state}) for state, count in states.items()]

    def oldest() -> Iterable[Observation]:
        created = min((live.saga.create_time for live in list(runtime.lives())), default=None)
        return [Observation(0.0 if created is None else runtime.timers.now() - created)]

    def attention() -> Iterable[Observation]:
        return [Observation(sum(1 for live in list(runtime.lives()) if live.saga.needs_attention))]

    def calls(waiting: bool) -> Iterable[Observation]:
        return [
            Observation(each.waiting if waiting else each.in_flight, {"participant": name})
            for name, each in runtime.participants.items()
        ]

    metrics.gauge("amends_sagas_live", "Unfinished sagas in memory, by state.", sagas)
    metrics.gauge("amends_oldest_saga_seconds", "Age of the oldest saga in memory.", oldest)
    metrics.gauge("amends_sagas_need_attention", "Sagas in memory that wait for an operator.", attention)
    metrics.gauge("amends_calls_in_flight", "Calls sent and not answered.", lambda: calls(waiting=False))
    metrics.gauge("amends_calls_waiting", "Calls not sent yet: the backlog.", lambda: calls(waiting=True))
    metrics.gauge(
        "amends_journal_backlog", "Turns not on disk yet.", lambda: [Observation(len(runtime.journal))]
    )
    metrics.gauge(
        "amends_store_available",
        "1 while the store can be written.",
        lambda: [Observation(int(runtime.journal.trouble is None))],
    )
