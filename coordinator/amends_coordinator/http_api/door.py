"""What is refused before a method is looked for: each with a status of HTTP, and words for people.

Browsers are kept out. A page from anywhere can have its visitor's browser send requests to this port, where
nothing but the network's walls keeps strangers away. Such requests carry an `Origin`, and may send JSON only
where the server has allowed it when asked, which this one never does.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from amends_coordinator.http_api.bodies import MAX_BODY
from amends_coordinator.http_api.endpoints import PREFIX, SERVICE, streaming_methods, unary_methods

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON: Final = "application/json"


@dataclass(frozen=True, kw_only=True)
class _Refusal:
    """An answer to what is no request of the API."""

    status: int
    code: str  # one of Connect's
    message: str
    header: tuple[str, str] | None = None


class Door:
    """An ASGI application that lets requests of the API pass to the one behind it."""

    def __init__(self, behind: Asgi) -> None:
        """Stands before an application."""
        self._behind = behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        refusal = _refusal(scope)
        if refusal is None:
            # The server cancels what outlasts its grace when it stops. The client has been told by then, and
            # nobody else waits for us; without this, the log would show it as an error of ours.
            with suppress(asyncio.CancelledError):
                await self._behind(scope, receive, send)
        else:
            await _answer(send, refusal)


def _refusal(scope: Scope) -> _Refusal | None:
    return _wrong_path(scope["path"]) or _wrong_method(scope["method"]) or _wrong_headers(scope["headers"])


def _wrong_path(path: str) -> _Refusal | None:
    name = path.removeprefix(PREFIX)
    if path.startswith(PREFIX) and name in unary_methods():
        return None
    if path.startswith(PREFIX) and name in streaming_methods():
        return _Refusal(
            status=501,
            code="unimplemented",
            message=f"{name} is a stream, which goes by gRPC alone; amends watch shows the events of a saga",
        )
    return _Refusal(
        status=404,
        code="unimplemented",
        message=f"there is nothing at this path; POST to {PREFIX}METHOD with one of the methods "
        f"{', '.join(unary_methods())} of {SERVICE.full_name}",
    )


def _wrong_method(method: str) -> _Refusal | None:
    if method == "POST":
        return None
    return _Refusal(
        status=405,
        code="unimplemented",
        message="send the request as JSON by POST, such as with curl --json",
        header=("allow", "POST"),
    )


def _wrong_headers(headers: list[tuple[bytes, bytes]]) -> _Refusal | None:
    values = dict(headers)
    if not all(name.isascii() and value.isascii() for name, value in headers):
        return _Refusal(
            status=400, code="invalid_argument", message="a header has characters that are not ASCII"
        )
    if b"origin" in values:
        return _Refusal(
            status=403,
            code="permission_denied",
            message="requests of web pages are not taken; have a server of your own send them",
        )
    given = values.get(b"content-type", b"").decode()
    if given.partition(";")[0].strip().lower() != JSON:
        return _Refusal(
            status=415,
            code="invalid_argument",
            message=f"the content type is {given or 'missing'!r}, but must be {JSON!r}, as curl --json says",
            header=("accept-post", JSON),
        )
    size = int(values.get(b"content-length", b"0"))
    if size > MAX_BODY:
        return _Refusal(
            status=413,
            code="resource_exhausted",
            message=f"the body takes {size} bytes, but may take {MAX_BODY}; larger ones go by gRPC",
        )
    return None


async def _answer(send: Send, refusal: _Refusal) -> None:
    body = json.dumps({"code": refusal.code, "message": refusal.message}).encode()
    headers = [("content-type", JSON), ("content-length", str(len(body)))]
    if refusal.header is not None:
        headers.append(refusal.header)
    await send(
        {
            "type": "http.response.start",
            "status": refusal.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers],
        }
    )
    await send({"type": "http.response.body", "body": body})
