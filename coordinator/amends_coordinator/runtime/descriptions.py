"""What participants say they offer: asked of each once, and remembered while that would do."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from math import inf
from types import MappingProxyType
from typing import Final

import grpc

from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls.caller import Caller
from amends_coordinator.runtime.together import Together
from amends_coordinator.timers import Timers

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for which a participant that did not describe itself is not asked again."""

Actions = Mapping[str, pb.ActionDescription]

UNDESCRIBED: Final[Actions] = MappingProxyType({})
"""What a participant may offer that has no Describe: anything. That is an answer, if only for PATIENCE, since
another version of it may have more to say."""


class Descriptions:
    """Knows which actions participants offer, as far as they say so."""

    def __init__(self, participants: Mapping[str, Caller], timers: Timers) -> None:
        """Asks these participants."""
        self._participants = participants
        self._timers = timers
        self._actions: dict[str, Actions] = {}
        self._asked_at: dict[str, float] = {}
        self._forgotten_at: dict[str, float] = {}
        self._silent_until: dict[str, float] = {}
        self._asking: Together[str, Actions | None] = Together()

    async def of(
        self, names: Iterable[str], would_do: Callable[[str, Actions], bool]
    ) -> dict[str, Actions | None]:
        """What participants offer; None for one that does not answer.

        Args:
            names: of the participants.
            would_do: says whether what is remembered of one is good enough not to be asked for anew.
        """
        wanted = list(names)
        found = await asyncio.gather(*(self._of(name, would_do) for name in wanted))
        return dict(zip(wanted, found, strict=True))

    def forget(self, name: str) -> None:
        """Forgets a participant: it may have been replaced by another version."""
        self._forgotten_at[name] = self._timers.now()
        self._actions.pop(name, None)
        self._silent_until.pop(name, None)
        self._asking.forget(name)

    def forget_before(self, names: Iterable[str], moment: float) -> bool:
        """Forgets of these participants what they said before a moment; tells whether there was any such."""
        old = [name for name in names if name in self._actions and self._asked_at.get(name, inf) < moment]
        for name in old:
            self.forget(name)
        return bool(old)

    async def _of(self, name: str, would_do: Callable[[str, Actions], bool]) -> Actions | None:
        actions = self._actions.get(name)
        if actions is not None and actions is not UNDESCRIBED and would_do(name, actions):
            return actions
        if self._silent_until.get(name, 0.0) > self._timers.now():
            return actions
        # What somebody else is told while we wait is new enough, whatever it says.
        return await self._asking.do(name, lambda: self._ask(name))

    async def _ask(self, name: str) -> Actions | None:
        asked_at = self._asked_at[name] = self._timers.now()
        actions = await self._describe(name)
        if self._forgotten_at.get(name, -inf) < asked_at:  # else it may be another's answer
            if actions is not None:
                self._actions[name] = actions
            if actions is None or actions is UNDESCRIBED:
                self._silent_until[name] = self._timers.now() + PATIENCE
        return actions

    async def _describe(self, name: str) -> Actions | None:
        try:
            description: pb.DescribeResponse | None = await self._participants[name].describe()
        except grpc.RpcError as error:
            if isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return UNDESCRIBED
            log.debug("participant %s gives no description: %s", name, error, extra={"action": "describe"})
            return None
        if description is None:  # what gRPC's client makes of bytes that are no message
            return None
        return {action.name: action for action in description.actions}
