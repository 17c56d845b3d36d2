"""What participants say of their methods: asked each time, but for those that do not answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from amends_coordinator.calls.caller import Caller
from amends_coordinator.runtime.descriptions import PATIENCE
from amends_coordinator.timers import Timers

_TOO_LATE: Final = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]


class UnansweredError(Exception):
    """A question that ended with a status; the message names it."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code  # google.rpc.Code


@dataclass(slots=True)
class _Silence:
    """What is told of a participant that hangs, instead of asking it."""

    words: str
    until: float  # moment


class Reflections:
    """Asks participants by server reflection, and does not have everybody wait for one that hangs."""

    def __init__(self, participants: Mapping[str, Caller], timers: Timers) -> None:
        """Asks these participants."""
        self._participants = participants
        self._timers = timers
        self._silent: dict[str, _Silence] = {}

    def forget(self, name: str) -> None:
        """Forgets that a participant hung: it may have been replaced."""
        self._silent.pop(name, None)

    async def of(self, name: str, symbols: Iterable[str]) -> FileDescriptorSet:
        """Asks a participant for the files that describe services and messages.

        Raises:
            NoReflectionError: it offers no reflection, or none that works.
            UnansweredError: it answers with an error, or not in time, now or a moment ago.
        """
        silence = self._silent.get(name)
        if silence is not None:
            if silence.until > self._timers.now():
                raise UnansweredError(_TOO_LATE, silence.words)
            # One asks again; the others are told meanwhile what is known.
            silence.until = self._timers.now() + PATIENCE
        try:
            files = await self._participants[name].reflect(symbols)
        except grpc.RpcError as error:
            unanswered = _unanswered(error)
            if unanswered.code == _TOO_LATE:
                self._silent[name] = _Silence(str(unanswered), self._timers.now() + PATIENCE)
            else:
                self.forget(name)
            raise unanswered from error
        self.forget(name)
        return files


def _unanswered(error: grpc.RpcError) -> UnansweredError:
    if not isinstance(error, grpc.aio.AioRpcError):
        return UnansweredError(grpc.StatusCode.UNKNOWN.value[0], str(error))
    code = error.code()
    return UnansweredError(code.value[0], f"{code.name}: {error.details()}")
