"""What /metrics of a real daemon tells."""

import asyncio
import re
import time
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from amends import SagaState
from amends_coordinator.runtime.metrics import MAX_DEFINITIONS, Histogram, Metrics
from tests.addresses import free_address
from tests.observability.conftest import PATIENCE_S, Stage, sequence

Samples = dict[str, float]


def parse(text: str) -> Samples:
    """Samples by name and labels, such as ``up{job="x"}``; labels in the order of their names."""
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


async def scrape(stage: Stage) -> str:
    def get() -> str:
        with urllib.request.urlopen(f"http://{stage.metrics}/metrics", timeout=5) as response:
            return str(response.read().decode())

    return await asyncio.to_thread(get)


async def scrape_until(stage: Stage, enough: Callable[[Samples], bool]) -> Samples:
    """Scrapes until the samples are enough. What the store is asked for is renewed every five seconds."""
    end = time.monotonic() + PATIENCE_S
    while True:
        samples = parse(await scrape(stage))
        if enough(samples) or time.monotonic() > end:
            return samples
        await asyncio.sleep(0.2)


@pytest.fixture
async def busy(stage: Stage) -> Stage:
    """A daemon that has seen a saga complete, one be compensated, one be parked, and one that waits."""
    stage.metrics = free_address()
    (stage.folder / "wait").touch()
    await stage.start_party()
    await stage.start_daemon("--log-format", "json")
    async with stage.client() as client:
        await client.run(sequence("fine", "do", "fail_once"), {})
        await client.run(sequence("undone", "do", "refuse"), {})
        parked = await client.run(sequence("stuck", "stay", "refuse"), {}, saga_id="stuck")
        assert parked.state is SagaState.PARKED
        await client.start(sequence("held", "hold"), {}, saga_id="held")
    return stage


async def test_every_metric_counts_what_happened(busy: Stage) -> None:
    samples = await scrape_until(busy, lambda found: found['amends_sagas_unfinished{state="parked"}'] == 1)
    assert samples['amends_sagas_unfinished{state="running"}'] == 1
    assert samples['amends_sagas_unfinished{state="compensating"}'] == 0
    assert 0 < samples["amends_oldest_unfinished_saga_age_seconds"] < 60
    assert samples["amends_sagas_in_memory"] <= 2  # the one that is parked may be asleep
    assert samples["amends_sagas_started_total"] == 4
    assert samples['amends_sagas_ended_total{outcome="completed"}'] == 1
    assert samples['amends_sagas_ended_total{outcome="compensated"}'] == 1
    assert samples['amends_sagas_turned_back_total{definition="undone"}'] == 1
    assert samples['amends_retries_total{direction="forward",participant="party"}'] == 1
    assert samples["amends_broken_logs_total"] == 0
    assert samples["amends_sagas_removed_total"] == 0
    labels = 'direction="forward",outcome="rejected",participant="party"'
    assert samples[f"amends_attempt_duration_seconds_count{{{labels}}}"] == 2
    labels = 'direction="backward",outcome="refused",participant="party"'
    assert samples[f"amends_attempt_duration_seconds_count{{{labels}}}"] == 1
    assert samples["amends_commit_duration_seconds_count"] > 4
    assert samples["amends_commit_appends_sum"] >= samples["amends_commit_appends_count"]
    assert samples['amends_calls_waiting{participant="party"}'] == 0
    assert 'amends_calls_in_flight{participant="party"}' in samples
    assert "amends_commit_backlog" in samples
    assert samples["amends_store_writable"] == 1
    assert samples["process_resident_memory_bytes"] > 0


async def test_p12_a_saga_that_needs_an_operator_is_in_a_metric_and_one_log_line(busy: Stage) -> None:
    samples = await scrape_until(busy, lambda found: found["amends_sagas_needing_attention"] == 1)
    assert samples["amends_sagas_needing_attention"] == 1
    assert samples['amends_sagas_unfinished{state="parked"}'] == 1
    assert samples["amends_attention_needed_total"] == 1
    told = [line for line in busy.log("amends").splitlines() if "attention_needed" in line]
    assert len(told) == 1
    assert '"saga_id": "stuck"' in told[0]


async def test_a_saga_is_counted_by_a_daemon_that_never_had_it_in_memory_before(busy: Stage) -> None:
    """The log is counted, not what is in memory: a parked saga is seen after a crash as well."""
    daemon = next(process for process in busy.processes if process.name == "amends")
    await daemon.kill()
    await daemon.start()
    samples = await scrape_until(busy, lambda found: found['amends_sagas_unfinished{state="parked"}'] == 1)
    assert samples['amends_sagas_unfinished{state="parked"}'] == 1
    assert samples["amends_sagas_needing_attention"] == 1


async def test_names_and_units_are_as_prometheus_wants_them(busy: Stage) -> None:
    text = await scrape(busy)
    assert "otel_" not in text
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("amends_"):
            continue
        assert family.documentation.endswith(".")
        assert re.fullmatch(r"[a-z_]+", family.name)
        assert not family.name.endswith(("_count", "_sum", "_bucket", "_milliseconds"))
        labels = {name for sample in family.samples for name in sample.labels}
        assert labels <= {"state", "outcome", "participant", "direction", "definition", "le"}


def test_definitions_that_clients_make_up_do_not_multiply_series() -> None:
    metrics = Metrics()
    for number in range(MAX_DEFINITIONS + 10):
        metrics.compensations[f"made-up-{number}"] += 1
    metrics.compensations["made-up-1"] += 1
    assert len(metrics.compensations) == MAX_DEFINITIONS + 1
    assert metrics.compensations["other"] == 10
    assert metrics.compensations["made-up-1"] == 2


def test_a_histogram_cumulates_and_its_bounds_are_inclusive() -> None:
    histogram = Histogram((1, 2.5))
    for value in (0.5, 1, 2.5, 3):
        histogram.observe(value)
    assert histogram.read() == ([("1", 2), ("2.5", 3), ("+Inf", 4)], 7.0)
