"""What the runtime counts, by the names that dashboards know.

Counting happens for every attempt of every saga, so it is plain arithmetic on the event loop; the numbers
become metrics when somebody scrapes them, in the thread that serves the scrape. That thread only reads, and
copies what may grow while it does, in one go.

Labels take few values: participants are configured, directions, outcomes and states are enums, and of
definitions, which clients may make up, only so many are told apart.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Direction

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from prometheus_client.registry import CollectorRegistry

MAX_DEFINITIONS = 100
"""Definitions told apart; the others count as ``other``. A time series for each is what a person can look at
and what Prometheus keeps for ever."""

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)

_DIRECTIONS = {Direction.FORWARD: "forward", Direction.BACKWARD: "backward"}

Samples = Mapping[tuple[str, ...], float]


class Source(Protocol):
    """Something that can be scraped."""

    def collect(self) -> Iterable["Metric"]:
        """Makes the metrics as they are now. Called in another thread."""
        ...


class Histogram:
    """Counts values by size."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Makes an empty one; a bucket holds the values up to its bound."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Counts a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """Returns the cumulated counts by upper bound, and the sum of all values."""
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True)), self._sum


class DefinitionCounter(Counter[str]):
    """Counts by definition, of which it tells so many apart."""

    def __setitem__(self, name: str, count: int) -> None:
        if name not in self and len(self) >= MAX_DEFINITIONS:
            name, count = "other", self["other"] + count
        super().__setitem__(name, count)


class Metrics:
    """Counts and measures."""

    def __init__(self, registry: "CollectorRegistry | None" = None) -> None:
        """Has a registry scrape what is counted here, or nobody."""
        self.started = 0
        self.ended: Counter[str] = Counter()  # by outcome
        self.retries: Counter[tuple[str, ...]] = Counter()  # by participant and direction
        self.compensations = DefinitionCounter()  # sagas that turned back
        self.flagged = 0  # times that an operator was asked for
        self.broken_logs = 0
        self.removed = 0
        self._attempts: defaultdict[tuple[str, ...], Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self._commits = Histogram(SECONDS)
        self._commit_sizes = Histogram(SIZES)
        self._registry = registry
        self.survey: Callable[[], Awaitable[None]] | None = None  # counts what only the store knows
        self.add(self)

    def add(self, source: Source) -> bool:
        """Has something else scraped as well; False if nobody scrapes."""
        if self._registry is None:
            return False
        self._registry.register(source)
        return True

    def attempt_ended(self, participant: str, direction: Direction, outcome: str, seconds: float) -> None:
        """Records an attempt."""
        way = _DIRECTIONS[direction]
        self._attempts[participant, way, outcome].observe(seconds)
        if outcome == "unknown":
            self.retries[participant, way] += 1

    def committed(self, size: int, seconds: float) -> None:
        """Records a commit."""
        self._commits.observe(seconds)
        self._commit_sizes.observe(size)

    def collect(self) -> Iterator["Metric"]:
        """Makes the metrics as they are now."""
        yield from self._counters()
        yield _histogram(
            "amends_attempt_duration_seconds",
            "Time from sending an attempt to its outcome.",
            ("participant", "direction", "outcome"),
            dict(self._attempts),
        )
        yield _histogram(
            "amends_commit_duration_seconds", "Time of one commit to the log.", (), {(): self._commits}
        )
        yield _histogram("amends_commit_appends", "Appends in one commit.", (), {(): self._commit_sizes})

    def _counters(self) -> Iterator["Metric"]:
        yield counter("amends_sagas_started", "Sagas accepted.", self.started)
        yield counter(
            "amends_sagas_ended",
            "Sagas that ended, by outcome.",
            {
                (name,): self.ended[name]
                for name in (state.name.lower() for state in SagaState if state.ended)
            },
            "outcome",
        )
        yield counter(
            "amends_sagas_turned_back",
            "Sagas that began to compensate, by definition.",
            {(name,): count for name, count in dict(self.compensations).items()},
            "definition",
        )
        yield counter(
            "amends_retries",
            "Attempts whose outcome is unknown. Each is repeated, unless its step has had all its attempts.",
            dict(self.retries),
            "participant",
            "direction",
        )
        yield counter("amends_attention_needed", "Times that a saga began to need an operator.", self.flagged)
        yield counter("amends_sagas_removed", "Ended sagas removed after their retention.", self.removed)
        yield counter("amends_broken_logs", "Sagas whose log cannot be read, left alone.", self.broken_logs)


def counter(name: str, description: str, value: float | Samples, *labels: str) -> "Metric":
    """Makes a counter; Prometheus will call it ``<name>_total``."""
    from prometheus_client.core import CounterMetricFamily

    return _fill(CounterMetricFamily(name, description, labels=labels), value)


def gauge(name: str, description: str, value: float | Samples, *labels: str) -> "Metric":
    """Makes a gauge."""
    from prometheus_client.core import GaugeMetricFamily

    return _fill(GaugeMetricFamily(name, description, labels=labels), value)


def _fill(family: Any, value: float | Samples) -> "Metric":
    for labels, number in (value if isinstance(value, Mapping) else {(): value}).items():
        family.add_metric(labels, number)
    metric: Metric = family
    return metric


def _histogram(
    name: str, description: str, labels: Sequence[str], found: Mapping[tuple[str, ...], Histogram]
) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, description, labels=labels)
    for values, histogram in found.items():
        family.add_metric(values, *histogram.read())
    return family
