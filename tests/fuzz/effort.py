"""How much is tried: a small slice that is always the same, or a multiple of it that is always fresh."""

import os
from random import SystemRandom
from typing import Final

from hypothesis import HealthCheck, settings

FACTOR: Final = int(os.environ.get("AMENDS_FUZZ", "0"))
"""How many times the slice of `make test` is tried; 0 for that slice itself, whose inputs are fixed."""

SEED: Final = int(os.environ.get("AMENDS_FUZZ_SEED", SystemRandom().randrange(2**32) if FACTOR else 0))
"""What everything is drawn from that Hypothesis does not draw. A test that uses it names it when it fails."""


def times(count: int) -> int:
    """As many as `make test` tries, or the multiple of it that was asked for."""
    return count * max(FACTOR, 1)


def effort(examples: int, *, steps: int = 50) -> settings:
    """The settings for a test that tries so many examples in `make test`.

    Args:
        examples: of the slice.
        steps: what may happen in one story, where the test tells stories.
    """
    return settings(
        max_examples=times(examples),
        stateful_step_count=steps,
        derandomize=not FACTOR,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
