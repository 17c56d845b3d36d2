"""Sagas over gRPC: for participants and clients.

A participant offers actions that can be tried and compensated; a client starts sagas at a coordinator.
What is named here is what Amends promises; modules with an underscore may change at any time.
"""

from amends._client._blocking import BlockingClient
from amends._client._client import Client
from amends._client._event import Event, EventKind
from amends._client._line import ClientTls
from amends._client._requests import Resolution
from amends._client._saga import AttemptFailure, Saga, SagaSummary, StepRun, TurnBack
from amends._client._starter import Started, Starter
from amends._client._states import Cause, Direction, SagaState, StepState
from amends._definition import (
    DeclaredAction,
    Definition,
    Kind,
    MethodCall,
    Outcome,
    OutcomeRule,
    Retry,
    Step,
)
from amends._ids import new_saga_id
from amends._participant import (
    Action,
    Context,
    DeclaredActions,
    HandlerResult,
    Handlers,
    Participant,
    ServerTls,
)
from amends.errors import (
    AccessDenied,
    AlreadyExists,
    AmendsError,
    CallError,
    DeadlineExceeded,
    DefinitionError,
    FailedPrecondition,
    Fault,
    FieldViolation,
    HandlerError,
    InvalidArgument,
    NotFound,
    NotSettled,
    Overloaded,
    PayloadError,
    Pending,
    Problem,
    Refused,
    Rejected,
    RequestError,
    StartError,
    StoreError,
    TransientError,
    Unavailable,
    UsageError,
)

__all__ = [
    # Participants
    "Participant",
    "Action",
    "Context",
    "ServerTls",
    # Defining sagas
    "Definition",
    "Step",
    "Kind",
    "Retry",
    "MethodCall",
    "OutcomeRule",
    "Outcome",
    # What is generated from annotated services
    "DeclaredAction",
    "DeclaredActions",
    "Handlers",
    "HandlerResult",
    # Clients
    "Client",
    "BlockingClient",
    "ClientTls",
    "Starter",
    "Started",
    "new_saga_id",
    # What clients return
    "Saga",
    "SagaState",
    "SagaSummary",
    "StepRun",
    "StepState",
    "TurnBack",
    "Cause",
    "AttemptFailure",
    "Direction",
    "Event",
    "EventKind",
    "Resolution",
    # What handlers raise
    "Rejected",
    "Pending",
    "Refused",
    # Errors
    "AmendsError",
    "UsageError",
    "HandlerError",
    "DefinitionError",
    "Problem",
    "PayloadError",
    "NotSettled",
    "StartError",
    "StoreError",
    "Fault",
    "CallError",
    "RequestError",
    "InvalidArgument",
    "FieldViolation",
    "NotFound",
    "AlreadyExists",
    "FailedPrecondition",
    "AccessDenied",
    "TransientError",
    "Unavailable",
    "DeadlineExceeded",
    "Overloaded",
]
