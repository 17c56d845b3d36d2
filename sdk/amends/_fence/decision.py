"""What a call means, given what its step has done already: the table every promise of the fence rests on.

| call       | row                              | deed                                              |
|------------|----------------------------------|---------------------------------------------------|
| Try        | none                             | RUN                                               |
| Try        | INTENDED, same input             | RUN; with an answer: REPEAT                       |
| Try        | TRIED or REJECTED, same input    | REPEAT                                            |
| Try        | those three, other input         | REFUSE_REUSE                                      |
| Try        | COMPENSATED or TOMBSTONE         | REFUSE_LATE                                       |
| Compensate | none                             | BURY; with a result of the Try: REFUSE_LOST       |
| Compensate | TRIED or INTENDED                | UNDO; another action than was tried: REFUSE_REUSE |
| Compensate | REJECTED, COMPENSATED, TOMBSTONE | CONFIRM                                           |

The same input means the same action, payload type and payload bytes: a key names one deed for ever.

A Compensate that brings a result without a row to it tells that the Try took effect here, and that the fence
has forgotten: its retention ran out, or an older copy of the database was restored. Nobody may then take the
effect for gone.

An INTENDED row gets an answer where a later attempt was rejected: that says nothing of what an earlier one
did outside the database, so the step stays as unsettled as it was, and a Compensate undoes it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, NamedTuple


class State(enum.StrEnum):
    """What a step has come to, as far as its participant is concerned."""

    INTENDED = "INTENDED"
    """A Try with an effect outside the database was begun; whether the effect exists is not known.

    It has an answer only where a later attempt was rejected.
    """
    TRIED = "TRIED"
    """The effect exists."""
    REJECTED = "REJECTED"
    """The Try was turned down; there is no effect."""
    COMPENSATED = "COMPENSATED"
    """There was an effect, and it is undone. Final."""
    TOMBSTONE = "TOMBSTONE"
    """The Compensate came first; there is no effect, and none will be. Final."""


class Row(NamedTuple):
    """What the fence knows of one (saga, step). A tuple, since one is made for every call."""

    state: State
    action: str
    """The action that was tried; of a TOMBSTONE, the one that was to be compensated."""
    input_hash: bytes
    """The SHA-256 of the payload's type and bytes; empty for a TOMBSTONE."""
    answer: bytes
    """The TryResponse that was given, serialised; empty while there is none."""


class Deed(enum.Enum):
    """What is to be done about a call."""

    RUN = enum.auto()
    """Run the action's handler."""
    REPEAT = enum.auto()
    """Give the stored answer."""
    REFUSE_REUSE = enum.auto()
    """Fail the call: its key was used for something else."""
    REFUSE_LATE = enum.auto()
    """Reject the Try: its step is compensated."""
    BURY = enum.auto()
    """Remember a TOMBSTONE, and answer compensated."""
    UNDO = enum.auto()
    """Run the compensation's handler."""
    REFUSE_LOST = enum.auto()
    """Refuse the Compensate: there was an effect, and the fence has forgotten it."""
    CONFIRM = enum.auto()
    """Answer compensated."""


ON_TRY: Final[Mapping[State | None, Deed]] = {
    None: Deed.RUN,
    State.INTENDED: Deed.RUN,
    State.TRIED: Deed.REPEAT,
    State.REJECTED: Deed.REPEAT,
    State.COMPENSATED: Deed.REFUSE_LATE,
    State.TOMBSTONE: Deed.REFUSE_LATE,
}

ON_COMPENSATE: Final[Mapping[State | None, Deed]] = {
    None: Deed.BURY,
    State.INTENDED: Deed.UNDO,
    State.TRIED: Deed.UNDO,
    State.REJECTED: Deed.CONFIRM,
    State.COMPENSATED: Deed.CONFIRM,
    State.TOMBSTONE: Deed.CONFIRM,
}


def decide_try(row: Row | None, action: str, input_hash: bytes) -> Deed:
    """Says what is to be done about a Try."""
    if row is None:
        return ON_TRY[None]
    deed = ON_TRY[row.state]
    if deed is not Deed.REFUSE_LATE and (row.input_hash != input_hash or row.action != action):
        return Deed.REFUSE_REUSE
    return Deed.REPEAT if row.state is State.INTENDED and row.answer else deed


def decide_compensate(row: Row | None, action: str, *, has_result: bool) -> Deed:
    """Says what is to be done about a Compensate, with or without the result of its Try.

    Its input is not compared: the Try has settled that.
    """
    if row is None:
        return Deed.REFUSE_LOST if has_result else ON_COMPENSATE[None]
    deed = ON_COMPENSATE[row.state]
    if deed is Deed.UNDO and row.action != action:
        return Deed.REFUSE_REUSE
    return deed
