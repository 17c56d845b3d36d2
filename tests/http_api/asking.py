"""Requests over HTTP, as curl and scripts send them."""

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STRUCT = "type.googleapis.com/google.protobuf.Struct"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    content: Any  # the body, as what its JSON stands for
    headers: Mapping[str, str]  # by names in lower case


async def ask(
    address: str,
    method: str,
    content: object,
    *,
    verb: str = "POST",
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Calls a method. What is no bytes is sent as JSON; headers beat the usual ones."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    scheme = "http" if tls is None else "https"
    request = urllib.request.Request(
        f"{scheme}://{address}/amends.v1.Coordinator/{method}",
        body,
        {"Content-Type": "application/json", **(headers or {})},
        method=verb,
    )
    return await asyncio.to_thread(_send, request, tls)


def _send(request: urllib.request.Request, tls: ssl.SSLContext | None) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=30.0, context=tls) as response:
            return _read(response)
    except urllib.error.HTTPError as error:
        with error:
            return _read(error)


def _read(response: Any) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, json.loads(response.read()), headers)


def struct(value: dict[str, Any]) -> dict[str, Any]:
    """A payload that is a JSON object."""
    return {"@type": STRUCT, "value": value}
