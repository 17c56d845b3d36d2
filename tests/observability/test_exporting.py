"""What the standard variables ask for, and what becomes of it."""

import os
import subprocess
import sys

import pytest

from amends._tracing import setting

PROGRAM = """
import logging, sys
for name in sys.argv[1:]:
    sys.modules[name] = None  # as if it were not installed
logging.basicConfig(format="%(levelname)s %(message)s")
from opentelemetry import trace
from amends._participant.tracing import configured, exporting
with exporting("party"):
    print(configured())
    if configured():
        print(trace.get_tracer_provider().resource.attributes["service.name"])
"""


def run(variables: dict[str, str], *missing: str) -> tuple[list[str], list[str]]:
    """What a process that exports says and logs."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *missing],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env=environment | variables,
    )
    return done.stdout.split(), done.stderr.splitlines()


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", **ENDPOINT}, False),
        ({"OTEL_TRACES_EXPORTER": "console", **ENDPOINT}, False),
        ({"OTEL_TRACES_EXPORTER": "console,otlp"}, True),
        ({"OTEL_SDK_DISABLED": "true", **ENDPOINT}, False),
    ],
)
def test_spans_are_exported_where_the_variables_ask_for_it(
    variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert setting.asked_for() is expected


def test_a_service_is_named_as_given() -> None:
    assert run(ENDPOINT) == (["True", "party"], [])


@pytest.mark.parametrize(
    "variables",
    [{"OTEL_SERVICE_NAME": "named"}, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=named"}],
    ids=lambda variables: next(iter(variables)),
)
def test_a_service_is_named_by_the_variables(variables: dict[str, str]) -> None:
    assert run(ENDPOINT | variables) == (["True", "named"], [])


def test_a_missing_package_is_one_clear_line() -> None:
    said, logged = run(ENDPOINT, "opentelemetry.sdk.trace")
    assert said == ["False"]
    assert len(logged) == 1
    assert "pip install 'amends[tracing]'" in logged[0]


def test_another_protocol_is_one_clear_line() -> None:
    _, logged = run(ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
    assert logged == [
        "WARNING OTEL_EXPORTER_OTLP_PROTOCOL says http/protobuf, but spans are exported by grpc"
    ]


def test_another_exporter_is_one_clear_line() -> None:
    _, logged = run({"OTEL_TRACES_EXPORTER": "zipkin"})
    assert logged == ["WARNING OTEL_TRACES_EXPORTER says zipkin, but only otlp is supported"]
