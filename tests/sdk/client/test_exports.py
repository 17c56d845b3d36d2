"""What `import amends` promises."""

import amends

PROMISED = """
    Participant Action Context ServerTls
    Definition Step Kind Retry MethodCall OutcomeRule Outcome
    DeclaredAction DeclaredActions Handlers HandlerResult
    Client BlockingClient ClientTls Starter Started new_saga_id
    Saga SagaState SagaSummary StepRun StepState TurnBack Cause AttemptFailure Direction
    Event EventKind Resolution
    Rejected Pending Refused
    AmendsError UsageError HandlerError DefinitionError Problem PayloadError StartError StoreError Fault
    NotSettled CallError
    RequestError InvalidArgument FieldViolation NotFound AlreadyExists FailedPrecondition AccessDenied
    TransientError Unavailable DeadlineExceeded Overloaded
"""


def test_root_exports_what_is_promised_and_nothing_else() -> None:
    """A name that appears here or goes away is a decision, not an accident."""
    assert sorted(amends.__all__) == sorted(PROMISED.split())
    assert all(hasattr(amends, name) for name in amends.__all__)


def test_public_names_are_described() -> None:
    """Everything promised says what it is for."""
    promised = set(amends.__all__) - {"HandlerResult"}  # an alias, to which Python gives no docstring
    assert [name for name in promised if not getattr(amends, name).__doc__] == []
