"""The sagas that are recorded: each a definition, what its participants say, and what operators wish."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.rpc.code_pb2 import Code

from amends._payload import pack
from amends_coordinator.core.definition import Kind, Retry, Step
from amends_coordinator.core.outcomes import Outcome, Pending, Refused, Rejected, Succeeded, Unknown
from amends_coordinator.core.stimuli import CancelWished, ResolveWished, RetryWished, Stimulus
from amends_coordinator.core.values import Payload, Refusal, Rejection, Resolution

HOLD: Final = None
"""Leaves a call unanswered: it is in flight when the coordinator is killed."""

DAY: Final = 86_400.0
LATER: Final = Unknown(Code.UNAVAILABLE, "nobody listens", retry_after=3_600.0)
AT_ONCE: Final = Retry(max_attempts=3, initial_backoff=0.001, max_backoff=0.001)
REJECTED: Final = Rejected(Rejection("SHORT", "the account is short", {"missing": "3", "währung": "€"}))
REFUSED: Final = Refused(Refusal("GONE", "the parcel has left"))


def payload(value: object) -> Payload:
    """A payload as the SDK makes it."""
    packed = pack(value)
    return Payload(packed.type_url, packed.value)


@dataclass(frozen=True, kw_only=True)
class Story:
    """One saga."""

    tells: str
    steps: Sequence[Step]
    says: Mapping[str, Sequence[Outcome | None]] = field(default_factory=dict)
    """Answers by step, and by "undo <step>" for its compensation; the last one is repeated. Whoever is not
    here does what is asked."""
    wishes: Sequence[Stimulus] = ()
    """Each is made when the saga has come to rest."""
    timeout: float | None = None
    version: int = 0
    content: Mapping[str, Any] = field(default_factory=dict)


def step(name: str, *needs: str, **policy: Any) -> Step:
    return Step(name=name, participant="shop", action=name, needs=needs, **policy)


def order(**policies: Mapping[str, Any]) -> list[Step]:
    """Reserve, charge and ship, one after another."""
    return [
        step("reserve", **policies.get("reserve", {})),
        step("charge", "reserve", **policies.get("charge", {})),
        step("ship", "charge", **policies.get("ship", {})),
    ]


PIVOT: Final = {"charge": {"kind": Kind.PIVOT}, "ship": {"kind": Kind.RETRIABLE}}
PIVOT_TWICE: Final = {**PIVOT, "charge": {"kind": Kind.PIVOT, "retry": Retry(max_attempts=1)}}
FAN: Final = [step("left"), step("right"), step("last", "left", "right")]

STORIES: Final[Mapping[str, Story]] = {
    "held-at-its-first-step": Story(
        tells="Killed during its first call, and carrying all that a saga can carry.",
        steps=order(),
        says={"reserve": [HOLD]},
        timeout=30 * DAY,
        content={
            "input": payload({"order": 7, "items": ["pen", "ink"]}),
            "step_inputs": {"charge": Payload("example.com/Opaque", b"\x00\xff\x80"), "ship": payload(None)},
            "labels": {"shop": "7", "stadt": "Köln"},
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        },
    ),
    "waits-for-a-retry": Story(
        tells="A participant was away; it is asked again in half an hour.",
        steps=order(charge={"retry": Retry(initial_backoff=3_600.0, max_backoff=3_600.0)}),
        says={"charge": [Unknown(Code.DEADLINE_EXCEEDED, "no answer")]},
    ),
    "pending": Story(
        tells="A participant has not decided yet.", steps=order(), says={"charge": [Pending(7_200.0)]}
    ),
    "pivot-needs-attention": Story(
        tells="The attempts of a pivot are used up; it may have happened, so it is tried on, and flagged.",
        steps=order(**PIVOT_TWICE),
        says={"charge": [LATER]},
    ),
    "cancelled-at-a-pivot-in-doubt": Story(
        tells="A cancel waits for the outcome of a pivot that may have happened.",
        steps=order(**PIVOT),
        says={"charge": [LATER]},
        wishes=[CancelWished("the customer changed her mind")],
    ),
    "completed": Story(
        tells="All went well, at the third attempt.",
        steps=order(charge={"kind": Kind.PIVOT}, ship={"kind": Kind.RETRIABLE, "retry": AT_ONCE}),
        says={
            "reserve": [Succeeded(payload({"shelf": 3}))],
            "charge": [Succeeded(None)],
            "ship": [
                Unknown(Code.INTERNAL, "oops"),
                Unknown(Code.UNAVAILABLE, "oops"),
                Succeeded(payload("X1")),
            ],
        },
        version=2,
        content={"definition_by_name": True},
    ),
    "rejected": Story(
        tells="A step was rejected, with facts for programs; the one before it was undone.",
        steps=order(),
        says={"charge": [REJECTED]},
    ),
    "attempts-exhausted": Story(
        tells="A step was given up, and undone as if it had happened.",
        steps=order(charge={"retry": AT_ONCE}),
        says={"charge": [Unknown(Code.UNAVAILABLE, "nobody listens")]},
    ),
    "deadline-passed": Story(
        tells="The saga ran out of time while a participant had not decided.",
        steps=order(),
        says={"charge": [Pending(7_200.0)]},
        timeout=1.0,
    ),
    "cancelled-during-a-call": Story(
        tells="After a cancel, the call in flight is awaited before anything is undone.",
        steps=order(),
        says={"charge": [HOLD]},
        wishes=[CancelWished("")],
    ),
    "given-up-beside-a-call": Story(
        tells="After a cancel, a step in doubt waits to be undone until its sibling's call has ended.",
        steps=FAN,
        says={"left": [LATER], "right": [HOLD]},
        wishes=[CancelWished("no more")],
    ),
    "compensation-fails": Story(
        tells="A compensation failed ten times: flagged, and tried on.",
        steps=order(reserve={"retry": AT_ONCE}),
        says={"charge": [REJECTED], "undo reserve": [*[Unknown(Code.INTERNAL, "oops")] * 9, LATER]},
    ),
    "compensation-pending": Story(
        tells="A compensation is not decided yet.",
        steps=order(),
        says={"ship": [REJECTED], "undo charge": [Pending(7_200.0)]},
    ),
    "refused-beside-a-compensation": Story(
        tells="One compensation was refused, another goes on.",
        steps=FAN,
        says={"last": [REJECTED], "undo left": [REFUSED], "undo right": [LATER]},
    ),
    "parked-forward": Story(
        tells="A step after the pivot was rejected: there is no way back.",
        steps=order(**PIVOT),
        says={"ship": [REJECTED]},
    ),
    "parked-forward-in-doubt": Story(
        tells="As before, but an earlier attempt may have happened.",
        steps=order(charge={"kind": Kind.PIVOT}, ship={"kind": Kind.RETRIABLE, "retry": AT_ONCE}),
        says={"ship": [Unknown(Code.UNAVAILABLE, "lost"), REJECTED]},
    ),
    "parked-backward": Story(
        tells="A compensation was refused; what lies before it waits.",
        steps=order(),
        says={"ship": [REJECTED], "undo charge": [REFUSED]},
    ),
    "parked-again": Story(
        tells="An operator had it retried, and it was refused again.",
        steps=order(),
        says={"charge": [REJECTED], "undo reserve": [REFUSED]},
        wishes=[RetryWished("called the warehouse")],
    ),
    "resolved-as-succeeded": Story(
        tells="An operator did by hand what was rejected, and the saga goes on.",
        steps=[*order(**PIVOT), step("thank", "ship", kind=Kind.RETRIABLE)],
        says={"ship": [REJECTED], "thank": [HOLD]},
        wishes=[ResolveWished(2, Resolution.SUCCEEDED, "shipped by hand", payload({"parcel": "X2"}))],
    ),
    "resolved-as-no-effect": Story(
        tells="An operator found that a step in doubt had not happened, and the saga turned back.",
        steps=order(),
        says={"charge": [LATER]},
        wishes=[ResolveWished(1, Resolution.NO_EFFECT, "looked at the bank")],
    ),
    "resolved-as-compensated": Story(
        tells="An operator undid by hand what was refused.",
        steps=order(),
        says={"charge": [REJECTED], "undo reserve": [REFUSED]},
        wishes=[ResolveWished(0, Resolution.COMPENSATED, "put it back by hand")],
    ),
    "effect-free": Story(
        tells="A step without effect was compensated without a call.",
        steps=order(reserve={"effect_free": True}),
        says={"charge": [REJECTED]},
    ),
}
