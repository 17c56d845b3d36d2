"""One connection to a server, until it breaks.

What is asked is answered to one inbox, by numbers; what consumers send goes to inboxes of their own. Once the
connection is lost, whatever is waited for fails at once and nothing can be sent any more, so that nothing
arrives at the server after its sender has given up and begun anew elsewhere.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from amends._bus.interface import BusUnavailableError

ANSWER_TIMEOUT_S: Final = 5.0
"""How long the server may take to answer: many times what a disk under load needs."""

_ACK_PREFIX: Final = "$JS.ACK."
_TOKENS: Final = 9
_CANNOT_CHANGE: Final = "can not be updated"
_NO_FILE: Final = "no such file or directory"
NO_RESPONDERS: Final = "503"

Receive = Callable[[Msg], Awaitable[None]]
"""Takes what a consumer sends: messages, and words about its requests."""


class ApiError(Exception):
    """JetStream has answered with an error.

    Attributes:
        code: tells which, https://github.com/nats-io/nats-server/blob/main/server/errors.json.
        is_lasting: whether the same call would be answered in the same way again.
        lacks_files: whether the server knows something whose files are gone.
    """

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.code = int(error.get("err_code", 0))
        text = str(error.get("description", error))
        self.is_lasting = error.get("code") in (400, 403) or _CANNOT_CHANGE in text
        self.lacks_files = _NO_FILE in text
        super().__init__(text)


class Session:
    """A connection and its inbox. Made by `connect`.

    Args:
        client: is connected.
        lost: is done at the end of the connection.
        faults: what the server complained of, the last at the end.
    """

    def __init__(self, client: Client, lost: asyncio.Future[None], faults: Sequence[Exception]) -> None:
        self._client = client
        self._faults = faults
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
            # What one may not ask is not answered: the server says so beside it.
            why = f" ({self._faults[-1]})" if self._faults else ""
            text = f"the server does not answer within {ANSWER_TIMEOUT_S:g} s{why}"
            raise BusUnavailableError(text) from None
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
            await self._subscription.drain()  # type: ignore[no-untyped-call] # the library has no types here


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
