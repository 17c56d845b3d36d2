"""One connection to a server, until it breaks.

What is asked is answered to one inbox, by numbers; what consumers send goes to inboxes of their own. Once the
connection is lost, whatever is waited for fails at once and nothing can be sent any more, so that nothing
arrives at the server after its sender has given up and begun anew elsewhere.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from amends._bus.interface import BusError, BusUnavailableError
from amends._bus.nats.address import Address

ANSWER_TIMEOUT_S: Final = 5.0
"""How long the server may take to answer: many times what a disk under load needs."""

_CONNECT_TIMEOUT_S: Final = 2
_PING_INTERVAL_S: Final = 10
"""A connection that died without a word is found after three of these."""

_PENDING_BYTES: Final = 8 * 1024 * 1024
_ACK_PREFIX: Final = "$JS.ACK."
_TOKENS: Final = 9
NO_RESPONDERS: Final = "503"

Receive = Callable[[Msg], Awaitable[None]]
"""Takes what a consumer sends: messages, and words about its requests."""


class ApiError(Exception):
    """JetStream has answered with an error.

    Attributes:
        code: tells which, https://github.com/nats-io/nats-server/blob/main/server/errors.json.
        is_lasting: whether the same call would be answered in the same way again.
    """

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.code = int(error.get("err_code", 0))
        self.is_lasting = error.get("code") in (400, 403)
        super().__init__(str(error.get("description", error)))


class Session:
    """A connection and its inbox. Made by `connect`."""

    def __init__(self, client: _Client, lost: asyncio.Future[None]) -> None:
        self._client = client
        self._lost = lost
        self._inbox = client.new_inbox()
        self._numbers = itertools.count(1)
        self._answers: dict[str, asyncio.Future[Msg]] = {}
        lost.add_done_callback(self._give_up)

    @property
    def max_payload(self) -> int:
        """The most bytes that the server takes as headers and data of a message."""
        return self._client.max_payload

    @property
    def is_lost(self) -> bool:
        """Whether the connection is no more."""
        return self._lost.done()

    def when_lost(self, call: Callable[[], None]) -> None:
        """Calls something at the end of the connection."""
        self._lost.add_done_callback(lambda _: call())

    async def until_lost(self) -> None:
        """Waits for the end of the connection."""
        await asyncio.shield(self._lost)

    async def listen(self) -> None:
        """Opens the inbox."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._receive)

    async def request(self, subject: str, data: bytes = b"", headers: dict[str, str] | None = None) -> Msg:
        """Sends something, and waits for the answer.

        Raises:
            BusUnavailableError: none came in time, or the connection was lost.
        """
        number = str(next(self._numbers))
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            await self.send(subject, data, reply=f"{self._inbox}.{number}", headers=headers)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                message = await answer
        except TimeoutError:
            raise BusUnavailableError(f"the server does not answer within {ANSWER_TIMEOUT_S:g} s") from None
        finally:
            del self._answers[number]
            answer.cancel()
        if status_of(message) == NO_RESPONDERS:
            # The next session looks whether there is a stream, and makes it where there is none.
            await self.close()
            raise BusUnavailableError(
                "nobody answers: the stream is gone, or the server has no JetStream (`nats-server -js`), or "
                "not yet"
            )
        return message

    async def api(self, call: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Calls JetStream's API.

        Raises:
            ApiError: it answered with an error.
            BusUnavailableError: it did not answer.
        """
        message = await self.request(f"$JS.API.{call}", json.dumps(request).encode() if request else b"")
        answer: dict[str, Any] = json.loads(message.data)
        if error := answer.get("error"):
            raise ApiError(error)
        return answer

    async def send(
        self, subject: str, data: bytes = b"", *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Sends something.

        Raises:
            BusUnavailableError: the connection was lost.
        """
        try:
            await self._client.publish(subject, data, reply=reply, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise BusUnavailableError(f"the connection was lost ({error})") from error

    async def open_inbox(self, receive: Receive) -> Inbox:
        """Makes an inbox for what consumers send.

        Args:
            receive: is given everything that comes, in order; must not wait for answers.

        Raises:
            BusUnavailableError: the connection was lost.
        """
        subject = self._client.new_inbox()
        try:
            return Inbox(subject, await self._client.subscribe(f"{subject}.>", cb=receive))
        except (nats.errors.Error, OSError) as error:
            raise BusUnavailableError(f"the connection was lost ({error})") from error

    async def close(self) -> None:
        """Ends the connection."""
        await self._client.close()
        if not self._lost.done():
            self._lost.set_result(None)

    async def _receive(self, message: Msg) -> None:
        answer = self._answers.get(message.subject.removeprefix(f"{self._inbox}."))
        if answer and not answer.done():
            answer.set_result(message)

    def _give_up(self, lost: asyncio.Future[None]) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(BusUnavailableError("the connection was lost"))


class Inbox:
    """Where consumers send to; made by `Session.open_inbox`.

    Attributes:
        subject: its own; requests are to name one below it.
    """

    def __init__(self, subject: str, subscription: Subscription) -> None:
        self.subject = subject
        self._subscription = subscription

    async def close(self) -> None:
        """Has the server send nothing more to it, and returns once all it had sent was received."""
        with suppress(nats.errors.Error, OSError):
            await self._subscription.drain()  # type: ignore[no-untyped-call]


class _Client(Client):
    """The library's client, which would send a password unencrypted if a server asked for that."""

    tls = False

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if self.tls and not info.get("tls_required"):
            raise ssl.SSLError("the server does not encrypt")
        await super()._process_info(info, initial_connection)


async def connect(address: Address) -> Session:
    """Connects to one of the servers.

    Raises:
        BusError: there is one, and it refuses the credentials, or its certificate cannot be trusted.
        BusUnavailableError: none can be reached.
    """
    client = _Client()
    client.tls = address.tls
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    faults: list[Exception] = []

    async def on_error(error: Exception) -> None:
        faults.append(error)

    async def on_closed() -> None:
        if not lost.done():
            lost.set_result(None)

    try:
        await client.connect(
            address.servers,
            name="amends",
            user=address.user,
            password=address.password,
            token=address.token,
            user_credentials=address.credentials and str(address.credentials),
            error_cb=on_error,
            closed_cb=on_closed,
            allow_reconnect=False,
            connect_timeout=_CONNECT_TIMEOUT_S,
            max_reconnect_attempts=1,  # two in all, without a wait between them
            reconnect_time_wait=0,
            ping_interval=_PING_INTERVAL_S,
            pending_size=_PENDING_BYTES,
        )
        session = Session(client, lost)
        await session.listen()
    except (nats.errors.Error, OSError, ssl.SSLError, TimeoutError, ValueError) as error:
        await client.close()
        raise _translated(faults[-1] if faults else error, address) from error
    except BaseException:
        await client.close()
        raise
    return session


def _translated(error: Exception, address: Address) -> BusError | BusUnavailableError:
    text = str(error) or type(error).__name__
    if "authorization" in text.lower() or "authentication" in text.lower():
        return BusError(
            f"{address} refuses the credentials ({text}): put USER:PASSWORD@ or TOKEN@ before the host, "
            "or add ?creds=FILE"
        )
    if isinstance(error, ssl.SSLError):
        return BusError(
            f"{address} cannot be trusted ({text}): check its certificate, and name the authority that "
            "signed it with SSL_CERT_FILE; or write nats:// where nothing is to be encrypted"
        )
    return BusUnavailableError(f"{address} cannot be reached ({text})")


def is_delivery(message: Msg) -> bool:
    """Whether a consumer sent it as a message; else it is a word about a request."""
    return message.reply.startswith(_ACK_PREFIX)


def status_of(message: Msg) -> str:
    """The status that the server put in place of a message; empty for a message."""
    return (message.headers or {}).get("Status", "")


def delivery_of(reply: str) -> tuple[int, int]:
    """A message's sequence number and how often it was delivered, from the subject that acknowledges it."""
    tokens = reply.split(".")
    # Stream, consumer, deliveries, sequence; a longer form has the domain and the account before them.
    _, _, number, sequence = tokens[2:6] if len(tokens) == _TOKENS else tokens[4:8]
    return int(sequence), int(number)
