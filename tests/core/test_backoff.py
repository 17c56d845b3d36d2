"""How long a step waits before its next attempt: a table of every way the wait is bounded."""

import math

import pytest

from amends_coordinator.core.definition import Retry

CAP = 60.0

# first wait, multiplier, failures so far, chance; the wait
WAITS = {
    "the first wait is within the first backoff":   (0.1,  2.0,       1,       0.5, 0.05),
    "each failure doubles what it may be":          (0.1,  2.0,       4,       0.5, 0.4),
    "chance may take all of it away":               (0.1,  2.0,       4,       0.0, 0.0),
    "it never exceeds the cap":                     (0.1,  2.0,       20,      0.5, 30.0),
    "nor does it after as many failures as come":   (0.1,  2.0,       2**31,   0.5, 30.0),
    "a multiplier that overflows asks for the cap": (0.1,  1e300,     5,       0.5, 30.0),
    "so does one that is no number":                (0.1,  math.nan,  5,       0.5, 30.0),
    "and one that is less than nothing":            (0.1,  -2.0,      4,       0.5, 30.0),
}  # fmt: skip


@pytest.mark.parametrize(("initial", "multiplier", "failures", "chance", "wait"), WAITS.values(), ids=WAITS)
def test_wait(initial: float, multiplier: float, failures: int, chance: float, wait: float) -> None:
    """What no definition may ask for, a damaged log may hold; it is answered with the longest wait."""
    retry = Retry(initial_backoff=initial, backoff_multiplier=multiplier)
    assert retry.delay(failures, chance, CAP) == pytest.approx(wait)
