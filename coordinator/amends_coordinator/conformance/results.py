"""What the kit finds: a result for each row of what it checks."""

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    """How a row ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It could not be checked with what was given; the result says why."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one row."""

    row: str
    """Names the row; also the name of the step in the calls that were made for it."""
    over: str
    """Which way the calls went: unary or exchange; empty where there is only one."""
    what: str
    """Says what the row checks."""
    verdict: Verdict
    why: str = ""
    """What was expected and what came, why the row was skipped, or what of it was passed over."""


class NonconformingError(Exception):
    """The contract does not allow an answer, or a count of effects; says what was expected and what came."""


class UncheckableError(Exception):
    """What a row wants to look at does not exist here; says why."""
