"""What the runtime counts, by the names that dashboards know.

The counts are plain numbers that OpenTelemetry reads when somebody looks, so that counting costs next to
nothing; only the two histograms are fed as things happen.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, MeterProvider, NoOpMeterProvider, Observation

from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Direction

_DIRECTIONS = {Direction.FORWARD: "forward", Direction.BACKWARD: "backward"}
_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60]


class Metrics:
    """Counts and measures."""

    def __init__(self, provider: MeterProvider | None = None) -> None:
        """Reports to a meter provider, or to nobody."""
        self.started = 0
        self.ended: Counter[str] = Counter()  # by outcome
        self.retries: Counter[tuple[str, str]] = Counter()  # by participant and direction
        self.compensations: Counter[str] = Counter()  # started, by definition
        self.flagged = 0  # times that an operator was asked for
        self.broken_logs = 0
        self.removed = 0
        meter = (provider or NoOpMeterProvider()).get_meter("amends.coordinator")
        self._attempts = meter.create_histogram(
            "amends_attempt_duration_seconds",
            unit="s",
            description="Time from sending an attempt to its outcome.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._commits = meter.create_histogram(
            "amends_commit_duration_seconds",
            unit="s",
            description="Time of one commit of the journal.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._commit_sizes = meter.create_histogram(
            "amends_commit_size",
            description="Appends in one commit of the journal.",
            explicit_bucket_boundaries_advisory=[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
        )
        self._meter = meter
        self._observe_counts()

    def attempt_ended(self, participant: str, direction: Direction, outcome: str, seconds: float) -> None:
        """Records an attempt."""
        self._attempts.record(
            seconds,
            {"participant": participant, "direction": _DIRECTIONS[direction], "outcome": outcome},
        )
        if outcome == "unknown":
            self.retries[participant, _DIRECTIONS[direction]] += 1

    def committed(self, size: int, seconds: float) -> None:
        """Records a commit."""
        self._commits.record(seconds)
        self._commit_sizes.record(size)

    def gauge(self, name: str, description: str, read: Callable[[], Iterable[Observation]]) -> None:
        """Reports something that is looked up when somebody asks."""

        def callback(_options: CallbackOptions) -> Iterable[Observation]:
            return list(read())

        self._meter.create_observable_gauge(name, [callback], description=description)

    def _observe_counts(self) -> None:
        def counter(name: str, description: str, read: Callable[[], Iterable[Observation]]) -> None:
            def callback(_options: CallbackOptions) -> Iterable[Observation]:
                return list(read())

            self._meter.create_observable_counter(name, [callback], description=description)

        counter("amends_sagas_started", "Sagas accepted.", lambda: [Observation(self.started)])
        counter(
            "amends_sagas_ended",
            "Sagas that ended, by outcome.",
            lambda: [
                Observation(self.ended[state.name.lower()], {"outcome": state.name.lower()})
                for state in SagaState
                if state.ended
            ],
        )
        counter(
            "amends_attempts_unknown",
            "Attempts whose outcome is not known, and which are repeated.",
            lambda: [
                Observation(count, {"participant": participant, "direction": direction})
                for (participant, direction), count in list(self.retries.items())
            ],
        )
        counter(
            "amends_compensations_started",
            "Sagas that turned back, by definition.",
            lambda: [
                Observation(count, {"definition": name}) for name, count in list(self.compensations.items())
            ],
        )
        counter(
            "amends_attention_needed", "Times an operator was asked for.", lambda: [Observation(self.flagged)]
        )
        counter(
            "amends_sagas_removed",
            "Ended sagas removed after their retention.",
            lambda: [Observation(self.removed)],
        )
        counter(
            "amends_broken_logs",
            "Sagas whose log could not be read.",
            lambda: [Observation(self.broken_logs)],
        )
