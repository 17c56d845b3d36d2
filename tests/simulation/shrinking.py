"""Makes the story of a broken promise short: fewer sagas, fewer kinds of faults, as long as it breaks."""

import time
from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.plan import Scope
from tests.simulation.running import Result, run

SECONDS = 10.0
"""How long to look for a shorter story: nobody waits for the shortest."""

VARIATIONS = 12
"""How often everything else is drawn anew for a world that has become smaller."""


def shrink(result: Result) -> Result:
    """Looks for a smaller world that breaks the same promise, and returns the one with the shortest story."""
    end = time.monotonic() + SECONDS
    best = result
    found = True
    while found:
        found = False
        for smaller in _smaller(best.scope):
            if time.monotonic() > end:
                return best
            candidate = run(best.seed, smaller)
            if _promise(candidate) == _promise(result) and _length(candidate) < _length(best):
                best, found = candidate, True
                break
    return best


def _smaller(scope: Scope) -> Iterator[Scope]:
    for variation in range(VARIATIONS):
        for sagas in (1, 2, scope.sagas // 2):
            if 0 < sagas < scope.sagas:
                yield replace(scope, sagas=sagas, variation=variation)
    for fault in sorted(scope.faults):
        yield replace(scope, faults=scope.faults - {fault})
    for variation in range(VARIATIONS):
        yield replace(scope, variation=variation)


def _promise(result: Result) -> str:
    return result.broken.partition(":")[0]


def _length(result: Result) -> int:
    return len(result.story.about(result.broken_saga))
