"""What a client does while its coordinator does not answer: waits, longer each time, not for ever."""

import asyncio
import logging
import random

from amends.errors import CallError, TransientError

INITIAL_BACKOFF = 0.05
"""Seconds that bound the first wait: a coordinator that only changes places is back at once."""

MAX_BACKOFF = 2.0
"""Seconds that bound every wait: after a restart nobody waits much longer than the restart took."""

logger = logging.getLogger("amends.client")


class Outage:
    """One stretch of time in which calls fail that may succeed later; it may last ``patience`` seconds."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._failures = 0
        self._until = 0.0  # of the loop's clock, once something failed

    def over(self) -> None:
        """Forgets what failed: the coordinator answers."""
        self._failures = 0

    def next_wait(self, error: CallError, *, repeatable: bool = True) -> float:
        """Returns the seconds to wait before calling again. Raises the error where calling again is no good.

        A call that is not repeatable is repeated only where the coordinator itself said, with a reason, that
        it could not take it on: then nothing has happened.
        """
        if not isinstance(error, TransientError) or not (repeatable or error.reason):
            raise error
        now = asyncio.get_running_loop().time()
        if not self._failures:
            self._until = now + self._patience
        # Full jitter, so that clients that lost their coordinator together do not come back together.
        bound = min(INITIAL_BACKOFF * 2.0 ** min(self._failures, 16), MAX_BACKOFF)
        wait = max(random.uniform(0, bound), error.retry_after or 0.0)  # noqa: S311 # chance, not a secret
        if now + wait > self._until:
            raise error
        if not self._failures:
            logger.warning("%s; trying again for up to %g s", error, self._patience)
        self._failures += 1
        return wait

    async def endure(self, error: CallError, *, repeatable: bool = True) -> None:
        """Waits before the next call. Raises the error where calling again is no good."""
        await asyncio.sleep(self.next_wait(error, repeatable=repeatable))
