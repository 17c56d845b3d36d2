"""The daemon: everything put together, from the first line on the log to the last commit."""

import asyncio
import logging
import signal
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from amends._bus.opening import bus_at
from amends.errors import StartError
from amends.v1 import coordinator_pb2, coordinator_pb2_grpc
from amends_coordinator.api.limits import MAX_MESSAGE
from amends_coordinator.api.service import CoordinatorService
from amends_coordinator.api.starting import Starter
from amends_coordinator.calls.participant import Endpoint, Participant
from amends_coordinator.calls.spans import Spans
from amends_coordinator.credentials import channel_credentials, read_pem
from amends_coordinator.runtime.admission import Admission
from amends_coordinator.runtime.gauges import report
from amends_coordinator.runtime.keeper import Keeper
from amends_coordinator.runtime.metrics import Metrics
from amends_coordinator.runtime.registry import Registry
from amends_coordinator.runtime.runtime import Runtime
from amends_coordinator.settings import Settings
from amends_coordinator.store import SqliteStore, open_store
from amends_coordinator.store.interface import Store
from amends_coordinator.telemetry import MetricsServer, configure_logs, serve_metrics, tracer_provider
from amends_coordinator.timers import Timers
from amends_coordinator.tracker.tracker import Tracker

if TYPE_CHECKING:
    from amends_coordinator.http_api.server import HttpServer

log = logging.getLogger(__name__)

SERVICE = coordinator_pb2.DESCRIPTOR.services_by_name["Coordinator"].full_name

RPC_GRACE = 2.0
"""Seconds that RPCs under way get to end by themselves when the daemon stops."""

CALL_GRACE = 5.0
"""Seconds that calls in flight get to be answered. What is not answered is repeated after the next start."""


async def serve(settings: Settings) -> None:
    """Runs the daemon until SIGTERM or SIGINT.

    Prints one line for each address to standard output once it is being served.

    Raises:
        StartError: an address or a file cannot be had.
        StoreRefusedError: the store cannot be used.
    """
    configure_logs(settings.log_format, settings.log_level)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        daemon = await _start(settings, stack)
        work = asyncio.create_task(daemon.run())
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping", extra={"action": "stopping"})
        stop.cancel()
        if work.done():
            await work  # it never ends by itself: raise what went wrong
        await daemon.stop()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    log.info("stopped", extra={"action": "stopped"})


class _Daemon:
    """The parts of a running daemon."""

    def __init__(
        self,
        runtime: Runtime,
        keeper: Keeper,
        tracker: Tracker | None,
        server: grpc.aio.Server,
        health: HealthServicer,
        http: "HttpServer | None",
    ) -> None:
        self._runtime = runtime
        self._tracker = tracker
        self._keeper = keeper
        self._server = server
        self._health = health
        self._http = http

    async def run(self) -> None:
        """Drives sagas until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._runtime.journal.run())
            tasks.create_task(self._keeper.run())
            if self._tracker is not None:
                tasks.create_task(self._tracker.run())
            if self._http is not None:
                tasks.create_task(self._http.run())

    async def stop(self) -> None:
        """Lets what is under way come to rest, each part within its bound."""
        await self._health.set(SERVICE, health_pb2.HealthCheckResponse.NOT_SERVING)
        self._runtime.accepting = False
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._server.stop(RPC_GRACE))
            if self._http is not None:
                tasks.create_task(self._http.stop())
        participants = list(self._runtime.participants.values())
        for participant in participants:
            participant.hold()
        with suppress(TimeoutError):
            async with asyncio.timeout(CALL_GRACE):
                for participant in participants:
                    await participant.until_quiet()
                await self._runtime.journal.until_idle()


async def _start(settings: Settings, stack: AsyncExitStack) -> _Daemon:
    """Opens everything, in the order in which it depends on each other; the stack closes it in reverse."""
    timers = Timers(asyncio.get_running_loop())
    stack.callback(timers.close)
    metrics_server = _serve_metrics(settings, stack)
    metrics = Metrics(None if metrics_server is None else metrics_server.registry)
    provider = tracer_provider("amends")
    if provider is not None:
        stack.callback(provider.shutdown)
    spans = Spans(provider)
    store = await open_store(settings.store)
    stack.push_async_callback(store.close)

    participants: dict[str, Participant] = {}
    admission = Admission(participants, timers)
    for each in settings.participants:
        participant = Participant(
            Endpoint(name=each.name, address=each.address, credentials=channel_credentials(each)),
            timers,
            spans,
            limit=settings.max_calls_in_flight,
            opened=lambda name=each.name: admission.participant_changed(name),  # type: ignore[misc]
        )
        participants[each.name] = participant
        stack.push_async_callback(participant.close)

    runtime = Runtime(store, participants, timers, metrics, max_live_sagas=settings.max_live_sagas)
    keeper = Keeper(runtime, metrics, retention=settings.retention.total_seconds())
    report(metrics, runtime)
    registry = Registry(store, admission, timers)
    starter = Starter(runtime, admission, registry, spans)
    stack.push_async_callback(starter.close)
    tracker = await _tracker(settings, store, timers, metrics, stack)
    service = CoordinatorService(runtime, registry, starter, tracker)
    http = _serve_http(settings, service, stack)
    server, health = await _serve_api(settings, service, spans)
    stack.push_async_callback(server.stop, None)
    if metrics_server is not None:
        print(f"amends: metrics at http://{metrics_server.address}/metrics", flush=True)  # noqa: T201
    if http is not None:
        print(f"amends: JSON at {http.url}", flush=True)  # noqa: T201 - who started it waits for this
    return _Daemon(runtime, keeper, tracker, server, health, http)


async def _tracker(
    settings: Settings, store: Store, timers: Timers, metrics: Metrics, stack: AsyncExitStack
) -> Tracker | None:
    """Makes what follows the bus, if there is one."""
    if settings.bus is None:
        return None
    assert isinstance(store, SqliteStore), "Invariant: the settings take no other store"
    bus = bus_at(settings.bus)
    stack.push_async_callback(bus.close)
    await bus.open()
    tracker = Tracker(
        store.tracking,
        bus,
        timers.now,
        stall_after=settings.stall_after.total_seconds(),
        retention=settings.retention.total_seconds(),
    )
    metrics.add(tracker.counts)
    return tracker


async def _serve_api(
    settings: Settings, service: CoordinatorService, spans: Spans
) -> tuple[grpc.aio.Server, HealthServicer]:
    server = grpc.aio.server(
        interceptors=spans.server_interceptors(),
        options=[
            ("grpc.so_reuseport", 0),  # a port in use is an error, not a second owner
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            # What comes in is bounded, and what was kept of it must be readable: a saga with its results is
            # larger than any request.
            ("grpc.max_send_message_length", -1),
        ],
    )
    coordinator_pb2_grpc.add_CoordinatorServicer_to_server(service, server)
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    credentials = _server_credentials(settings)
    try:
        if credentials is None:
            port = server.add_insecure_port(settings.listen)
        else:
            port = server.add_secure_port(settings.listen, credentials)
    except RuntimeError as error:
        raise StartError(
            f"cannot listen on {settings.listen}: is the port in use? Choose another with --listen"
        ) from error
    await server.start()
    await health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    host = settings.listen.rpartition(":")[0]
    print(f"amends: listening on {host}:{port}", flush=True)  # noqa: T201
    return server, health


def _serve_http(
    settings: Settings, service: CoordinatorService, stack: AsyncExitStack
) -> "HttpServer | None":
    if settings.http is None:
        return None
    # Imported here: not everybody has it served, or has its packages.
    try:
        from amends_coordinator.http_api.server import HttpServer
    except ModuleNotFoundError as error:
        raise StartError(
            f"--http needs the package {error.name}: install it with pip install 'amends[http]'"
        ) from error
    server = HttpServer(
        service,
        settings.http,
        cert=settings.tls_cert,
        key=settings.tls_key,
        client_ca=settings.tls_client_ca,
        grace=RPC_GRACE,
    )
    stack.callback(server.close)
    return server


def _serve_metrics(settings: Settings, stack: AsyncExitStack) -> MetricsServer | None:
    if settings.metrics is None:
        return None
    try:
        server = serve_metrics(settings.metrics)
    except OSError as error:
        raise StartError(
            f"cannot serve metrics at {settings.metrics}: {error.strerror}; choose another address with "
            "--metrics, or none with --metrics off"
        ) from error
    stack.callback(server.close)
    return server


def _server_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    client_ca = read_pem(settings.tls_client_ca)
    return grpc.ssl_server_credentials(
        [(read_pem(settings.tls_key) or b"", read_pem(settings.tls_cert) or b"")],
        root_certificates=client_ca,
        require_client_auth=client_ca is not None,
    )
