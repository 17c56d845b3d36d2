"""The goals, as a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Figures = Mapping[str, Mapping[str, Any]]
"""Figures by the benchmark that found them and their name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Something that is to be reached."""

    what: str
    needs: frozenset[str]
    """The benchmarks that must have run."""
    measured: Callable[[Figures], float]
    bound: float
    unit: str = ""
    at_least: bool = False

    def reached(self, measured: float) -> bool:
        """Whether a figure is good enough."""
        return measured >= self.bound if self.at_least else measured <= self.bound


def _figure(benchmark: str, name: str) -> Callable[[Figures], float]:
    return lambda figures: float(figures[benchmark][name])


def _tracing_cost(figures: Figures) -> float:
    """The percentage that tracing takes from the rate; each rate in terms of raw calls beside it."""
    return 100 * (1 - float(figures["tracing"]["ratio"]) / float(figures["exchange"]["ratio"]))


def _bytes_per_saga(figures: Figures) -> float:
    """The dearer of the two states in which a saga spends its time."""
    memory = figures["memory"]
    return float(max(memory["bytes_per_saga_called"], memory["bytes_per_saga_waiting"])) / 1_000


def _slower_start(figures: Figures) -> float:
    return 100 * (float(figures["history"]["start_ratio"]) - 1)


def _slowest_page(figures: Figures) -> float:
    return float(max(figures["history"]["first_page_ms"].values()))


GOALS: Final = (
    Goal(
        what="three steps, Exchange: sagas per raw unary call",
        needs=frozenset({"exchange"}),
        measured=_figure("exchange", "ratio"),
        bound=0.30,
        at_least=True,
    ),
    Goal(
        what="the same with unary calls only",
        needs=frozenset({"unary"}),
        measured=_figure("unary", "ratio"),
        bound=0.14,
        at_least=True,
    ),
    Goal(
        what="half rejected at the last step and compensated",
        needs=frozenset({"rejected"}),
        measured=_figure("rejected", "ratio"),
        bound=0.18,
        at_least=True,
    ),
    Goal(
        what="latency at concurrency 1, p50, in raw unary calls",
        needs=frozenset({"latency"}),
        measured=_figure("latency", "p50_in_raw_calls"),
        bound=10,
    ),
    Goal(
        what="tracing with a real exporter costs",
        needs=frozenset({"exchange", "tracing"}),
        measured=_tracing_cost,
        bound=25,
        unit="%",
    ),
    Goal(
        what="memory of a saga in flight",
        needs=frozenset({"memory"}),
        measured=_bytes_per_saga,
        bound=6,
        unit="KB",
    ),
    Goal(
        what="after SIGKILL: a new saga accepted",
        needs=frozenset({"recovery"}),
        measured=_figure("recovery", "accepted_s"),
        bound=1,
        unit="s",
    ),
    Goal(
        what="after SIGKILL: all unfinished sagas finished",
        needs=frozenset({"recovery"}),
        measured=_figure("recovery", "finished_s"),
        bound=15,
        unit="s",
    ),
    Goal(
        what="a long history makes the start slower by",
        needs=frozenset({"history"}),
        measured=_slower_start,
        bound=10,
        unit="%",
    ),
    Goal(
        what="a long history: slowest first page of ListSagas",
        needs=frozenset({"history"}),
        measured=_slowest_page,
        bound=50,
        unit="ms",
    ),
    Goal(
        what="choreographed, three services, SQLite bus: sagas",
        needs=frozenset({"events"}),
        measured=_figure("events", "sagas_per_second"),
        bound=500,
        unit="/s",
        at_least=True,
    ),
    Goal(
        what="the same on NATS",
        needs=frozenset({"nats"}),
        measured=_figure("nats", "sagas_per_second"),
        bound=700,
        unit="/s",
        at_least=True,
    ),
)
"""What the benchmarks are to show, in the order of the table that they print."""
