"""The table of the fence, written down once more from the design: the reference for `fence_stories`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hypothesis import strategies as st

ACTIONS = ["plain", "waiting", "outside", "final"]
"""A plain handler, an async one, one with an effect outside the database, and one without a compensation."""


class Call(NamedTuple):
    """What is asked of the participant, and how the handler ends if it is run."""

    step: str
    action: str
    forward: bool = True
    input: int = 1
    end: str = "well"
    knows_result: bool = False  # a Compensate that brings the result of its Try


@dataclass(frozen=True)
class Record:
    """What is known of one step: the row of its fence, and its effect."""

    state: str = ""
    used_for: tuple[str, int] = ("", 0)
    answer: str = ""
    effect: int = 0

    def after(self, call: Call) -> tuple["Record", str]:
        """The table: what a call is answered, and what is known from then on."""
        return self._tried(call) if call.forward else self._compensated(call)

    def _tried(self, call: Call) -> tuple["Record", str]:
        if self.state in ("COMPENSATED", "TOMBSTONE"):
            return self, "rejected ALREADY_COMPENSATED"
        if self.state and self.used_for != (call.action, call.input):
            return self, "KEY_REUSED"
        if self.answer:
            return self, self.answer
        outside = call.action == "outside"
        intended = replace(self, state="INTENDED", used_for=(call.action, call.input)) if outside else self
        if call.end == "well":
            tried = Record("TRIED", (call.action, call.input), f"succeeded {call.input}", 1)
            return tried, tried.answer
        if call.end == "no":
            state = "INTENDED" if self.state else "REJECTED"
            rejected = replace(
                intended, state=state, used_for=(call.action, call.input), answer="rejected NO"
            )
            return rejected, rejected.answer
        if call.end == "late failure" and outside:
            intended = replace(intended, effect=1)  # it took effect, and nobody was told
        answers = {"later": "pending", "never": "STOPPING"}
        return intended, answers.get(call.end, "HANDLER_FAILED")

    def _compensated(self, call: Call) -> tuple["Record", str]:
        if not self.state:
            return (self, "refused FENCE_LOST") if call.knows_result else (Record("TOMBSTONE"), "compensated")
        if self.state not in ("TRIED", "INTENDED"):
            return self, "compensated"
        if self.used_for[0] != call.action:
            return self, "KEY_REUSED"
        if call.action == "final":
            return self, "refused NOT_COMPENSATABLE"
        if call.end == "well":
            return Record("COMPENSATED"), "compensated"
        answers = {"no": "refused NO", "later": "pending"}
        return self, answers.get(call.end, "HANDLER_FAILED")


@st.composite
def calls(draw: st.DrawFn, actions: Sequence[str] = ACTIONS) -> Call:
    """Any call of two steps, most of them the same ones again."""
    return Call(
        step=draw(st.sampled_from("ab")),
        action=draw(st.sampled_from(actions)),
        forward=draw(st.booleans()),
        input=draw(st.sampled_from([1, 1, 1, 2])),
        end=draw(st.sampled_from(["well", "well", "no", "later", "failure", "late failure"])),
        knows_result=draw(st.sampled_from([False, False, True])),
    )
