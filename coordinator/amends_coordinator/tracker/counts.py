"""What the tracker counts, by the names that dashboards know."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from amends_coordinator.core.transitions import TrackedState
from amends_coordinator.runtime.metrics import counter, gauge

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_UNFINISHED = [state for state in TrackedState if not state.ended]
_ENDED = [state for state in TrackedState if state.ended]


class Counts:
    """Counts on the event loop; read by whoever scrapes, in another thread."""

    def __init__(self) -> None:
        """Begins at zero."""
        self.events = 0
        self.malformed = 0
        self.dead_letters = 0
        self.stalled = 0  # times that a saga stalled
        self.ended: Counter[str] = Counter()  # by outcome
        self.lag = 0.0  # seconds
        self.census: Mapping[TrackedState, int] = {}

    def collect(self) -> Iterator["Metric"]:
        """Makes the metrics as they are now."""
        census = self.census
        yield gauge(
            "amends_choreographed_sagas_unfinished",
            "Choreographed sagas that have not ended, by state.",
            {(state.name.lower(),): census.get(state, 0) for state in _UNFINISHED},
            "state",
        )
        yield counter(
            "amends_choreographed_sagas_ended",
            "Choreographed sagas of which nothing more is expected, by outcome.",
            {(state.name.lower(),): self.ended[state.name.lower()] for state in _ENDED},
            "outcome",
        )
        yield counter(
            "amends_choreographed_sagas_stalled", "Times that a choreographed saga stalled.", self.stalled
        )
        yield counter("amends_choreography_events", "Events of sagas heard on the bus.", self.events)
        yield counter(
            "amends_choreography_malformed_events",
            "Messages on the bus that are no events, left alone.",
            self.malformed,
        )
        yield counter(
            "amends_choreography_dead_letters",
            "Dead letters heard on the bus, those sent again since too.",
            self.dead_letters,
        )
        yield gauge(
            "amends_choreography_lag_seconds",
            "How late the last event was heard, by the clock of the service that sent it.",
            self.lag,
        )
