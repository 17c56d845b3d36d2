"""Traces, metrics and logs of the daemon, by the standard variables and an HTTP port."""

import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO
from wsgiref.simple_server import WSGIServer

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

_KNOWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _KNOWN_FIELDS)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """A line for people: time, level, message, and the fields that say which saga it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record."""
        fields = " ".join(
            f"{key}={value}"
            for key, value in vars(record).items()
            if key not in _KNOWN_FIELDS and key != "action"
        )
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{moment} {record.levelname.lower():7} {record.getMessage()}"
        if fields:
            line = f"{line}  [{fields}]"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


def configure_logs(form: str, level: str, stream: TextIO = sys.stderr) -> None:
    """Sends the log records of Amends to a stream, as ``text`` or ``json``, from a level on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    for name in ("amends", "amends_coordinator"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level.upper())
        logger.propagate = False


def tracing_wanted() -> bool:
    """Whether the standard variables ask for traces.

    They do if an exporter is named (OTEL_TRACES_EXPORTER) or an endpoint is (OTEL_EXPORTER_OTLP_ENDPOINT, or
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT), and OTEL_SDK_DISABLED is not true.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").lower()
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return exporter != "none" and (exporter != "" or any(os.environ.get(name) for name in endpoints))


def tracer_provider(service: str) -> "TracerProvider | None":
    """Makes the tracer provider that the standard variables ask for; None if they ask for none.

    The service is named by OTEL_SERVICE_NAME, or as given.
    """
    if not tracing_wanted():
        return None
    # Imported here: the exporter takes longer to load than the rest of the daemon.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


@dataclass(slots=True)
class MetricsServer:
    """Metrics over HTTP, in the form that Prometheus reads."""

    provider: "MeterProvider"
    server: WSGIServer
    address: str

    def close(self) -> None:
        """Stops serving."""
        self.server.shutdown()
        self.server.server_close()
        self.provider.shutdown()


def serve_metrics(address: str) -> MetricsServer:
    """Serves metrics at an address, HOST:PORT. Raises OSError where that cannot be had."""
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider
    from prometheus_client import start_http_server

    host, _, port = address.rpartition(":")
    provider = MeterProvider(metric_readers=[PrometheusMetricReader()])
    server, _ = start_http_server(int(port), addr=host.strip("[]"))
    return MetricsServer(provider, server, f"{host}:{server.server_port}")
