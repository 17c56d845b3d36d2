"""Sagas, as GetSaga shows them."""

from amends.v1 import coordinator_pb2, saga_pb2
from amends_coordinator.contract.definitions import shared_message
from amends_coordinator.contract.values import (
    moment_to_proto,
    payload_to_proto,
    refusal_to_proto,
    rejection_to_proto,
    turn_back_to_proto,
)
from amends_coordinator.core.saga import Saga, StepRun
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Direction


def state_to_proto(state: SagaState) -> saga_pb2.Saga.State.ValueType:
    """Turns a state into its number in the contracts."""
    return saga_pb2.Saga.State.ValueType(state)


def saga_to_proto(saga: Saga) -> saga_pb2.Saga:
    """Turns a saga into its resource."""
    message = saga_pb2.Saga(
        id=saga.id,
        definition=shared_message(saga.definition),
        state=state_to_proto(saga.state),
        steps=[_run_to_proto(saga.step(place).name, run) for place, run in enumerate(saga.runs)],
        step_inputs={name: payload_to_proto(payload) for name, payload in saga.step_inputs.items()},
        labels=saga.labels,
        create_time=moment_to_proto(saga.create_time),
        needs_attention=saga.needs_attention,
        cancel_requested=saga.cancel_requested,
        sequence=saga.sequence,
        traceparent=saga.traceparent,
    )
    if saga.input is not None:
        message.input.CopyFrom(payload_to_proto(saga.input))
    if saga.end_time is not None:
        message.end_time.CopyFrom(moment_to_proto(saga.end_time))
    if saga.deadline is not None:
        message.deadline.CopyFrom(moment_to_proto(saga.deadline))
    if saga.turn_back is not None:
        message.turn_back.CopyFrom(turn_back_to_proto(saga.turn_back))
    return message


def result_to_proto(number: int, saga: Saga) -> coordinator_pb2.StartSagasResponse.Result:
    """Tells, in a stream of starts, how far a saga came."""
    result = coordinator_pb2.StartSagasResponse.Result(
        number=number, saga_id=saga.id, state=state_to_proto(saga.state)
    )
    if saga.turn_back is not None:
        result.turn_back.CopyFrom(turn_back_to_proto(saga.turn_back))
    return result


def _run_to_proto(step: str, run: StepRun) -> saga_pb2.StepRun:
    message = saga_pb2.StepRun(
        step=step,
        state=saga_pb2.StepRun.State.ValueType(run.state),
        attempts=run.attempts + (run.in_flight and run.direction is Direction.FORWARD),
        compensation_attempts=run.compensation_attempts
        + (run.in_flight and run.direction is Direction.BACKWARD),
        in_flight=run.in_flight,
    )
    if run.next_attempt_time is not None and not run.in_flight:
        message.next_attempt_time.CopyFrom(moment_to_proto(run.next_attempt_time))
    if run.result is not None:
        message.result.CopyFrom(payload_to_proto(run.result))
    if run.rejection is not None:
        message.rejection.CopyFrom(rejection_to_proto(run.rejection))
    if run.refusal is not None:
        message.refusal.CopyFrom(refusal_to_proto(run.refusal))
    if run.last_failure is not None:
        failure = run.last_failure
        message.last_failure.CopyFrom(
            saga_pb2.AttemptFailure(
                attempt=failure.attempt,
                direction=saga_pb2.Direction.ValueType(failure.direction),
                code=failure.code,
                message=failure.message,
                time=moment_to_proto(failure.time),
            )
        )
    return message
