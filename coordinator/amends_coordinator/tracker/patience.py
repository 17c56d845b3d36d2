"""How long a saga may be silent before it counts as stalled."""

from amends_coordinator.core.transitions import TrackedState
from amends_coordinator.tracker.saga import TrackedSaga


class Patience:
    """Tells which sagas are silent for too long. Silence counts only where somebody listens."""

    def __init__(self, seconds: float) -> None:
        """Gives every saga so many seconds between two events."""
        self._seconds = seconds
        self.listening_since: float | None = None  # moment from which on all was read; None while some is not

    def ends(self, now: float) -> float | None:
        """Who was heard of last at this moment or before, and goes on, has stalled; None: nobody has yet."""
        before = now - self._seconds
        since = self.listening_since
        return None if since is None or before < since else before

    def silence(self, saga: TrackedSaga, now: float) -> str:
        """Says for how long nothing was heard of a saga, in words; empty while that is not too long.

        One that stalled before goes on only when something is heard, also where we have just begun to listen.
        """
        ends = self.ends(now)
        silent = saga.state is TrackedState.STALLED or (ends is not None and saga.heard_time <= ends)
        return in_words(self._seconds) if silent else ""


def in_words(seconds: float) -> str:
    """Says how long a patience is."""
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} second" + ("" if seconds == 1 else "s")
