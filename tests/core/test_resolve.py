"""What an operator may state of a step, in every situation a step can be in."""

import pytest

from tests.core.core_story import Story

# Each situation: the steps, what happened, and what may then be stated of the step 'x'.
SEQUENCE = ["step a", "step x", "step c", "start", "reply a succeeded"]
BACK = ["step x", "step c", "start", "reply x succeeded", "reply c rejected NO"]
BESIDE = ["step x needs=", "step y needs=", "step z needs=x,y", "start"]
AFTER = ["step p kind=pivot", "step x kind=retriable", "start", "reply p succeeded"]

SITUATIONS = {
    "waiting": ([*SEQUENCE[:-1]], ""),
    "in flight": (SEQUENCE, "in flight"),
    "between two attempts": ([*SEQUENCE, "reply x unknown UNAVAILABLE"], "succeeded no_effect"),
    "pending": ([*SEQUENCE, "reply x pending 5s"], "succeeded no_effect"),
    "succeeded": ([*SEQUENCE, "reply x succeeded"], ""),
    "awaited after the turn": ([*BESIDE, "reply y rejected NO"], "in flight"),
    "rejected after the turn": ([*BESIDE, "reply x rejected NO"], ""),
    "skipped": (["step a", "step x", "start", "reply a rejected NO"], "ended"),
    "succeeded, turned back": (
        [
            *("step x", "step y", "step z", "start", "reply x succeeded", "reply y succeeded"),
            *("reply z rejected NO",),
        ],
        "compensated",
    ),
    "unknown, turned back": (
        [
            # Nothing is undone while y is in flight, so x stays where the turn found it.
            *("step x needs= backoff=60s", "step y needs=", "start"),
            *("reply x unknown UNAVAILABLE", "cancel"),
        ],
        "no_effect compensated",
    ),
    "being compensated": (BACK, "in flight"),
    "between two compensations": ([*BACK, "reply x unknown UNAVAILABLE"], "compensated"),
    "refused": ([*BACK, "reply x refused NO"], "compensated"),
    "compensated": ([*BACK, "reply x compensated"], "ended"),
    "between two attempts after the pivot": ([*AFTER, "reply x unknown UNAVAILABLE"], "succeeded"),
    "rejected after the pivot": ([*AFTER, "reply x rejected NO"], "succeeded"),
    "unknown after the pivot": (
        [*AFTER, "reply x unknown UNAVAILABLE", "time +1s", "reply x rejected NO"],
        "succeeded",
    ),
    "completed": (["step x", "start", "reply x succeeded"], "ended"),
}


@pytest.mark.parametrize("resolution", ["succeeded", "no_effect", "compensated"])
@pytest.mark.parametrize(("plot", "permitted"), SITUATIONS.values(), ids=SITUATIONS)
def test_resolve(plot: list[str], permitted: str, resolution: str) -> None:
    """What may be true is recorded; what cannot, or is not for an operator to say now, is refused."""
    story = Story()
    for command in plot:
        story.run(command)
    first = story.run(f"resolve x as {resolution}")[0]
    if permitted == "in flight":
        assert first.startswith("refused CALL_IN_FLIGHT")
    elif permitted == "ended":
        assert first.startswith("refused SAGA_ENDED")
    elif resolution in permitted.split():
        assert first == f"fact StepResolved x {resolution.upper()}"
    else:
        assert first.startswith("refused STEP_NOT_RESOLVABLE")


def test_a_result_stated_by_an_operator_is_seen_by_later_steps() -> None:
    """A step resolved as SUCCEEDED has the result that the operator gave."""
    story = Story()
    for command in [*SEQUENCE, "reply x unknown UNAVAILABLE", "resolve x as succeeded receipt-7"]:
        story.run(command)
    result = story.saga.runs[1].result
    assert result is not None
    assert result.value == b"receipt-7"


def test_a_step_resolved_twice_is_refused() -> None:
    """What an operator stated is a fact like any other."""
    story = Story()
    for command in [*BACK[:-1], "reply c unknown UNAVAILABLE", "resolve c as succeeded"]:
        story.run(command)
    assert story.run("resolve c as no_effect")[0].startswith("refused SAGA_ENDED")
