"""Good messages, out of which `hostile` makes bad ones."""

from typing import Any

from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from google.rpc.code_pb2 import Code

from amends._payload import pack
from amends.v1 import coordinator_pb2, event_pb2, saga_pb2
from amends.v1 import participant_pb2 as pb

PAYLOAD = pack({"order": 7, "items": ["pen", "ink"], "nested": {"deep": [None, True, 1.5]}})

_TRIES = [
    pb.TryResponse(succeeded=pb.TryResponse.Succeeded(result=PAYLOAD)),
    pb.TryResponse(rejected=pb.Rejected(reason="NO", message="words", metadata={"key": "value"})),
    pb.TryResponse(pending=pb.Pending(retry_after={"seconds": 1})),
]
_COMPENSATIONS = [
    pb.CompensateResponse(compensated=pb.CompensateResponse.Compensated()),
    pb.CompensateResponse(refused=pb.CompensateResponse.Refused(reason="NO", message="words")),
    pb.CompensateResponse(pending=pb.Pending(retry_after={"seconds": 1})),
]


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


STATUSES = [
    status_pb2.Status(
        code=code,
        message="words",
        details=[
            _packed(error_details_pb2.ErrorInfo(reason="NO", domain="shop", metadata={"key": "value"})),
            _packed(error_details_pb2.RetryInfo(retry_delay={"seconds": 1})),
        ],
    )
    for code in (Code.UNAVAILABLE, Code.ABORTED)
]

REPLIES = [
    *(pb.ExchangeResponse.Reply(number=1, try_response=response) for response in _TRIES),
    *(pb.ExchangeResponse.Reply(number=1, compensate_response=response) for response in _COMPENSATIONS),
    *(pb.ExchangeResponse.Reply(number=1, error=status) for status in STATUSES),
    *_TRIES,
    *_COMPENSATIONS,
]


# Requests


def _definition() -> saga_pb2.Definition:
    first = saga_pb2.Step(name="first", participant="ledger", action="do")
    first.timeout.FromSeconds(5)
    first.retry.max_attempts = 2
    first.retry.initial_backoff.FromMilliseconds(1)
    second = saga_pb2.Step(name="second", participant="ledger", action="do", kind=saga_pb2.Step.PIVOT)
    second.needs.steps.append("first")
    definition = saga_pb2.Definition(name="fuzzed", steps=[first, second])
    definition.timeout.FromSeconds(60)
    return definition


def definition_of_methods() -> saga_pb2.Definition:
    """Its steps call the participant's own methods as if it knew nothing of Amends."""
    look, do = (
        saga_pb2.Step(name=name, participant="ledger", needs=saga_pb2.Step.Needs()) for name in ("look", "do")
    )
    look.effect_free = True
    look.try_method.method = "amends.v1.Participant/Describe"
    look.try_method.request = "DescribeRequest{}"
    look.try_outcomes.add(code="UNAVAILABLE", outcome="REJECTED")
    do.needs.steps.append("look")
    do.try_method.method = "amends.v1.Participant/Try"
    do.try_method.request = """
        TryRequest{
          saga_id: saga.id + "-plain", step: step.name, attempt: 1, action: results.look.actions[0].name,
          definition: string(input.order), input: input,
        }"""
    do.try_outcomes.add(code="OK", condition="!has(response.succeeded)", outcome="REJECTED", reason="NO")
    do.compensate_method.method = "amends.v1.Participant/Compensate"
    do.compensate_method.request = (
        "CompensateRequest{saga_id: request.saga_id, step: request.step, attempt: 1, action: request.action}"
    )
    do.compensate_outcomes.add(code="NOT_FOUND", outcome="SUCCEEDED")
    definition = saga_pb2.Definition(name="of-methods", steps=[look, do], input_type="google.protobuf.Struct")
    for module in (status_pb2, pb):
        module.DESCRIPTOR.CopyToProto(definition.descriptors.file.add())
    return definition


def _start(saga_id: str) -> coordinator_pb2.StartSagaRequest:
    request = coordinator_pb2.StartSagaRequest(
        saga_id=saga_id,
        definition=_definition(),
        input=PAYLOAD,
        step_inputs={"second": PAYLOAD},
        labels={"shop": "7"},
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    request.wait.FromMilliseconds(100)
    return request


KNOWN = "known"
"""A saga that is there: whoever asks uses its id."""

TO_DAEMON: dict[str, list[Message]] = {
    "StartSaga": [
        _start(""),
        _start(KNOWN),
        coordinator_pb2.StartSagaRequest(definition=definition_of_methods(), input=PAYLOAD),
    ],
    "StartSagas": [
        coordinator_pb2.StartSagasRequest(
            starts=[coordinator_pb2.StartSagasRequest.Start(number=1, request=_start(""))]
        )
    ],
    "GetSaga": [coordinator_pb2.GetSagaRequest(saga_id=KNOWN)],
    "ListSagas": [
        coordinator_pb2.ListSagasRequest(
            states=[saga_pb2.Saga.RUNNING], definition_name="fuzzed", labels={"shop": "7"}, page_size=3
        ),
        coordinator_pb2.ListSagasRequest(created_from={"seconds": 1}, created_before={"seconds": 2**40}),
    ],
    "WatchSaga": [coordinator_pb2.WatchSagaRequest(saga_id=KNOWN, after_sequence=1, history_only=True)],
    "CancelSaga": [coordinator_pb2.CancelSagaRequest(saga_id=KNOWN, reason="words")],
    "RetrySaga": [coordinator_pb2.RetrySagaRequest(saga_id=KNOWN, reason="words")],
    "ResolveStep": [
        coordinator_pb2.ResolveStepRequest(
            saga_id=KNOWN,
            step="first",
            resolution=event_pb2.StepResolved.SUCCEEDED,
            reason="x",
            result=PAYLOAD,
        )
    ],
    "RegisterDefinition": [
        coordinator_pb2.RegisterDefinitionRequest(definition=definition)
        for definition in (_definition(), definition_of_methods())
    ],
    "GetDefinition": [coordinator_pb2.GetDefinitionRequest(name="fuzzed", version=1)],
    "ListDefinitions": [coordinator_pb2.ListDefinitionsRequest(page_size=3, page_token="a")],
}
"""By the name of the RPC."""

_FIELDS: dict[str, Any] = {"saga_id": "s", "step": "first", "attempt": 1, "action": "do", "input": PAYLOAD}
_TRY = pb.TryRequest(**_FIELDS, definition="fuzzed", results={"first": PAYLOAD})
_COMPENSATE = pb.CompensateRequest(**_FIELDS, definition="fuzzed", result=PAYLOAD)

TO_PARTICIPANT: dict[str, list[Message]] = {
    "Try": [_TRY],
    "Compensate": [_COMPENSATE],
    "Describe": [pb.DescribeRequest()],
    "Exchange": [
        pb.ExchangeRequest(
            calls=[
                pb.ExchangeRequest.Call(number=1, try_request=_TRY, timeout={"seconds": 5}),
                pb.ExchangeRequest.Call(number=2, compensate_request=_COMPENSATE, traceparent="00-1-2-01"),
            ]
        )
    ],
}
