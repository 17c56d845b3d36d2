"""Traces, metrics and logs of the daemon, by the standard variables and an HTTP port."""

import json
import logging
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from amends._tracing.setting import asked_for

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import CollectorRegistry

    from amends._tracing.provider import ExportingProvider

_LIBRARIES = ("asyncio", "grpc", "opentelemetry", "uvicorn")
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
    """Sends the log records of Amends to a stream, as ``text`` or ``json``, from a level on.

    Of the libraries that it is made of, warnings and errors go there too, in the same form.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    levels = dict.fromkeys(("amends", "amends_coordinator"), level.upper())
    for name, least in {**levels, **dict.fromkeys(_LIBRARIES, "WARNING")}.items():
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(least)
        logger.propagate = False


def tracer_provider(service: str) -> "ExportingProvider | None":
    """Makes the tracer provider that the standard OTEL_* variables ask for; None if they ask for none.

    The service is named by OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES, or as given.
    """
    if not asked_for():
        return None
    # Imported here: the exporter takes as long to load as half of the daemon.
    from amends._tracing.provider import ExportingProvider

    return ExportingProvider(service)


@dataclass(slots=True)
class MetricsServer:
    """Metrics over HTTP, in the form that Prometheus reads."""

    registry: "CollectorRegistry"
    server: "WSGIServer"
    address: str

    def close(self) -> None:
        """Stops serving."""
        self.server.shutdown()
        self.server.server_close()


def serve_metrics(address: str) -> MetricsServer:
    """Serves metrics at an address, HOST:PORT, with those of the process. Raises OSError where it cannot."""
    # Imported here: not everybody has them served.
    from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, start_http_server

    host, _, port = address.rpartition(":")
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    server, _ = start_http_server(int(port), addr=host.strip("[]"), registry=registry)
    return MetricsServer(registry, server, f"{host}:{server.server_port}")
