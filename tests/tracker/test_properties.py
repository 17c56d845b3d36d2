"""What holds for every sequence of events, however senseless."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from amends.v1.choreography_pb2 import ServiceDescription
from amends.v1.saga_pb2 import Step
from amends_coordinator.core.transitions import TrackedState
from amends_coordinator.store.tracking import TrackedRow
from amends_coordinator.tracker.graph import StepKey
from amends_coordinator.tracker.judging import judge
from amends_coordinator.tracker.ledger import rebuild
from amends_coordinator.tracker.messages import fact_to_proto, saga_to_proto
from amends_coordinator.tracker.observation import TURNED_BACK, Letter, Observation, Outcome
from amends_coordinator.tracker.reading import read_graph
from amends_coordinator.tracker.saga import Ended, Fact, Heard, Stalled, TrackedSaga, conclude, hear
from tests.tracker.shop import NOW, SERVICES

SHIPPING = ServiceDescription.FromString(SERVICES["shipping"])
SHIPPING.reactions[0].kind = Step.PIVOT
GRAPH = read_graph({**SERVICES, "shipping": SHIPPING.SerializeToString()})
TYPES = [
    "OrderPlaced", "StockReserved", "PaymentTaken", "ShipmentBooked", "PaymentFailed", "ShipmentFailed",
    "StockReleased", "PaymentReturned", "OrderCancelled", "Unheard",
]  # fmt: skip
STEPS = [
    ("orders", "place"),
    ("inventory", "reserve"),
    ("payments", "charge"),
    ("shipping", "ship"),
    ("", ""),
]

letters = st.builds(
    Letter,
    consumer=st.sampled_from(["inventory", "payments"]),
    event_id=st.sampled_from(["orders/1", "orders/2"]),
    event_type=st.sampled_from(TYPES),
    step=st.sampled_from(["reserve", "charge", ""]),
    reason=st.just("HANDLER_FAILED"),
    replayed=st.booleans(),
    discarded=st.booleans(),
)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    source, step = draw(st.sampled_from(STEPS))
    return Observation(
        reference=f"{source}/{draw(st.integers(1, 12))}",
        type=draw(st.sampled_from(TYPES)),
        source=source or "web",
        time=NOW + draw(st.integers(-10, 10)),
        step=step,
        outcome=draw(st.sampled_from([*Outcome, None])) if step else None,
        cause=draw(st.sampled_from(["", "orders/1", "inventory/2", "nobody/3"])),
        letter=draw(st.none() | letters) if not step else None,
    )


pages = st.lists(
    st.tuples(st.lists(observations(), max_size=5), st.sampled_from(["", "5 minutes"])), max_size=6
)
"""Events as they come, page by page, and whether there is a long silence after a page."""


def follow(found: Sequence[tuple[list[Observation], str]]) -> tuple[TrackedSaga, list[Fact]]:
    saga, facts = TrackedSaga(id="s"), []
    for number, (page, silence) in enumerate(found):
        for each in page:
            facts += hear(saga, each, NOW + number)
        if saga.observations:
            facts += conclude(saga, GRAPH, NOW + number, silence="")
        if saga.observations and silence:
            facts += conclude(saga, GRAPH, NOW + number, silence=silence)
    saga.sequence = len(facts)
    return saga, facts


@given(pages)
def test_what_is_read_from_the_store_is_what_was_live(found: list[tuple[list[Observation], str]]) -> None:
    saga, facts = follow(found)
    if not saga.observations:
        return
    row = TrackedRow(
        id=saga.id,
        definition_name=saga.definition_name,
        state=saga.state,
        create_time=saga.create_time,
        heard_time=saga.heard_time,
        end_time=saga.end_time,
        needs_attention=saga.needs_attention,
    )
    assert rebuild(row, [fact_to_proto(fact).SerializeToString() for fact in facts]) == saga


@given(pages)
def test_states_and_facts_agree(found: list[tuple[list[Observation], str]]) -> None:
    """P3, P8: a saga that completed has undone nothing; in one that is compensated no pivot succeeded.

    One that needs somebody has stalled, and says why.
    """
    saga, facts = follow(found)
    if not saga.observations:
        return
    shown = saga_to_proto(saga, GRAPH)
    judgement = judge(GRAPH, saga.observations)
    outcomes = {each.outcome for each in saga.observations if each.key is not None}
    if saga.state is TrackedState.COMPLETED:
        assert TURNED_BACK.isdisjoint(outcomes)
    if saga.state is TrackedState.COMPENSATED:
        ship = StepKey("shipping", "ship")
        assert not any(each.key == ship and each.outcome is Outcome.SUCCEEDED for each in saga.observations)
    assert (saga.needs_attention != "") == (saga.state is TrackedState.STALLED)
    assert (saga.end_time is not None) == saga.state.ended
    if saga.state.ended:
        assert not judgement.expected
        assert not judgement.letters
        assert [fact.state for fact in facts if isinstance(fact, Ended)][-1] is saga.state
    if saga.state is TrackedState.STALLED:
        assert [fact.message for fact in facts if isinstance(fact, Stalled)][-1] == saga.needs_attention
    times = [fact.observation.time for fact in facts if isinstance(fact, Heard)]
    assert times == sorted(times)
    assert len({run.step for run in shown.steps}) == len(shown.steps)
    names = {step.name for step in shown.definition.steps}
    assert all(names.issuperset(step.needs.steps) for step in shown.definition.steps)
