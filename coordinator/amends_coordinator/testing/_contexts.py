"""What the methods of a plain service are given beside their request, without a server around them.

A method that is a coroutine gets what ``grpc.aio`` would give it, any other what ``grpc`` would: how a call
is aborted differs between the two.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, NoReturn

import grpc


class Metadatum(NamedTuple):
    """One entry of the metadata, which servers hand out as a tuple whose parts have names."""

    key: str
    value: str | bytes


Metadata = Iterable[tuple[str, str | bytes]]
"""What goes with a call, or with its end."""


@dataclass(slots=True)
class Ending:
    """How a call ends, as far as its method has said so."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    details: str = ""
    trailing: tuple[tuple[str, str | bytes], ...] = ()
    aborted: bool = False

    def abort(self, code: grpc.StatusCode, details: str, trailing: Metadata = ()) -> None:
        """Says that the method is to go no further. OK is no reason for that, and becomes UNKNOWN."""
        self.aborted = True
        self.code = grpc.StatusCode.UNKNOWN if code is grpc.StatusCode.OK else code
        self.details = details
        self.trailing += tuple(trailing)

    def fail(self, details: str) -> None:
        """Says that the method broke off by an exception; what it said before that holds."""
        if self.code is grpc.StatusCode.OK:
            self.code = grpc.StatusCode.UNKNOWN
        self.details = self.details or details

    def error(self) -> grpc.aio.AioRpcError:
        """What the caller gets."""
        trailing: Any = grpc.aio.Metadata(*self.trailing)
        return grpc.aio.AioRpcError(self.code, grpc.aio.Metadata(), trailing, details=self.details)


class _Context:
    """What both contexts have."""

    def __init__(self, timeout: float, metadata: Metadata) -> None:
        """Begins a call.

        Args:
            timeout: the seconds until its caller stops waiting, in real time.
            metadata: what goes with it.
        """
        self.ending = Ending()
        self._metadata = tuple(Metadatum(*each) for each in metadata)
        self._until = time.monotonic() + timeout
        self._over = False
        self._callbacks: list[Callable[[], object]] = []

    def over(self) -> None:
        """Ends the call, and tells those who wait for that."""
        self._over = True
        for callback in self._callbacks:
            callback()

    def invocation_metadata(self) -> Any:
        """What comes with the call."""
        return self._metadata

    def time_remaining(self) -> float:
        """The seconds until the caller stops waiting."""
        return max(self._until - time.monotonic(), 0.0)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Has the call end with this code, instead of OK."""
        self.ending.code = code

    def set_details(self, details: str) -> None:
        """Has the call end with this message."""
        self.ending.details = details

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Has this go with the end of the call."""
        self.ending.trailing = tuple(trailing_metadata)

    def code(self) -> grpc.StatusCode:
        """How the call ends as far as is known."""
        return self.ending.code

    def details(self) -> str:
        """The message with which it ends."""
        return self.ending.details

    def trailing_metadata(self) -> Any:
        """What goes with its end."""
        return self.ending.trailing

    def set_compression(self, compression: grpc.Compression) -> None:
        """Changes nothing: nothing travels."""

    def disable_next_message_compression(self) -> None:
        """Changes nothing either."""

    def peer(self) -> str:
        """Names the caller."""
        return "local"

    def peer_identities(self) -> None:
        """Nobody has shown a certificate."""

    def peer_identity_key(self) -> None:
        """Nor by which property it would be known."""

    def auth_context(self) -> Mapping[str, Any]:
        """Nor anything else."""
        return {}


class ThreadContext(_Context, grpc.ServicerContext):
    """The context of a plain method, which runs in a thread."""

    def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """Ends the call with a status, by an exception."""
        self.ending.abort(code, details)
        raise Exception  # as grpc does; not for the servicer to catch

    def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """Ends the call with a rich status, by an exception."""
        self.ending.abort(status.code, status.details, status.trailing_metadata or ())
        raise Exception  # likewise

    def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Changes nothing: whoever calls the steps of a saga does not look at it."""

    def add_callback(self, callback: Callable[[], object]) -> bool:
        """Has this called when the call is over."""
        self._callbacks.append(callback)
        return True

    def is_active(self) -> bool:
        """Tells whether the call goes on."""
        return not (self._over or self.ending.aborted)

    def cancel(self) -> bool:
        """Has the call end as cancelled."""
        self.ending.abort(grpc.StatusCode.CANCELLED, "the service cancelled the call")
        return True


class LoopContext(_Context, grpc.aio.ServicerContext[Any, Any]):
    """The context of a method that is a coroutine, and runs in the event loop."""

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """Ends the call with a status, by an exception."""
        self.ending.abort(code, details, trailing_metadata)
        raise grpc.aio.AbortError

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """Ends the call with a rich status, by an exception."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Changes nothing: whoever calls the steps of a saga does not look at it."""

    async def read(self) -> NoReturn:
        """Fails, as it does in every method that does not stream."""
        raise grpc.aio.UsageError("this method does not stream: its request is its argument")

    async def write(self, message: object) -> NoReturn:
        """Fails likewise."""
        raise grpc.aio.UsageError("this method does not stream: it returns its response")

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Has this called when the call is over."""
        self._callbacks.append(partial(callback, self))

    def cancelled(self) -> bool:
        """Tells that nobody has cancelled the call."""
        return False

    def done(self) -> bool:
        """Tells whether the call is over."""
        return self._over
