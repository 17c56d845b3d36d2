"""Reading from a stream of gRPC without losing a cancellation."""

import asyncio
from typing import Any, TypeVar, cast

import grpc

R = TypeVar("R")


async def read(call: grpc.aio.UnaryStreamCall[Any, R] | grpc.aio.StreamStreamCall[Any, R]) -> R | None:
    """Returns the next response, or None at the end of the stream. Raises ``grpc.aio.AioRpcError``.

    A cancellation that comes while gRPC still opens the stream reaches only the task that opens it; the
    reader then sees how the call ended, and would go on (shown by
    ``test_leaving_with_an_exception_during_an_outage``). So the reader looks whether somebody cancelled it.
    """
    task = asyncio.current_task()
    assert task is not None, "coroutines of asyncio run in tasks"
    cancelled_before = task.cancelling()
    try:
        response = await call.read()
    except grpc.aio.AioRpcError:
        if task.cancelling() > cancelled_before:
            raise asyncio.CancelledError from None
        raise
    if task.cancelling() > cancelled_before:
        raise asyncio.CancelledError
    return None if response is grpc.aio.EOF else cast(R, response)
