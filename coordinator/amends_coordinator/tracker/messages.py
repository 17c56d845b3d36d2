"""Between the tracker's values and messages: the facts of a log, and the saga as GetSaga shows it."""

from collections.abc import Sequence
from typing import Final

from google.rpc.code_pb2 import Code

from amends.v1 import event_pb2, saga_pb2
from amends_coordinator.contract.values import moment_from_proto, moment_to_proto
from amends_coordinator.core.transitions import TrackedState
from amends_coordinator.tracker.graph import Graph, StepKey
from amends_coordinator.tracker.judging import Step, judge, steps
from amends_coordinator.tracker.observation import Letter, Observation, Outcome
from amends_coordinator.tracker.saga import Began, Ended, Fact, Heard, Stalled, TrackedSaga, TurnedBack

_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}


def fact_to_proto(fact: Fact) -> event_pb2.Event:
    """Turns a fact into its message, without its place in a log."""
    time = fact.observation.time if isinstance(fact, Heard) else fact.time
    message = event_pb2.Event(time=moment_to_proto(time))
    match fact:
        case Began():
            message.saga_started.CopyFrom(
                event_pb2.SagaStarted(
                    definition=saga_pb2.Definition(name=fact.definition_name), traceparent=fact.traceparent
                )
            )
        case Heard():
            message.event_observed.CopyFrom(_observed(fact))
        case TurnedBack():
            message.compensation_started.CopyFrom(
                event_pb2.CompensationStarted(turn_back=_turn_back(fact.by))
            )
        case Stalled():
            message.saga_stalled.message = fact.message
        case Ended(state=TrackedState.COMPLETED):
            message.saga_completed.SetInParent()
        case Ended():
            message.saga_compensated.SetInParent()
    return message


def _observed(fact: Heard) -> event_pb2.EventObserved:
    heard = fact.observation
    message = event_pb2.EventObserved(
        event_id=heard.reference,
        type=heard.type,
        source=heard.source,
        step=StepKey(heard.source, heard.step).name if heard.step else "",
        outcome=heard.outcome or "",
        replay_of=heard.replay_of,
        traceparent=heard.traceparent,
    )
    if heard.cause:
        message.cause.CopyFrom(_reference(fact.cause) or saga_pb2.EventReference(id=heard.cause))
    if (letter := heard.letter) is not None:
        message.unhandled.CopyFrom(
            event_pb2.EventObserved.UnhandledEvent(
                consumer=letter.consumer,
                event=saga_pb2.EventReference(id=letter.event_id, type=letter.event_type, step=letter.step),
                reason=letter.reason,
                message=letter.message,
                attempts=letter.attempts,
                replayed=letter.replayed,
                discarded=letter.discarded,
            )
        )
    return message


def observation_from_proto(message: event_pb2.Event) -> Observation:
    """Reads what was heard from a fact of a log; the inverse of what `fact_to_proto` makes of it."""
    heard = message.event_observed
    letter = None
    if heard.HasField("unhandled"):
        said = heard.unhandled
        letter = Letter(
            consumer=said.consumer,
            event_id=said.event.id,
            event_type=said.event.type,
            step=said.event.step,
            reason=said.reason,
            message=said.message,
            attempts=said.attempts,
            replayed=said.replayed,
            discarded=said.discarded,
        )
    return Observation(
        reference=heard.event_id,
        type=heard.type,
        source=heard.source,
        time=moment_from_proto(message.time),
        step=heard.step.removeprefix(f"{heard.source}."),
        outcome=_OUTCOMES.get(heard.outcome),
        cause=heard.cause.id,
        replay_of=heard.replay_of,
        traceparent=heard.traceparent,
        letter=letter,
    )


def saga_to_proto(saga: TrackedSaga, graph: Graph) -> saga_pb2.Saga:
    """Turns a saga into its resource, with its steps as the graph has them now."""
    judgement = judge(graph, saga.observations)
    # A step that was not reached when things turned back is not reached any more: nothing goes forward.
    going = not saga.state.ended and judgement.turned_back_by is None
    shown = steps(graph, saga.observations, judgement, going=going)
    message = saga_pb2.Saga(
        id=saga.id,
        definition=saga_pb2.Definition(name=saga.definition_name, steps=_definition(shown, graph)),
        state=saga_pb2.Saga.State.ValueType(saga.state),
        steps=[_run(step) for step in shown],
        create_time=moment_to_proto(saga.create_time),
        needs_attention=saga.needs_attention,
        sequence=saga.sequence,
        traceparent=saga.traceparent,
        choreography=saga_pb2.Choreography(heard_time=moment_to_proto(saga.heard_time)),
    )
    if saga.end_time is not None:
        message.end_time.CopyFrom(moment_to_proto(saga.end_time))
    if judgement.turned_back_by is not None:
        message.turn_back.CopyFrom(_turn_back(judgement.turned_back_by))
    return message


def _definition(shown: Sequence[Step], graph: Graph) -> list[saga_pb2.Step]:
    found = []
    for step in shown:
        reaction = graph.reaction(step.key)
        found.append(
            saga_pb2.Step(
                name=step.key.name,
                participant=step.key.service,
                action=step.key.step,
                needs=saga_pb2.Step.Needs(steps=[key.name for key in step.needs]),
                kind=saga_pb2.Step.Kind.ValueType(reaction.kind if reaction is not None else 0),
                effect_free=reaction is not None and reaction.effect_free,
            )
        )
    return found


def _run(step: Step) -> saga_pb2.StepRun:
    message = saga_pb2.StepRun(step=step.key.name, state=saga_pb2.StepRun.State.ValueType(step.state))
    if (cause := _reference(step.cause)) is not None:
        message.cause.CopyFrom(cause)
    if (cause := _reference(step.compensation_cause)) is not None:
        message.compensation_cause.CopyFrom(cause)
    if step.rejection is not None:
        message.rejection.reason = step.rejection.type
    if (letter := step.letter) is not None:
        backward = message.state == saga_pb2.StepRun.COMPENSATING
        message.last_failure.CopyFrom(
            saga_pb2.AttemptFailure(
                attempt=letter.attempts,
                direction=saga_pb2.BACKWARD if backward else saga_pb2.FORWARD,
                code=Code.UNKNOWN,
                message=": ".join(part for part in (letter.reason, letter.message) if part),
            )
        )
    return message


def _reference(heard: Observation | None) -> saga_pb2.EventReference | None:
    if heard is None:
        return None
    return saga_pb2.EventReference(
        id=heard.reference, type=heard.type, step="" if heard.key is None else heard.key.name
    )


def _turn_back(by: Observation) -> saga_pb2.TurnBack:
    """A rejection says why in an event, whose type is what is known of the reason."""
    rejected = by.outcome is Outcome.REJECTED
    return saga_pb2.TurnBack(
        cause=saga_pb2.TurnBack.STEP_REJECTED if rejected else saga_pb2.TurnBack.CANCELLED,
        step=by.key.name if rejected and by.key is not None else "",
        reason=by.type,
        message="" if rejected else f"{by.type} was heard",
    )
