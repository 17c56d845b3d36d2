"""Raw unary calls of grpc.aio: the yardstick. The same machine, the same moment, and nothing but an echo.

Figures in sagas per second say more about a machine than about Amends; figures in echoes do not. The server
runs as a process of its own (``python -m benchmarks._raw``), the client in the process that measures.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc

from benchmarks._workspace import announce_and_wait

CONCURRENCY: Final = 128
"""Calls under way while the rate is measured; the same as sagas in their benchmark."""

PAYLOAD: Final = bytes(200)
"""What is echoed: as many bytes as a step's input has."""

_WARM_UP_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """What raw calls came to."""

    calls_per_second: float
    p50_ms: float
    """Half of the calls, one at a time, took no longer."""


async def measure(address: str, seconds: float) -> Raw:
    """Measures the rate for so many seconds, then the latency for a fourth of that."""
    async with grpc.aio.insecure_channel(address) as channel:
        echo: Any = channel.unary_unary("/benchmarks.Echo/Echo")
        await _drive(echo, CONCURRENCY, seconds * _WARM_UP_SHARE)
        started = time.perf_counter()
        many = await _drive(echo, CONCURRENCY, seconds)
        elapsed = time.perf_counter() - started
        single = await _drive(echo, 1, seconds / 4)
    return Raw(calls_per_second=len(many) / elapsed, p50_ms=statistics.median(single) * 1e3)


def mean(measured: Sequence[Raw]) -> Raw:
    """The middle of some measurements, taken before and after what they are the yardstick of."""
    return Raw(
        calls_per_second=statistics.mean(raw.calls_per_second for raw in measured),
        p50_ms=statistics.mean(raw.p50_ms for raw in measured),
    )


async def _drive(echo: Any, concurrency: int, seconds: float) -> list[float]:
    """Calls for a while, and returns the seconds that each call took."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        while (begun := time.perf_counter()) < end:
            await echo(PAYLOAD)
            latencies.append(time.perf_counter() - begun)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrency):
            tasks.create_task(caller())
    return latencies


async def _serve() -> None:
    async def echo(request: bytes, context: object) -> bytes:
        return request

    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("benchmarks.Echo", {"Echo": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await announce_and_wait("raw", f"127.0.0.1:{port}")
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(_serve())
