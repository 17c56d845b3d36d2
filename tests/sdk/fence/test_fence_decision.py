"""The fence's table, row by row, as pure decisions."""

import pytest

from amends._fence import Deed, Row, State, decide_compensate, decide_try

HASH = b"h"
OTHER = b"other"


def row(state: State | None) -> Row | None:
    return None if state is None else Row(state, "act", HASH, b"")


@pytest.mark.parametrize(
    ("state", "input_hash", "deed"),
    [
        (None, HASH, Deed.RUN),
        (State.INTENDED, HASH, Deed.RUN),
        (State.INTENDED, OTHER, Deed.REFUSE_REUSE),
        (State.TRIED, HASH, Deed.REPEAT),
        (State.TRIED, OTHER, Deed.REFUSE_REUSE),
        (State.REJECTED, HASH, Deed.REPEAT),
        (State.REJECTED, OTHER, Deed.REFUSE_REUSE),
        (State.COMPENSATED, HASH, Deed.REFUSE_LATE),
        (State.COMPENSATED, OTHER, Deed.REFUSE_LATE),
        (State.TOMBSTONE, HASH, Deed.REFUSE_LATE),
    ],
)
def test_a_try_is_decided_by_the_row_and_the_input(
    state: State | None, input_hash: bytes, deed: Deed
) -> None:
    assert decide_try(row(state), "act", input_hash) is deed


@pytest.mark.parametrize(
    ("state", "deed"),
    [
        (None, Deed.BURY),
        (State.INTENDED, Deed.UNDO),
        (State.TRIED, Deed.UNDO),
        (State.REJECTED, Deed.CONFIRM),
        (State.COMPENSATED, Deed.CONFIRM),
        (State.TOMBSTONE, Deed.CONFIRM),
    ],
)
def test_a_compensate_is_decided_by_the_row(state: State | None, deed: Deed) -> None:
    assert decide_compensate(row(state), "act", has_result=False) is deed


def test_p3_a_compensate_with_a_result_and_no_row_is_not_buried() -> None:
    assert decide_compensate(None, "act", has_result=True) is Deed.REFUSE_LOST


@pytest.mark.parametrize("state", list(State))
def test_a_result_makes_no_difference_where_there_is_a_row(state: State) -> None:
    found = [decide_compensate(row(state), "act", has_result=has_result) for has_result in (True, False)]
    assert found[0] is found[1]


def test_p3_a_rejection_after_an_intent_is_repeated_and_still_undone() -> None:
    rejected = Row(State.INTENDED, "act", HASH, b"rejected")
    assert decide_try(rejected, "act", HASH) is Deed.REPEAT
    assert decide_try(rejected, "act", OTHER) is Deed.REFUSE_REUSE
    assert decide_compensate(rejected, "act", has_result=False) is Deed.UNDO


@pytest.mark.parametrize("state", [State.INTENDED, State.TRIED])
def test_a_key_that_was_tried_with_another_action_is_refused(state: State) -> None:
    assert decide_try(row(state), "other", HASH) is Deed.REFUSE_REUSE
    assert decide_compensate(row(state), "other", has_result=False) is Deed.REFUSE_REUSE
