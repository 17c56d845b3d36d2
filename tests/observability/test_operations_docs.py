"""What docs/operations.md and the dashboard say is so."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

from amends import SagaState
from tests.addresses import free_address
from tests.observability.conftest import ROOT, Stage, sequence
from tests.observability.test_metrics import scrape

DOCS = ROOT / "docs"
METRIC = re.compile(r"\b(?:amends|process)_[a-z_]+[a-z]\b")


def metrics_in(text: str) -> set[str]:
    """The names of metrics in a text, without the endings of a histogram's series."""
    found = {
        name for name in METRIC.findall(text) if not name.startswith(("amends_coordinator", "amends_fence"))
    }
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in found}


@pytest.fixture
async def served(stage: Stage) -> set[str]:
    """The names of all metrics on /metrics."""
    stage.metrics = free_address()
    await stage.start_daemon("--bus", f"sqlite:///{stage.folder}/bus.db")
    return set(re.findall(r"^# TYPE (\S+)", await scrape(stage), re.MULTILINE))


async def test_every_metric_of_the_dashboard_is_served(served: set[str]) -> None:
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [str(variable["query"]) for variable in dashboard["templating"]["list"]]
    assert metrics_in(" ".join(queries)) <= served


async def test_every_metric_is_on_the_dashboard_and_in_the_docs(served: set[str]) -> None:
    ours = {name for name in served if name.startswith("amends_")}
    assert ours <= metrics_in((DOCS / "grafana-dashboard.json").read_text())
    assert ours == {name for name in metrics_in((DOCS / "operations.md").read_text()) if "amends_" in name}


async def test_a_backup_of_a_running_daemon_is_good(stage: Stage, tmp_path: Path) -> None:
    """By the statement that the page recommends; another daemon then goes on with the sagas in it."""
    (stage.folder / "wait").touch()
    await stage.start_party()
    daemon = await stage.start_daemon()
    async with stage.client() as client:
        await client.start(sequence("held", "do", "hold"), {}, saga_id="held")
        with sqlite3.connect(stage.folder / "amends.db") as connection:
            connection.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
        connection.close()
        await daemon.kill()
        (stage.folder / "wait").unlink()
        await stage.start_daemon("--store", f"sqlite:///{tmp_path}/copy.db")
        assert (await client.wait("held")).state is SagaState.COMPLETED
